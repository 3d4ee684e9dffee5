//! Why the store refuses or fails.

use std::path::{Path, PathBuf};

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
    /// Hosts of an earlier version work on it.
    #[error("the store {} has tables of version {found}, and {hosts} still works on them: stop all such hosts, then start this one, which brings the tables to version {known}", path.display())]
    InUse {
        /// The address of the database without its password.
        path: PathBuf,
        /// The version of its tables.
        found: u32,
        /// The version that this host needs.
        known: u32,
        /// As the server names them.
        hosts: String,
    },
    /// A copy of it serves elsewhere.
    #[error("the store {id} is retired: {}", match gone_to {
        Some(place) => format!("it has moved to {place}"),
        None => "a copy of it has taken over".to_owned(),
    })]
    Retired {
        /// Which store.
        id: String,
        /// The address of the copy, without its password.
        gone_to: Option<String>,
    },
    /// It is being copied to where it was looked for, and not whole yet.
    #[error("the store {id} is not whole there: copying it has begun and has not ended")]
    Copying {
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
    /// A copy of the store was not made.
    #[error("cannot write the copy {}: {why}", path.display())]
    Copy {
        /// The file of the copy.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is no room for it on the disk: nothing of the request was stored.
    #[error("there is no room left on the disk of the store: {0}")]
    Full(String),
    /// The file, or its file system, cannot be written: nothing of the request was stored.
    #[error("the store cannot be written: {0}")]
    ReadOnly(String),
    /// The file is damaged.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// An IO error, or the store is closed: nothing of the request was stored.
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

    /// The same of one that SQLite was asked by hand.
    pub(super) fn of_hand(error: &rusqlite::Error) -> Self {
        Failure::of_hand(error).error()
    }

    /// The same while the store at `path` is opened.
    pub(super) fn of_open(path: &Path, error: Self) -> Self {
        match error {
            Self::Damaged(why) => Self::Damaged(format!("{}: {why}", path.display())),
            Self::Full(why) | Self::ReadOnly(why) | Self::Unavailable(why) | Self::Rejected(why) => {
                Self::Open { path: path.to_owned(), why }
            }
            other => other,
        }
    }

    /// Whether the same may succeed later, without anything of it being changed.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Full(_) | Self::ReadOnly(_) | Self::Damaged(_) | Self::Unavailable(_))
    }

    /// What helps whoever runs the host.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Full(_) => "make room on the disk of store.url; it goes on by itself",
            Self::ReadOnly(_) => {
                "let the daemon's user write the file of store.url and its folder, and mount the disk for writing"
            }
            Self::Damaged(_) => {
                "stop the daemon, look with `billhook store check`, and restore a backup; see docs/operations.md"
            }
            Self::Locked { .. } => "one daemon serves a store: stop that one, or give this one a store of its own",
            Self::InUse { .. } => {
                "stop the hosts of the earlier version first; all hosts of a store are of one version of its tables"
            }
            Self::Retired { .. } => "name the place that it has moved to as store.url",
            Self::Copying { .. } => {
                "end it with `billhook store copy`, where it is copied from; or drop the schema, and serve the former store"
            }
            _ => "try again; if it stays so, see the daemon's log",
        }
    }
}

/// Why a transaction failed: said to each who had something in it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    of: Of,
    text: String,
}

/// What lies behind a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Request,
    FullDisk,
    NoRight,
    Damage,
    Anything,
}

impl Failure {
    /// One that has nothing to do with what was asked.
    pub(super) fn unavailable(text: impl Into<String>) -> Self {
        Self { of: Of::Anything, text: text.into() }
    }

    /// What a driver says. Postgres has codes of five letters and digits, SQLite has numbers.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let code = match error {
            sqlx::Error::Database(error) => error.code(),
            _ => None,
        };
        let of = code.map_or(Of::Anything, |code| match code.parse() {
            Ok(number) if code.len() != 5 => Of::sqlite(number),
            _ => Of::postgres(&code),
        });
        Self { of, text: error.to_string() }
    }

    /// The same of one that SQLite was asked by hand.
    pub(super) fn of_hand(error: &rusqlite::Error) -> Self {
        let of = match error {
            rusqlite::Error::SqliteFailure(error, _) => Of::sqlite(error.extended_code),
            _ => Of::Anything,
        };
        Self { of, text: error.to_string() }
    }

    /// Whether it lies in what was asked, so that others in the same transaction may succeed without it.
    pub(super) fn is_local(&self) -> bool {
        self.of == Of::Request
    }

    /// The answer to one of them.
    pub(super) fn error(&self) -> StoreError {
        let text = self.text.clone();
        match self.of {
            Of::Request => StoreError::Rejected(text),
            Of::FullDisk => StoreError::Full(text),
            Of::NoRight => StoreError::ReadOnly(text),
            Of::Damage => StoreError::Damaged(text),
            Of::Anything => StoreError::Unavailable(text),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::of_hand(&error)
    }
}

impl Of {
    /// The primary code is the low byte.
    fn sqlite(code: i32) -> Self {
        match code & 0xff {
            // SQLITE_ERROR, TOOBIG, CONSTRAINT, MISMATCH, RANGE.
            1 | 18 | 19 | 20 | 25 => Self::Request,
            13 => Self::FullDisk,
            // SQLITE_READONLY.
            8 => Self::NoRight,
            // SQLITE_CORRUPT, NOTADB.
            11 | 26 => Self::Damage,
            _ => Self::Anything,
        }
    }

    fn postgres(code: &str) -> Self {
        match code {
            "53100" => Self::FullDisk,
            // read_only_sql_transaction.
            "25006" => Self::NoRight,
            // data_corrupted, index_corrupted.
            "XX001" | "XX002" => Self::Damage,
            code if ["22", "23", "42"].iter().any(|class| code.starts_with(class)) => Self::Request,
            _ => Self::Anything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_say_what_is_wrong() {
        for (sqlite, postgres, expected) in [
            (19, "23505", Of::Request),
            (2_067, "42P01", Of::Request),
            (13, "53100", Of::FullDisk),
            (1_032, "25006", Of::NoRight),
            (11, "XX001", Of::Damage),
            (26, "XX002", Of::Damage),
            (10, "57P01", Of::Anything),
            (5, "40001", Of::Anything),
        ] {
            assert_eq!((Of::sqlite(sqlite), Of::postgres(postgres)), (expected, expected), "{sqlite} {postgres}");
        }
    }
}
