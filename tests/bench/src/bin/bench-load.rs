//! The load: sends, measures, prints its figures as JSON.

use anyhow::{Context as _, Result};
use billhook_bench::http::Target;
use billhook_bench::load::{Plan, Until, Work, run};
use billhook_bench::tables;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Keeps a number of callers busy, and prints what they saw as one line of JSON.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Calls the panel itself.
    Raw(Callers),
    /// Sends hooks in turn, each caller on a service of its own.
    Hooks {
        #[command(flatten)]
        callers: Callers,
        /// Names of the hooks.
        #[arg(long, value_delimiter = ',', default_value = "suspend,unsuspend")]
        hooks: Vec<String>,
        /// The services are called so, with the caller's number behind.
        #[arg(long)]
        prefix: String,
    },
    /// Creates services.
    Creates {
        #[command(flatten)]
        callers: Callers,
        /// As for hooks.
        #[arg(long)]
        prefix: String,
        /// The product.
        #[arg(long)]
        product: String,
    },
    /// Prints what the tables of a database take, in bytes.
    Tables {
        /// The file.
        database: PathBuf,
    },
}

#[derive(clap::Args)]
struct Callers {
    /// Who is asked: `unix:PATH` or `tcp:ADDRESS`.
    #[arg(long)]
    target: Target,
    /// How many ask at once.
    #[arg(long)]
    callers: usize,
    /// For how long.
    #[arg(long, required_unless_present = "count", conflicts_with = "count")]
    millis: Option<u64>,
    /// Or how often.
    #[arg(long)]
    count: Option<usize>,
    /// Part of every key: another one in every measurement.
    #[arg(long, default_value = "")]
    run: String,
    /// What the header `Prefer` says.
    #[arg(long)]
    prefer: Option<String>,
    /// The status that counts as success.
    #[arg(long, default_value_t = 200)]
    expect: u16,
}

impl Callers {
    fn plan(self, work: Work) -> Plan {
        let Self { target, callers, millis, count, run, prefer, expect } = self;
        let until = match (millis, count) {
            (Some(millis), _) => Until::Time(Duration::from_millis(millis)),
            (None, count) => Until::Count(count.unwrap_or(1)),
        };
        Plan { target, work, callers, until, run, prefer, expect }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let plan = match Args::parse().command {
        Command::Raw(callers) => callers.plan(Work::Raw),
        Command::Hooks { callers, hooks, prefix } => callers.plan(Work::Hooks { hooks, prefix }),
        Command::Creates { callers, prefix, product } => callers.plan(Work::Creates { prefix, product }),
        Command::Tables { database } => {
            println!("{}", serde_json::to_string(&tables::bytes(&database)?)?);
            return Ok(());
        }
    };
    let figures = run(&plan).await?;
    println!("{}", serde_json::to_string(&figures).context("the figures cannot be written")?);
    Ok(())
}
