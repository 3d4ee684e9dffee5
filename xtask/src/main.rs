//! What a newcomer runs: `cargo xtask test` and `cargo xtask demo`; what tells the daemon's speed, `cargo xtask bench`, and
//! what tries its promises, `cargo xtask trial`.
//!
//! Only small dependencies, since this is built before anything is seen.

mod args;
mod bench;
mod cargo;
mod clock;
/// Of the tests: trials and the benchmark have stores on a server, too.
#[path = "../../tests/src/cluster.rs"]
#[expect(dead_code, reason = "the suites need more of it")]
mod cluster;
mod demo;
mod http;
mod needs;
mod process;
mod test;
mod trial;

use std::env;
use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let command = match args::parse(env::args().skip(1)) {
        Ok(command) => command,
        Err(text) => {
            eprintln!("xtask: {text}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    // What is built here is loaded by a host that refuses files others may write to.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let outcome = match command {
        Command::Help => {
            println!("{}", args::USAGE);
            Ok(())
        }
        Command::Test(options) => test::run(&options),
        Command::Crash(options) => test::crash(&options),
        Command::Demo(options) => demo::run(options),
        Command::Bench(options) => bench::run(&options),
        Command::Trial(options) => trial::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
