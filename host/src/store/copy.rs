//! A store moves from its file to a database on a server.
//!
//! The daemon must not run meanwhile. If it did between two tries, the second begins anew.
//!
//! The rows go in batches, each in one transaction with a note of how far that part is; so a copy that was cut off goes on where it was.
//! Then all that stands on the server is read back and held against what was read from the file. Only then the file is retired,
//! durably, and only after that the copy may be opened: at no moment do two places serve, and where none does the same command ends it.

mod part;
mod row;
mod source;
mod target;

use self::part::{PARTS, WORDS};
use self::source::{About, Source};
use self::target::Target;
use super::StoreError;
use super::address::{Address, Server};
use super::file::Lock;
use billhook_plugin_api::Secret;
use serde::Serialize;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How a store is copied.
#[derive(Debug)]
pub struct CopyOptions {
    /// The password for the server, where its address has none.
    pub password: Option<Secret<String>>,
    /// Most rows of one transaction.
    pub batch_rows: usize,
    /// About how many bytes make one.
    pub batch_bytes: usize,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { password: None, batch_rows: 5_000, batch_bytes: 4 << 20 }
    }
}

/// A part of the store, and its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopiedPart {
    /// The table.
    pub part: &'static str,
    /// Rows in the source. Of the index of words it is entries, at most.
    pub rows: u64,
    /// How many of them are in the target.
    pub copied: u64,
}

/// What there is to copy, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copying {
    /// The store.
    pub id: String,
    /// The target, without a password.
    pub target: String,
    /// Version of the source's tables, and what they are brought to.
    pub schema: (u32, u32),
    /// Whether a copy had begun there.
    pub has_begun: bool,
    /// Its parts, in their order.
    pub parts: Vec<CopiedPart>,
}

/// Something durable was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied<'a> {
    /// The tables are there.
    Begun(&'a Copying),
    /// So many more rows of a part are.
    Rows(&'static str, u64),
    /// A part is the same on both sides, with so many rows.
    Same(&'static str, u64),
    /// The source refuses to be opened.
    Retired,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source or the target is not as it must be, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target is no server.
    #[error("a store is copied to a Postgres server, and this is the address of none")]
    NoServer,
    /// Somebody copies to the same database.
    #[error("another copy into {target} is under way")]
    Busy {
        /// The address, without a password.
        target: String,
    },
    /// The tables of both sides are not the same.
    #[error("the table {part} does not have the same columns in the file and on the server")]
    Columns {
        /// Which table.
        part: &'static str,
    },
    /// What arrived is not what was sent.
    #[error("{part} is not the same there: {there} rows, and {here} in the file; the file stays in force")]
    Differs {
        /// Which part.
        part: &'static str,
        /// Rows in the source.
        here: u64,
        /// Rows in the target.
        there: u64,
    },
    /// Whoever was told wanted no more.
    #[error("the copy was stopped")]
    Stopped,
}

impl CopyError {
    /// What helps.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Locked { .. }) => "stop the daemon; it must not write while the store moves",
            Self::Store(error @ StoreError::Retired { .. }) => error.remedy(),
            Self::Store(StoreError::Open { .. }) => "see docs/postgres.md, *Moving a store there*",
            Self::Store(_) | Self::Stopped => "copy again: it goes on where it was",
            Self::NoServer => "write --to postgres://role@server/database",
            Self::Busy { .. } => "wait for it, or end it",
            Self::Columns { .. } | Self::Differs { .. } => {
                "drop the schema billhook there, and copy again; if it stays so, report it with the name of the table"
            }
        }
    }
}

/// Says what a copy would do, and changes nothing. The daemon may run.
///
/// # Errors
///
/// [`CopyError`]
pub async fn survey(source: &Path, target: &str, options: &CopyOptions) -> Result<Copying, CopyError> {
    let server = server(target, options)?;
    let (path, known) = (source.to_owned(), super::schema::KNOWN);
    let (about, counts) = blocking(move || {
        let source = Source::look(&path)?;
        Ok((source.about()?, source.counts()?))
    })
    .await?;
    let reached = target::look(&server, &about.origin(), about.copy.as_deref()).await?;
    if about.is_retired() && reached.is_empty() {
        return Err(about.retired().into());
    }
    Ok(copying(&about.id, &server, (about.schema, known), counts, &reached))
}

