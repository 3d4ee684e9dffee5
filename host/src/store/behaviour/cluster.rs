//! A Postgres of our own for the tests, see there; and what is done with its databases.

#[path = "../../../../tests/src/cluster.rs"]
#[expect(dead_code, reason = "the suites need more of it")]
mod server;

use crate::store::address::{Address, SCHEMA};
use crate::store::{hold, schema};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::path::{Path, PathBuf};
use tokio::sync::OnceCell;

/// A database that goes with this.
pub struct Database(server::Database);

impl Database {
    /// One without anything in it.
    pub fn empty() -> Self {
        Self(server::Database::empty())
    }

    /// One with a store that nobody has opened yet.
    pub async fn with_tables() -> Self {
        static TEMPLATE: OnceCell<server::Database> = OnceCell::const_new();
        let made = TEMPLATE.get_or_init(async || {
            let template = server::Database::empty();
            let Ok(Address::Postgres(server)) = Address::of(&template.url(), None) else { panic!() };
            let mut db = server.connect().await.unwrap();
            hold::join(&mut db, &server).await.unwrap();
            schema::postgres::migrate(&mut db, &server).await.unwrap();
            db.close().await.unwrap();
            template
        });
        Self(made.await.twin())
    }

    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.0.data().with_file_name(".s.PGSQL.5432")
    }

    /// Its address for whoever goes by a socket in another folder.
    pub fn url_by(&self, folder: &Path) -> String {
        self.url().replace(&self.socket().parent().unwrap().display().to_string(), &folder.display().to_string())
    }

    /// Where the server keeps it.
    pub fn files(&self) -> PathBuf {
        self.0.data().join("base").join(self.0.number())
    }

    /// Ends all connections, and lets nobody in. What is there then is kept.
    pub fn close_to_all(&self) -> Self {
        Self(self.0.twin_after_cut())
    }

    pub fn open_to_all(&self) {
        server::administer(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.0.name()));
    }

    pub async fn connect(&self) -> PgConnection {
        let mut db = PgConnection::connect(&self.url()).await.unwrap();
        let path = format!("SET search_path = {SCHEMA}");
        sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut db).await.unwrap();
        db
    }

    pub async fn count(&self, text: &'static str) -> i64 {
        sqlx::query_scalar(text).fetch_one(&mut self.connect().await).await.unwrap()
    }

    pub async fn run(&self, text: &str) {
        let mut db = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    }
}

/// A server that is asked over a network, and by TLS alone.
pub struct Secured {
    _cluster: server::Cluster,
    port: u16,
    /// What its clients have.
    folder: tempfile::TempDir,
}

impl Secured {
    pub fn start() -> Self {
        use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
        const ACCESS: &str =
            "local all all trust\nhostssl all certified 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 trust\n";
        let authority = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).unwrap().pem();
            (pem, Issuer::new(params, key))
        };
        let ((ca, issuer), (other, _)) = (authority("billhook tests"), authority("somebody else"));
        let signed = |names: &[&str], own: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, own);
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let (certificate, key) = signed(&["localhost"], "localhost");
        let (client, client_key) = signed(&[], "certified");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let files = [("server.pem", &*certificate), ("server.key", &*key), ("ca.pem", &*ca), ("pg_hba.conf", ACCESS)];
        let cluster = server::start(&files, |folder| {
            let at = folder.display();
            format!(
                "-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on -c ssl_cert_file={at}/server.pem \
                 -c ssl_key_file={at}/server.key -c ssl_ca_file={at}/ca.pem"
            )
        });
        let folder = tempfile::TempDir::new().unwrap();
        for (name, text) in [("ca.pem", ca), ("other.pem", other), ("client.pem", client), ("client.key", client_key)] {
            crate::seal::private_file::create(&folder.path().join(name), text.as_bytes()).unwrap();
        }
        cluster.administer(port, "CREATE ROLE certified LOGIN SUPERUSER");
        Self { _cluster: cluster, port, folder }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}
