//! The command line: what it takes, and which part carries it out.
//!
//! Data goes to stdout and talk to stderr, so that every answer survives a pipe. With `--json` stdout holds what the API
//! said, unchanged.

mod answer;
mod check;
mod client;
mod complaint;
mod completions;
mod events;
mod follow;
mod hook;
mod hosts;
mod key;
mod log;
mod logging;
mod operation;
mod ops;
mod place;
mod plugins;
mod serve;
mod servers;
mod services;
mod store;
mod supervisor;
mod table;

use crate::plugin::probe;
use answer::Answer;
use check::CheckArgs;
use clap::{Args, Parser, Subcommand};
use client::Client;
use completions::Shell;
use hook::HookArgs;
use hosts::HostsArgs;
use key::KeyCommand;
use log::LogCommand;
use ops::OpsCommand;
use place::Place;
use plugins::PluginsArgs;
use servers::ServersCommand;
use services::ServicesCommand;
use std::path::PathBuf;
use std::process::ExitCode;
use store::StoreCommand;

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
    /// Look at everything that a start needs; changes nothing
    #[command(after_help = check::EXIT_CODES)]
    Check(CheckArgs),
    /// Send a hook, as a billing platform would, and wait for what comes of it
    #[command(after_help = EXIT_CODES)]
    Hook(Box<HookArgs>),
    /// Look at operations and decide about them
    #[command(subcommand)]
    Ops(OpsCommand),
    /// Read the module log
    #[command(subcommand)]
    Log(LogCommand),
    /// Look at services and what happened to them
    #[command(subcommand)]
    Services(ServicesCommand),
    /// Look at servers, try them, hold their operations back
    #[command(subcommand)]
    Servers(ServersCommand),
    /// Look at the hosts of the store, and say that one has ended
    Hosts(HostsArgs),
    /// Copy or move the store, look at a copy, and let a restored one serve again
    #[command(subcommand)]
    Store(StoreCommand),
    /// Change the key that seals passwords in the store
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show what the daemon has loaded, and what it refused
    Plugins(PluginsArgs),
    /// Print what a shell needs to complete this program's arguments
    Completions {
        /// For this shell
        shell: Shell,
    },
    /// Print the description of the HTTP API (OpenAPI 3.1)
    Openapi,
    /// Open a never-seen plugin, and tell the daemon that started this what came of it
    #[command(name = probe::COMMAND, hide = true)]
    ProbePlugin { staged: PathBuf },
}

/// Parses the arguments, carries the command out, and says how it ended.
pub fn main() -> ExitCode {
    // Ends the process by itself on wrong use, with 2.
    let cli = Cli::parse();
    if let Command::ProbePlugin { staged } = &cli.command {
        // Before anything is opened or any thread is started.
        return probe::run(staged);
    }
    match run(&cli) {
        Ok(answer) => answer.print(cli.global.json),
        Err(error) => complaint::print(&error, cli.global.json),
    }
    .into()
}

