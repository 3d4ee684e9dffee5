//! A raw TCP server between a host and a fake panel: it passes requests on, or misbehaves in one way when told to.

use super::{Provider, Rig};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// What a connection meets.
#[derive(Debug, Clone)]
pub enum Conduct {
    /// It is reset when there is something to read.
    Reset,
    /// There is something to read, and nobody does.
    Ignored,
    /// The request is read, and comes back whole as the complaint of a 422 with this content type.
    Echoes(&'static str),
    /// The request is read; these bytes are the answer, then the connection is closed.
    Says(Vec<u8>),
    /// The same, and then it is reset.
    SaysAndResets(Vec<u8>),
    /// The same, and then it stays open for ever.
    SaysAndHangs(Vec<u8>),
    /// Head, then a byte at each [`Front::drip`].
    Drips(Vec<u8>),
    /// Head, then this piece so often, or until nobody takes it.
    Floods(Vec<u8>, Vec<u8>, usize),
}

/// How the server shows itself on a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// With a certificate of the authority.
    Good,
    /// With one that has expired.
    Expired,
    /// With one for another host.
    OtherName,
    /// With one that nobody signed but itself.
    SelfSigned,
    /// With one of an authority of the same name and another key.
    OtherAuthority,
    /// It closes in the midst of it.
    Cut,
    /// It answers in plain HTTP.
    Plain,
    /// It says nothing.
    Silent,
}

struct Plan {
    /// Connections that are passed on before.
    skip: usize,
    /// Whether the request reaches the panel, whatever is answered.
    is_carried_out: bool,
    conduct: Conduct,
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    handshake: Option<Handshake>,
    lines: Vec<String>,
}

struct Shared {
    panel: SocketAddr,
    state: Mutex<State>,
    misbehaved: watch::Sender<usize>,
    /// Bytes of floods that were taken, or that lie in buffers between.
    flooded: AtomicUsize,
    drips: watch::Sender<usize>,
    tls: Option<Authority>,
}