/// Copies the store at `source` to the server at `target` and retires it. `tell` hears of all that is durable, and may end the copy
/// there; whatever ends it, the same call goes on.
///
/// # Errors
///
/// [`CopyError`]; both sides may be used for another try.
pub async fn copy(
    source: &Path,
    target: &str,
    options: &CopyOptions,
    mut tell: impl FnMut(Copied<'_>) -> ControlFlow<()>,
) -> Result<Copying, CopyError> {
    let mut tell = |told: Copied<'_>| match tell(told) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CopyError::Stopped),
    };
    let server = server(target, options)?;
    let refused = |why: String| CopyError::Store(StoreError::Open { path: source.to_owned(), why });
    let (owner, own) = match std::fs::metadata(source) {
        Ok(about) => (about.uid(), rustix::process::geteuid().as_raw()),
        Err(error) => return Err(refused(error.to_string())),
    };
    if owner != own {
        // Opening it would leave files behind that its owner cannot write.
        return Err(refused(format!("it belongs to user {owner}, and this is user {own}: copy as that user")));
    }
    // Held until the copy may be opened.
    let lock = Lock::take(source).await?;
    let found = source::upgrade(source).await?;
    let path = source.to_owned();
    let (about, counts) = blocking(move || {
        let source = Source::look(&path)?;
        Ok((source.about()?, source.counts()?))
    })
    .await?;
    let mut to = match about.is_retired() {
        false => Target::receive(&server, &about.origin(), &name(source, &about).await?).await?,
        // Cut off between the retirement of the one and the opening of the other, if there is a copy at all.
        true => {
            let to = Target::find(&server, &about.origin(), about.copy.as_deref()).await?;
            to.filter(Target::is_whole).ok_or_else(|| CopyError::Store(about.retired()))?
        }
    };
    let mut copying = copying(&about.id, &server, (found, about.schema), counts, to.reached());
    tell(Copied::Begun(&copying))?;

    for (at, part) in PARTS.iter().chain([&WORDS]).enumerate() {
        let columns = to.columns(part).await?;
        let mut from = source::stream(source, part, columns.clone(), to.reached_in(part), options);
        while let Some(batch) = from.recv().await {
            let batch = batch?;
            let rows = batch.rows;
            to.take(part, &columns, batch).await?;
            copying.parts[at].copied += rows;
            tell(Copied::Rows(part.table, rows))?;
        }
    }
    for (at, part) in PARTS.iter().chain([&WORDS]).enumerate() {
        let rows = to.compare(part).await?;
        let copied = &mut copying.parts[at];
        // Of the words only those who look know how many entries have any.
        if part.table == WORDS.table {
            copied.rows = rows;
        }
        if copied.rows != rows {
            return Err(CopyError::Differs { part: part.table, here: copied.rows, there: rows });
        }
        tell(Copied::Same(part.table, rows))?;
    }
    to.settle().await?;

    if !about.is_retired() {
        let (path, shown) = (source.to_owned(), server.shown().to_owned());
        blocking(move || source::retire(&path, &shown)).await?;
        tell(Copied::Retired)?;
    }
    to.open().await?;
    drop(lock);
    Ok(copying)
}

/// That of the copy that had begun, or another.
async fn name(source: &Path, about: &About) -> Result<String, StoreError> {
    if let Some(name) = &about.copy {
        return Ok(name.clone());
    }
    let (path, name) = (source.to_owned(), super::schema::new_id()?);
    blocking(move || source::name_copy(&path, &name).map(|()| name)).await
}

fn server(target: &str, options: &CopyOptions) -> Result<Server, CopyError> {
    match Address::of(target, options.password.as_ref()) {
        Ok(Address::Postgres(server)) => Ok(*server),
        Ok(Address::Sqlite(_)) => Err(CopyError::NoServer),
        Err(_) if !target.starts_with("postgres") => Err(CopyError::NoServer),
        Err(error) => Err(error.into()),
    }
}

fn copying(
    id: &str,
    server: &Server,
    schema: (u32, u32),
    counts: Vec<(&'static str, u64)>,
    reached: &[target::Reached],
) -> Copying {
    let copied = |part: &str| reached.iter().find(|one| one.part == part).map_or(0, |one| one.rows);
    let parts = counts.into_iter().map(|(part, rows)| CopiedPart { part, rows, copied: copied(part) });
    Copying {
        id: id.to_owned(),
        target: server.shown().to_owned(),
        schema,
        has_begun: !reached.is_empty(),
        parts: parts.collect(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}
