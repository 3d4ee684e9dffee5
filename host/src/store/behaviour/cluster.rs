//! A Postgres of our own for the tests: one server for the process, one database for each test.

use crate::store::address::{Address, SCHEMA};
use crate::store::{hold, schema};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::OnceCell;

/// A server's own user: it refuses to run as root.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Makes the cluster, runs it until its own input ends, which it does with this process, and leaves nothing behind.
const KEEPER: &str = r#"
folder=$1 bin=$2; shift 2
stop() { "$@" "$bin/pg_ctl" -D "$folder/data" -m immediate stop; rm -rf "$folder"; }
"$@" "$bin/initdb" -D "$folder/data" -U billhook -A trust -E UTF8 --locale=C.UTF-8 --no-sync &&
"$@" "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w start \
    -o "-c listen_addresses='' -c unix_socket_directories='$folder' -c max_connections=300 -c shared_buffers=64MB" ||
    { cat "$folder/log"; stop "$@"; echo failed; exit 1; }
echo ready
cat > /dev/null
stop "$@"
"#;

struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    /// Held open: its end is the keeper's sign.
    _keeper: std::process::Child,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

fn start() -> Cluster {
    let bin = programs();
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("billhook-pg-").tempdir_in(parent).unwrap().keep();
    let mut command = Command::new("sh");
    command.args(["-c", KEEPER, "sh"]).arg(&folder).arg(&bin);
    if rustix::process::geteuid().is_root() {
        let user = |user: &&&str| Command::new("id").arg(user).output().is_ok_and(|found| found.status.success());
        let user =
            USERS.iter().find(user).expect("there is no user to run a database server as: add the user postgres");
        assert!(Command::new("chown").arg(user).arg(&folder).status().unwrap().success());
        command.args(["setpriv", &format!("--reuid={user}"), "--clear-groups"]);
    } else {
        command.arg("env");
    }
    // Of its own group: what ends this process from a terminal must not end the keeper before it has cleaned up.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut keeper = command.spawn().unwrap();
    let said: Vec<String> = BufReader::new(keeper.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .take_while(|line| line != "ready")
        .collect();
    assert!(said.last().is_none_or(|line| line != "failed"), "no database server can be started: {said:#?}");
    Cluster { folder, bin, _keeper: keeper }
}

/// Where the server's programs are: Debian keeps them out of the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&path).find(|bin| bin.join("initdb").exists());
    found.pop().map(|(_, bin)| bin).or_else(in_path).expect(
        "there is no Postgres server to test with; on Debian or Ubuntu: apt-get install postgresql (cargo xtask test does)",
    )
}

/// A database that goes with this.
pub struct Database {
    name: String,
}

impl Database {
    /// One without anything in it.
    pub async fn empty() -> Self {
        Self::copy_of("template0").await
    }

    /// One with a store that nobody has opened yet.
    pub async fn with_tables() -> Self {
        static TEMPLATE: OnceCell<()> = OnceCell::const_new();
        TEMPLATE
            .get_or_init(async || {
                let template = Self::copy_as("template0", "with_tables").await;
                let Ok(Address::Postgres(server)) = Address::of(&template.url(), None) else { panic!() };
                let mut db = server.connect().await.unwrap();
                hold::take(&mut db, &server, None).await.unwrap();
                schema::postgres::migrate(&mut db, &server).await.unwrap();
                db.close().await.unwrap();
                std::mem::forget(template);
            })
            .await;
        Self::copy_of("with_tables").await
    }

    async fn copy_of(template: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self::copy_as(template, &format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed))).await
    }

    async fn copy_as(template: &str, name: &str) -> Self {
        Self::admin(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { name: name.to_owned() }
    }

    pub fn url(&self) -> String {
        format!("postgres:///{}?host={}&user=billhook", self.name, cluster().folder.display())
    }

    /// Where the server keeps it.
    pub async fn files(&self) -> PathBuf {
        let oid = "SELECT oid::text FROM pg_database WHERE datname = current_database()";
        let oid: String = sqlx::query_scalar(oid).fetch_one(&mut self.connect().await).await.unwrap();
        cluster().folder.join("data/base").join(oid)
    }

    /// Ends all connections, and lets nobody in.
    pub async fn close_to_all(&self) {
        let name = &self.name;
        Self::admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        Self::admin(&end).await;
    }

    pub async fn open_to_all(&self) {
        Self::admin(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name)).await;
    }

    async fn admin(text: &str) {
        let admin = Self { name: "postgres".to_owned() };
        admin.run(text).await;
        std::mem::forget(admin);
    }

    pub async fn connect(&self) -> PgConnection {
        let mut db = PgConnection::connect(&self.url()).await.unwrap();
        let path = format!("SET search_path = {SCHEMA}");
        sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut db).await.unwrap();
        db
    }

    pub async fn run(&self, text: &str) {
        let mut db = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let mut psql = Command::new(cluster().bin.join("psql"));
        let host = format!("--host={}", cluster().folder.display());
        let psql = psql.args(["--quiet", "--username=billhook", &host, "--command", &drop, "postgres"]);
        // What is left goes with the cluster.
        let _ = psql.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