/// The server; it stops when it is dropped.
pub struct Front {
    address: SocketAddr,
    prefix: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Front {
    /// Before the rig's panel, in plain HTTP.
    pub async fn before<P: Provider>(rig: &Rig<P>) -> Self {
        Self::start(rig, None).await
    }

    /// The same over TLS.
    pub async fn before_with_tls<P: Provider>(rig: &Rig<P>) -> Self {
        Self::start(rig, Some(Authority::new())).await
    }

    async fn start<P: Provider>(rig: &Rig<P>, tls: Option<Authority>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let own = P::base_url(&rig.running);
        let prefix = own.strip_prefix(&format!("http://{}", rig.running.address())).expect("the panel's address");
        let shared = Arc::new(Shared {
            panel: rig.running.address(),
            state: Mutex::default(),
            misbehaved: watch::Sender::new(0),
            flooded: AtomicUsize::new(0),
            drips: watch::Sender::new(0),
            tls,
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, prefix: prefix.to_owned(), shared, task }
    }

    /// Where the panel's API is, for the host.
    pub fn base_url(&self) -> String {
        match &self.shared.tls {
            Some(_) => format!("https://localhost:{}{}", self.address.port(), self.prefix),
            None => format!("http://{}{}", self.address, self.prefix),
        }
    }

    /// The certificate of the authority to trust, as PEM.
    pub fn authority_pem(&self) -> &str {
        self.shared.tls.as_ref().map_or("", |authority| &authority.pem)
    }

    /// After `skip` requests that are passed on, one connection meets this. With `is_carried_out` the panel gets the request
    /// all the same, and only its answer is lost.
    pub fn plan(&self, skip: usize, is_carried_out: bool, conduct: Conduct) {
        self.state().plan = Some(Plan { skip, is_carried_out, conduct });
    }

    /// The next connection meets this.
    pub fn plan_handshake(&self, handshake: Handshake) {
        self.state().handshake = Some(handshake);
    }

    /// Whether what was planned has not come to pass.
    pub fn is_pending(&self) -> bool {
        let state = self.state();
        state.plan.is_some() || state.handshake.is_some()
    }

    /// The first lines of the requests that were read.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.clone()
    }

    /// Counts connections that met something.
    pub fn misbehaved(&self) -> watch::Receiver<usize> {
        self.shared.misbehaved.subscribe()
    }

    /// How many bytes of all floods were taken, or lie in buffers between.
    pub fn flooded(&self) -> usize {
        self.shared.flooded.load(Ordering::Relaxed)
    }

    /// Lets a byte out where a connection drips.
    pub fn drip(&self) {
        self.shared.drips.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let plan = {
            let mut state = shared.state();
            match &mut state.plan {
                Some(plan) if plan.skip > 0 => {
                    plan.skip -= 1;
                    None
                }
                _ => state.plan.take(),
            }
        };
        let handshake = shared.state().handshake.take().unwrap_or(Handshake::Good);
        connections.spawn(connection(stream, plan, handshake, Arc::clone(&shared)));
    }
}

async fn connection(stream: TcpStream, plan: Option<Plan>, handshake: Handshake, shared: Arc<Shared>) {
    let Some(authority) = &shared.tls else {
        return plain(stream, plan, &shared).await;
    };
    if handshake != Handshake::Good {
        shared.misbehaved.send_modify(|count| *count += 1);
    }
    match handshake {
        Handshake::Cut => cut(stream).await,
        Handshake::Silent => std::future::pending().await,
        Handshake::Plain => {
            let mut stream = stream;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
        shown => {
            if let Ok(stream) = authority.acceptor(shown).accept(stream).await {
                answer(stream, plan, &shared).await;
            }
        }
    }
}

/// Reads what a client says first, and goes after half an answer: the beginning of a handshake record.
async fn cut(mut stream: TcpStream) {
    let mut hello = [0; 512];
    let _ = stream.read(&mut hello).await;
    let _ = stream.write_all(&[22, 3, 3, 0, 122, 2, 0]).await;
}

async fn plain(stream: TcpStream, plan: Option<Plan>, shared: &Shared) {
    match plan.as_ref().map(|plan| &plan.conduct) {
        // A client that is still connecting would have another kind of trouble.
        Some(Conduct::Reset) => {
            let _ = stream.peek(&mut [0]).await;
            shared.misbehaved.send_modify(|count| *count += 1);
            reset(&stream);
        }
        Some(Conduct::Ignored) => {
            let _ = stream.peek(&mut [0]).await;
            shared.misbehaved.send_modify(|count| *count += 1);
            std::future::pending::<()>().await;
        }
        Some(Conduct::SaysAndResets(_)) => {
            let mut stream = stream;
            answer(&mut stream, plan, shared).await;
            reset(&stream);
        }
        _ => answer(stream, plan, shared).await,
    }
}

fn reset(stream: &TcpStream) {
    stream.set_zero_linger().expect("a socket option");
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, plan: Option<Plan>, shared: &Shared) {
    let request = read_request(&mut stream).await;
    let line = request.lines().next().unwrap_or_default().to_owned();
    if line.is_empty() {
        return;
    }
    shared.state().lines.push(line);
    let Some(Plan { is_carried_out, conduct, .. }) = plan else {
        let _ = stream.write_all(&pass_on(shared.panel, &request).await).await;
        let _ = stream.shutdown().await;
        return;
    };
    if is_carried_out {
        pass_on(shared.panel, &request).await;
    }
    match conduct {
        Conduct::Echoes(kind) => {
            let _ = stream.write_all(&echo(kind, &request)).await;
            let _ = stream.flush().await;
            shared.misbehaved.send_modify(|count| *count += 1);
        }
        Conduct::Says(bytes) | Conduct::SaysAndResets(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            shared.misbehaved.send_modify(|count| *count += 1);
        }
        Conduct::SaysAndHangs(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            shared.misbehaved.send_modify(|count| *count += 1);
            std::future::pending::<()>().await;
        }
        Conduct::Drips(head) => {
            let mut drips = shared.drips.subscribe();
            let _ = stream.write_all(&head).await;
            shared.misbehaved.send_modify(|count| *count += 1);
            while drips.changed().await.is_ok() && stream.write_all(b"1").await.is_ok() {}
        }
        Conduct::Floods(head, piece, times) => {
            shared.misbehaved.send_modify(|count| *count += 1);
            let mut is_taken = stream.write_all(&head).await.is_ok();
            for _ in 0..times {
                is_taken = is_taken && stream.write_all(&piece).await.is_ok();
                if !is_taken {
                    break;
                }
                shared.flooded.fetch_add(piece.len(), Ordering::Relaxed);
            }
            let _ = stream.shutdown().await;
        }
        Conduct::Reset | Conduct::Ignored => {}
    }
}

fn echo(kind: &str, request: &str) -> Vec<u8> {
    let body = match kind {
        "application/json" => serde_json::json!({ "msg": request }).to_string(),
        _ => format!("<html><pre>{}</pre></html>", request.replace('&', "&amp;").replace('<', "&lt;")),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 422 No\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    [head, body].concat().into_bytes()
}

/// Carries a request to the panel, and brings its whole answer, which closes its connection and says so: a client would keep
/// the connection otherwise, and lose its next request to it.
async fn pass_on(panel: SocketAddr, request: &str) -> Vec<u8> {
    let (line, rest) = request.split_once("\r\n").expect("a request");
    let mut stream = TcpStream::connect(panel).await.expect("the panel listens");
    stream.write_all(format!("{line}\r\nconnection: close\r\n{rest}").as_bytes()).await.expect("the panel reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the panel answers");
    let line_end = answer.iter().position(|&byte| byte == b'\n').expect("a status line") + 1;
    answer.splice(line_end..line_end, *b"connection: close\r\n");
    answer
}

/// One request, head and body; empty if the connection was closed instead.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return String::new();
        }
    }
}

/// Who signs the server's certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    other: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let (issuer, pem) = Self::issuer();
        Self { pem, issuer, other: Self::issuer().0 }
    }

    fn issuer() -> (Issuer<'static, KeyPair>, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "An authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("an authority").pem();
        (Issuer::new(params, key), pem)
    }

    fn acceptor(&self, handshake: Handshake) -> TlsAcceptor {
        let name = if handshake == Handshake::OtherName { "panel.example" } else { "localhost" };
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        if handshake == Handshake::Expired {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let certificate = match handshake {
            Handshake::SelfSigned => params.self_signed(&key),
            Handshake::OtherAuthority => params.signed_by(&key, &self.other),
            _ => params.signed_by(&key, &self.issuer),
        };
        let certificate = certificate.expect("a certificate").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key fits");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// The time-out of an exchange, unless a server's entry says otherwise.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
