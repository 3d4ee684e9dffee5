//! `billhook store copy`: the store moves to a server.

use crate::cli::answer::{Answer, Exit};
use crate::cli::complaint::WrongUse;
use crate::cli::table::{Table, cell};
use crate::config::{Config, Database};
use crate::seal::private_file;
use crate::store::{self, Copied, CopyOptions, Copying};
use billhook_plugin_api::Secret;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer files hold no password.
const MOST_BYTES: usize = 64 * 1024;

#[derive(Debug, Args)]
pub(in crate::cli) struct CopyArgs {
    /// The database: postgres://role@server/database; empty, or with a copy of this store that was cut off
    #[arg(long, value_name = "URL")]
    to: String,
    /// A file that holds the role's password alone, closed to others
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Only look at both sides, and say what would be copied
    #[arg(long)]
    dry_run: bool,
}

/// Carries the command out.
///
/// # Errors
///
/// A store, a database or a password that is not as it should be; the same command goes on where it ended.
pub(super) async fn run(config: &Config, args: &CopyArgs) -> anyhow::Result<Answer> {
    let Database::Sqlite { path: source } = &config.store.database else {
        return Err(super::on_a_server("moved with the server's own tools").into());
    };
    if holds_password(&args.to) {
        let what = "the address holds a password, which other users of this machine can see";
        return Err(WrongUse::new(what, "name a file that holds it with --password-file, and change it").into());
    }
    let password = args.password_file.as_deref().map(read_password).transpose()?;
    let options = CopyOptions { password, ..CopyOptions::default() };
    if args.dry_run {
        let found = store::survey(source, &args.to, &options).await?;
        return Ok(Answer::new(would(&found), serde_json::to_value(&found)?, Exit::Done));
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} [{bar:20}] {pos} of {len} rows  {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(120));
    let copied = store::copy(source, &args.to, &options, |told| {
        tell(&bar, told);
        ControlFlow::Continue(())
    });
    let copied = copied.await;
    bar.finish_and_clear();
    let copied = copied?;
    Ok(Answer::new(done(&copied, source), serde_json::to_value(&copied)?, Exit::Done))
}

/// Lines where no bar can be drawn.
fn tell(bar: &ProgressBar, told: Copied<'_>) {
    let line = |text: String| match bar.is_hidden() {
        true => eprintln!("{text}"),
        false => bar.set_message(text),
    };
    match told {
        Copied::Begun(copying) => {
            bar.set_length(copying.parts.iter().map(|part| part.rows).sum());
            bar.set_position(copying.parts.iter().map(|part| part.copied).sum());
            if copying.has_begun {
                line("goes on with the copy that had begun".to_owned());
            }
        }
        Copied::Rows(part, rows) => {
            bar.inc(rows);
            if !bar.is_hidden() {
                bar.set_message(part);
            }
        }
        Copied::Same(part, rows) => line(format!("{part}: {rows} rows, the same on both sides")),
        Copied::Retired => line("the file is retired".to_owned()),
    }
}

fn would(found: &Copying) -> String {
    let mut table = Table::new(&["table", "rows", "copied"]);
    for part in &found.parts {
        table.row([cell(part.part), cell(part.rows.to_string()), cell(part.copied.to_string())]);
    }
    let begun = if found.has_begun { ", where a copy of it has begun" } else { "" };
    let (version, known) = found.schema;
    let tables = match version == known {
        true => String::new(),
        false => format!("its tables are of version {version} and are brought to {known} first\n"),
    };
    format!(
        "{}\nthe store {} would move to {}{begun}\n{tables}nothing was changed\n",
        table.text("no tables"),
        found.id,
        found.target
    )
}

fn done(copied: &Copying, source: &Path) -> String {
    let rows: u64 = copied.parts.iter().map(|part| part.rows).sum();
    format!(
        "the store {} has moved to {} with {rows} rows, which were compared\n\
         {} is retired and opens no more; keep it until the database has a backup\n\
         now set store.url, and store.password where the role has one, and start the daemon; the host key stays as it is\n",
        copied.id,
        copied.target,
        source.display()
    )
}

fn holds_password(url: &str) -> bool {
    url::Url::parse(url)
        .is_ok_and(|url| url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password"))
}

fn read_password(path: &Path) -> anyhow::Result<Secret<String>> {
    let remedy = "let it be a file of this user or root with mode 0600 that holds the password alone";
    let bytes = private_file::read(path, MOST_BYTES)
        .map_err(|error| WrongUse::new(format!("{:#}", anyhow::Error::new(error)), remedy))?;
    let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    match text.is_empty() {
        true => Err(WrongUse::new(format!("{} holds no password", path.display()), remedy).into()),
        false => Ok(Secret::new(text.to_owned())),
    }
}
