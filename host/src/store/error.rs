//! Why the store refuses or fails.

use std::path::PathBuf;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store open.
    #[error("the store {} is in use by {holder}: stop it first", path.display())]
    Locked {
        /// The database file, or the address of the database without its password.
        path: PathBuf,
        /// What the lock file, or the server, says of its holder.
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
    /// The database server is one that this host was never tried with.
    #[error("Postgres {found} is too old: {needed} is the first that a store is kept on")]
    ServerTooOld {
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
        /// The database file, or the address without its password.
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
        Failure::of(error).error()
    }
}

/// Why a transaction failed: said to each who had something in it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    is_local: bool,
    text: String,
}

impl Failure {
    /// One that has nothing to do with what was asked.
    pub(super) fn unavailable(text: impl Into<String>) -> Self {
        Self { is_local: false, text: text.into() }
    }

    /// What a driver says. Postgres has codes of five letters and digits, SQLite has numbers.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let code = match error {
            sqlx::Error::Database(error) => error.code(),
            _ => None,
        };
        let is_local = code.is_some_and(|code| match code.parse() {
            Ok(number) if code.len() != 5 => is_of_the_request(number),
            _ => ["22", "23", "42"].iter().any(|class| code.starts_with(class)),
        });
        Self { is_local, text: error.to_string() }
    }

    /// Whether it lies in what was asked, so that others in the same transaction may succeed without it.
    pub(super) const fn is_local(&self) -> bool {
        self.is_local
    }

    /// The answer to one of them.
    pub(super) fn error(&self) -> StoreError {
        match self.is_local {
            true => StoreError::Rejected(self.text.clone()),
            false => StoreError::Unavailable(self.text.clone()),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let is_local = match &error {
            rusqlite::Error::SqliteFailure(error, _) => is_of_the_request(error.extended_code),
            _ => false,
        };
        Self { is_local, text: error.to_string() }
    }
}

/// SQLITE_ERROR, TOOBIG, CONSTRAINT, MISMATCH, RANGE: the primary code is the low byte.
fn is_of_the_request(code: i32) -> bool {
    [1, 18, 19, 20, 25].contains(&(code & 0xff))
}
