//! Why the store refuses or fails.

use std::path::PathBuf;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store open.
    #[error("the store {} is in use by {holder}: stop it first", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// The database library is one that can damage the store.
    #[error("SQLite {found} is too old: {needed} is the first without a known way to corrupt a store")]
    TooOld {
        /// The version in use.
        found: String,
        /// The least version.
        needed: &'static str,
    },
    /// A newer host wrote it.
    #[error("the store has tables of version {found}, this host knows {known}: run the newer host")]
    NewerSchema {
        /// Its version.
        found: u32,
        /// The newest that this host knows.
        known: u32,
    },
    /// A copy of it serves elsewhere.
    #[error("the store {id} is retired: a copy of it has taken over")]
    Retired {
        /// Which store.
        id: String,
    },
    /// The address names no store that can be opened.
    #[error("cannot open the store {}: {why}", path.display())]
    Open {
        /// The database file, or what was given for it.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The disk is full, an IO error, or the store is closed: nothing of the request was stored.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The database refused this request alone, and would again: nothing of it was stored.
    #[error("the store refuses the request: {0}")]
    Rejected(String),
    /// A row cannot be read back.
    #[error("cannot read {column} of row {row} in table {table}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong with it; never the value.
        why: String,
    },
}

impl StoreError {
    /// What a failure of the database means to whoever asked.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let code = match error {
            sqlx::Error::Database(error) => error.code().and_then(|code| code.parse().ok()),
            _ => None,
        };
        Self::by_code(code, error.to_string())
    }

    /// The same of one that was written to by hand.
    pub(super) fn of_write(error: &rusqlite::Error) -> Self {
        Self::by_code(code(error), error.to_string())
    }

    fn by_code(code: Option<i32>, text: String) -> Self {
        if code.is_some_and(is_of_the_request) { Self::Rejected(text) } else { Self::Unavailable(text) }
    }
}

/// Whether the failure lies in what was asked, so that others in the same transaction may succeed without it.
pub(super) fn is_local(error: &rusqlite::Error) -> bool {
    code(error).is_some_and(is_of_the_request)
}

fn code(error: &rusqlite::Error) -> Option<i32> {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => Some(error.extended_code),
        _ => None,
    }
}

/// SQLITE_ERROR, TOOBIG, CONSTRAINT, MISMATCH, RANGE: the primary code is the low byte.
fn is_of_the_request(code: i32) -> bool {
    [1, 18, 19, 20, 25].contains(&(code & 0xff))
}