fn run(cli: &Cli) -> anyhow::Result<Answer> {
    let place = Place::new(cli.global.config.clone(), cli.global.socket.clone());
    let runtime = match cli.command {
        // A check starts an engine, which must go on while a plugin is loaded.
        Command::Serve | Command::Check(_) => several_threads(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    }?;
    let answer = runtime.block_on(carry_out(&cli.command, &place, cli.global.json));
    // What is still blocking by now (a thread that reads a file) is not worth waiting for.
    runtime.shutdown_background();
    answer
}

async fn carry_out(command: &Command, place: &Place, json: bool) -> anyhow::Result<Answer> {
    match command {
        Command::Serve => serve::run(place).await,
        Command::Check(args) => check::run(place, args).await,
        Command::Hook(args) => hook::run(&Client::of(place)?, args).await,
        Command::Ops(command) => ops::run(&Client::of(place)?, command).await,
        Command::Log(command) => log::run(&Client::of(place)?, command, json).await,
        Command::Services(command) => services::run(&Client::of(place)?, command).await,
        Command::Servers(command) => servers::run(&Client::of(place)?, command).await,
        Command::Hosts(args) => hosts::run(&Client::of(place)?, args).await,
        Command::Store(command) => store::run(place, command).await,
        Command::Key(command) => key::run(place, command),
        Command::Completions { shell } => Ok(completions::print(*shell)),
        Command::Plugins(args) => plugins::run(place, args).await,
        Command::Openapi => Ok(openapi()),
        Command::ProbePlugin { .. } => unreachable!("a probe ends before a runtime is started"),
    }
}

/// The same with and without `--json`; no daemon is asked.
fn openapi() -> Answer {
    Answer::new(crate::server::openapi_text(), crate::server::openapi_document(), answer::Exit::Done)
}

/// The work is waiting, for panels and for the disk. A thread for two processors is enough: the store and the plugins have theirs,
/// and a second one on two processors wakes the first for most of what it does.
fn several_threads() -> std::io::Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2).min(4);
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name("billhook").enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("billhook").chain(line.split_whitespace()))
    }

    #[test]
    fn the_arguments_are_consistent_and_name_the_exit_codes() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("Exit codes:") && help.contains("3  accepted and not finished yet"), "{help}");
    }

    #[test]
    fn what_every_command_takes_may_stand_before_and_behind_it() {
        for line in ["--json --socket /s --config /c ops list", "ops list --config /c --json --socket /s"] {
            let global = parse(line).unwrap().global;
            assert!(global.json, "{line}");
            assert_eq!(global.socket, Some(PathBuf::from("/s")));
            assert_eq!(global.config, Some(PathBuf::from("/c")));
        }
    }

    #[test]
    fn lines_are_taken_or_are_wrong_use() {
        for (line, exit) in [
            ("serve", None),
            ("check", None),
            ("check --online", None),
            ("check --panels", None),
            ("hook create --service 7 --product p --wait 0", None),
            ("hook test --server a --key k", None),
            ("ops list --state waiting --state attention --service 7 --platform p --limit 5", None),
            ("ops settle op_1 give-up --reason lost", None),
            ("log list --platform p --service 7 --hook create --server s --state failed --before op_1 --limit 5", None),
            ("log show op_1 --bodies", None),
            ("log search no room --service 7 --from 7d --to 2026-05-01", None),
            ("log tail -n 0 --words quota --fault quota --provider p --remote-id 4711", None),
            ("log export --format csv --from 2026-05-01", None),
            ("log export --with-bodies", None),
            ("log prune --before 90d --dry-run", None),
            ("ops watch op_1 --wait 5", None),
            ("services list --platform whmcs --status active --domain d --after whmcs/7", None),
            ("services show whmcs/7", None),
            ("services timeline whmcs/7 --limit 5", None),
            ("store backup /b/copy.db", None),
            ("store backup", Some(2)),
            ("store check", None),
            ("store check /b/copy.db", None),
            ("store copy --to postgres://u@h/d --password-file /p --dry-run", None),
            ("store copy", Some(2)),
            ("store restore /b/copy.db", None),
            ("store restore", Some(2)),
            ("store release", None),
            ("key rotate", None),
            ("hosts", None),
            ("hosts list", None),
            ("hosts dead web2", None),
            ("hosts dead", Some(2)),
            ("servers list", None),
            ("servers show p1", None),
            ("completions bash", None),
            ("plugins", None),
            ("plugins probe libx.so", None),
            ("plugins probe --again libx.so", None),
            ("plugins probe", Some(2)),
            ("probe-plugin /s/x.so", None),
            ("openapi", None),
            ("--help", Some(0)),
            ("--version", Some(0)),
            ("", Some(2)),
            ("sevre", Some(2)),
            ("check --platform whmcs", Some(2)),
            ("ops list --limit many", Some(2)),
            ("log show", Some(2)),
            ("log search", Some(2)),
            ("log list --from yesterday", Some(2)),
            ("log list --fault bad", Some(2)),
            ("log export --format xml", Some(2)),
            ("services show 7", Some(2)),
            ("completions tcsh", Some(2)),
        ] {
            assert_eq!(parse(line).err().map(|error| error.exit_code()), exit, "{line}");
        }
    }
}
