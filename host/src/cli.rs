//! The command line: what it takes, and which part carries it out.
//!
//! Data goes to stdout and talk to stderr, so that every answer survives a pipe. With `--json` stdout holds what the API
//! said, unchanged.

mod answer;
mod client;
mod complaint;
mod logging;
mod place;
mod serve;

use answer::{Answer, Exit};
use clap::{Args, Parser, Subcommand};
use client::Client;
use place::Place;
use std::path::PathBuf;
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or failed
  2  wrong use: the arguments or the configuration
  3  accepted and not finished yet: it goes on by itself, or waits for a person";

/// Runs billing hooks on hosting panels exactly once, and keeps a trustworthy module log.
#[derive(Debug, Parser)]
#[command(name = "billhook", version, after_help = EXIT_CODES, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// The configuration; without it the usual place is looked at
    #[arg(long, global = true, value_name = "FILE", env = "BILLHOOK_CONFIG")]
    config: Option<PathBuf>,
    /// Print the API's answer as it is
    #[arg(long, global = true)]
    json: bool,
    /// Talk to the daemon on this socket instead of its admin.sock
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve,
}

/// Parses the arguments, carries the command out, and says how it ended.
pub fn main() -> ExitCode {
    // Ends the process by itself on wrong use, with 2.
    let cli = Cli::parse();
    match run(&cli) {
        Ok(answer) => answer.print(cli.global.json),
        Err(error) => complaint::print(&error, cli.global.json),
    }
    .into()
}

fn run(cli: &Cli) -> anyhow::Result<Answer> {
    let place = Place::new(cli.global.config.clone(), cli.global.socket.clone());
    let runtime = match cli.command {
        Command::Serve => several_threads(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    }?;
    let answer = runtime.block_on(carry_out(&cli.command, &place));
    // What is still blocking by now (a thread that reads a file) is not worth waiting for.
    runtime.shutdown_background();
    answer
}

async fn carry_out(command: &Command, place: &Place) -> anyhow::Result<Answer> {
    match command {
        Command::Serve => serve::run(place).await,
    }
}

/// The work is waiting, for panels and for the disk: a few threads are enough, and leave the rest to the panels' neighbours.
fn several_threads() -> std::io::Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name("billhook").enable_all().build()
}
