//! Where a store is: a file, or a database on a server.

use super::trust::{self, Trust};
use super::{StoreError, file};
use billhook_plugin_api::Secret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The schema that all tables are in.
pub const SCHEMA: &str = "billhook";

/// What every connection is set up with: whatever the server's and the role's own settings are.
pub const SETTINGS: [(&str, &str); 14] = [
    ("search_path", SCHEMA),
    ("client_encoding", "UTF8"),
    ("default_transaction_isolation", "read committed"),
    // Small statements only.
    ("jit", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    // A host whose machine has vanished is found out in a minute, and its locks are free.
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    // Plans are made while the tables are small, and kept: by an index, always, and row by row.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
];

/// What the one that writes has beside them.
pub const WRITING: [(&str, &str); 3] =
    [("synchronous_commit", "on"), ("default_transaction_read_only", "off"), ("plan_cache_mode", "force_generic_plan")];

/// Where a store is.
#[derive(Debug)]
pub enum Address {
    Sqlite(PathBuf),
    Postgres(Box<Server>),
}

impl Address {
    /// Of a URL. The password may stand in it, or come beside it; it is in no error.
    pub fn of(url: &str, password: Option<&Secret<String>>) -> Result<Self, StoreError> {
        match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Box::new(Server::of(url, password)?))),
            _ => file::path_of(url).map(Self::Sqlite),
        }
    }
}

/// A database on a server, and how it is reached.
#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    shown: String,
    trust: Trust,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Server {
    fn of(text: &str, password: Option<&Secret<String>>) -> Result<Self, StoreError> {
        const KIND: &str = "postgres://";
        // The parser's own words may quote what it read.
        let unreadable = || {
            StoreError::Open {
            path: KIND.into(),
            why: "the address must be postgres://user@server/database, or postgres:///database?host=/folder&user=name for a \
                  socket"
                .to_owned(),
        }
        };
        let mut url = url::Url::parse(text).map_err(|_| unreadable())?;
        let query_of: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| name != "password").collect();
        // A URL without a server has no place for a password either.
        let _ = url.set_password(None);
        url.set_query(None);
        let query: Vec<String> = query_of.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let shown = if query.is_empty() { url.to_string() } else { format!("{url}?{}", query.join("&")) };
        let refused = |why| StoreError::Open { path: shown.clone().into(), why };
        trust::check(&query_of).map_err(refused)?;
        let mut options: PgConnectOptions = text.parse().map_err(|_| unreadable())?;
        if let Some(password) = password {
            options = options.password(password.expose());
        }
        let (options, trust) = trust::apply(options, &query_of).map_err(refused)?;
        let options = options.application_name(&application()).options(SETTINGS).statement_cache_capacity(256);
        Ok(Self { options: options.disable_statement_logging(), shown, trust })
    }

    /// The address without its password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Why it cannot be used.
    pub fn refused(&self, why: impl Into<String>) -> StoreError {
        StoreError::Open { path: self.shown.clone().into(), why: why.into() }
    }

    /// Why it cannot be reached.
    pub fn unreached(&self, error: &sqlx::Error) -> StoreError {
        match trust::remedy(error) {
            Some(remedy) => self.refused(format!("{error}; {remedy}")),
            None => self.refused(error.to_string()),
        }
    }

    /// What it has to prove.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// A connection that writes.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options.clone().options(WRITING)).await
    }

    /// How a connection is made that only reads.
    pub fn reading(&self) -> PgConnectOptions {
        self.options.clone().options([("default_transaction_read_only", "on")])
    }

    /// Connections that only read.
    pub fn pool(&self, readers: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(readers.max(1))
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            .connect_lazy_with(self.reading())
    }
}

/// As which a connection stands in the server's lists: the program and its machine.
pub fn application() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // The server keeps 63 bytes.
    let mut text = format!("billhook {} {}", env!("CARGO_PKG_VERSION"), machine.trim());
    text.retain(|c| c.is_ascii_graphic() || c == ' ');
    text.truncate(63);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://u:hunter2@h:5433/d?sslmode=disable", "postgres://u@h:5433/d?sslmode=disable"),
            ("postgresql://u:hunter2@h/d?sslmode=prefer", "postgresql://u@h/d?sslmode=prefer"),
            ("postgres://u:hunter2@localhost/d", "postgres://u@localhost/d"),
            ("postgres:///d?host=/run/x&user=u&password=hunter2", "postgres:///d?host=/run/x&user=u"),
        ] {
            let Address::Postgres(server) = Address::of(url, Some(&Secret::new("hunter2".into()))).unwrap() else {
                panic!("{url}")
            };
            assert_eq!(server.shown(), shown);
            assert!(!format!("{server:?} {}", server.refused("x")).contains("hunter2"));
        }
        for url in ["postgres://u:hunter2@h:notaport/d", "postgres://u:hunter2@[/d", "mysql://u:hunter2@h/d"] {
            let error = Address::of(url, None).unwrap_err();
            assert!(!error.to_string().contains("hunter2") || url.starts_with("mysql"), "{error}");
        }
    }
}
