use super::artifacts;
use super::front::EXCHANGE_TIMEOUT;
use super::provider::{PanelOf, Provider, RunningOf};
use crate::apiscp::{self, ApisCp};
use crate::clock::ManualClock as PanelManualClock;
use crate::cluster::Database;
use crate::dcimanager::{self, DciManager};
use crate::panel::{Running, World};
use crate::rootpanel::{self, RootPanel};
use crate::solidcp::{self, SolidCp};
use crate::virtfusion::{self, VirtFusion};
use billhook::attempt::Tap;
use billhook::clock::ManualClock;
use billhook::config::Config;
use billhook::engine::{Engine, EngineOptions, HookOptions};
use billhook::operation::State;
use billhook::problem::Problem;
use billhook::request::HookBody;
use billhook::store::{CommitTap, Life, Moment, Operation, OperationId, Service, ServiceKey};
use billhook_plugin_api::Hook;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;

/// Saturday, 1 January 2028: a date that no code can mistake for now.
const START_MS: u64 = 1_830_297_600_000;

/// How often time is moved for one operation: what waits longer waits for something that does not come.
const MOST_MOVES: usize = 5_000;

/// Set it to `postgres` to run every host on a server that does not say otherwise.
pub const STORE: &str = "BILLHOOK_TEST_STORE";

/// The platform that the rig sends as.
pub const PLATFORM: &str = "shop";

/// How a rig differs from the plain one.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Lines of TOML after the rig's own.
    pub extra: String,
    /// The user that speaks for the platform; nobody's when absent.
    pub uid: Option<u32>,
    /// Lines of TOML for the server's entry.
    pub server: String,
    /// Further members of the server's settings, as in an inline table.
    pub settings: Option<String>,
    /// Settings of the product, instead of the rig's own.
    pub product: Option<String>,
    /// Lines of TOML for the sockets.
    pub socket: String,
    /// Lines of TOML for the store's section.
    pub store_lines: String,
    /// What the platform may send, as TOML; everything when absent.
    pub hooks: Option<String>,
    /// What the host's store is on.
    pub store: StoreOn,
}

/// What a store is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOn {
    /// A file in the rig's folder.
    Sqlite,
    /// A database of the tests' own server.
    Postgres,
}

thread_local! {
    static HERE: Cell<Option<StoreOn>> = const { Cell::new(None) };
}

impl StoreOn {
    /// The rigs that `make` makes have their stores there, unless they say otherwise.
    pub fn within<T>(self, make: impl FnOnce() -> T) -> T {
        let before = HERE.replace(Some(self));
        let made = make();
        HERE.set(before);
        made
    }
}

impl Default for StoreOn {
    /// A file, but [within](Self::within) what says otherwise, and for whoever asks for the other in [`STORE`].
    fn default() -> Self {
        if let Some(here) = HERE.get() {
            return here;
        }
        match std::env::var(STORE).as_deref() {
            Ok("postgres") => Self::Postgres,
            Ok("sqlite") | Err(_) => Self::Sqlite,
            Ok(other) => panic!("{STORE}={other}: write sqlite or postgres"),
        }
    }
}

/// A fake panel, a folder with a configuration, and the clocks that move both.
pub struct Rig<P: Provider = VirtFusion> {
    /// The panel's server.
    pub running: RunningOf<P>,
    /// The host's clock.
    pub clock: ManualClock,
    /// The panel's clock; moved together with the host's.
    pub panel_clock: PanelManualClock,
    /// Everything that the host writes.
    pub folder: TempDir,
    /// Where the host's store is, if not in the folder.
    pub database: Option<Database>,
    /// What hosts after a cut have in its place.
    cut: Mutex<Vec<Database>>,
    setup: Setup,
    /// Another panel's address, where the configuration names that.
    elsewhere: Option<(String, String)>,
}

/// One life of a host.
pub struct Host {
    /// The engine.
    pub engine: Arc<Engine>,
    clock: ManualClock,
    panel_clock: PanelManualClock,
    /// How many calls the panel holds.
    stalled: watch::Receiver<usize>,
}

/// A folder in memory, where there is one: the tests count commits, not the disk's milliseconds.
pub fn temp_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = &mut tempfile::Builder::new();
    let builder = builder.prefix("billhook-");
    if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() }.expect("a temporary folder")
}

/// One staging folder for all: a library of one path is mapped once.
pub(super) static STAGING: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = temp_folder();
    let path = folder.path().join("staged");
    (folder, path)
});

/// The folder that a provider's library is taken from, and no other: a host hashes all that it finds there.
fn plugins<P: Provider>() -> PathBuf {
    static FOLDERS: Mutex<BTreeMap<&str, TempDir>> = Mutex::new(BTreeMap::new());
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    let made = folders.entry(P::LIBRARY).or_insert_with(|| {
        let folder = temp_folder();
        private(folder.path());
        let library = folder.path().join(P::LIBRARY);
        // A host hashes the whole file at every start, and most of it is for a debugger.
        let mut strip = Command::new("strip");
        strip.arg("--strip-debug").arg("-o").arg(&library).arg(artifacts::path(P::LIBRARY));
        assert!(strip.status().expect("strip runs; it comes with a C compiler").success());
        private(&library);
        folder
    });
    made.path().to_owned()
}

/// The loader refuses what others may write, and a test must not depend on the umask.
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its mode is set");
}

impl Rig<VirtFusion> {
    /// A VirtFusion panel and an empty folder.
    pub fn new() -> Self {
        Self::with(Setup::default(), |_| {})
    }

    /// With another configuration or panel.
    pub fn with(setup: Setup, panel: impl FnOnce(&mut virtfusion::Config)) -> Self {
        Self::beside(setup, panel)
    }

    /// With all that its host writes below this folder.
    pub fn in_folder(parent: &Path, setup: Setup) -> Self {
        let mut rig = Self::with(setup, |_| {});
        rig.folder = tempfile::Builder::new().prefix("billhook-").tempdir_in(parent).expect("a temporary folder");
        rig.write_config();
        rig
    }

    /// With its store on a disk, where a sync takes its time.
    pub fn on_disk(setup: Setup) -> Self {
        let mut rig = Self::with(setup, |_| {});
        rig.folder = tempfile::Builder::new().prefix("billhook-").tempdir().expect("a temporary folder");
        rig.write_config();
        rig
    }
}

impl Rig<RootPanel> {
    /// A ROOTPANEL panel and an empty folder.
    pub fn rootpanel() -> Self {
        Self::rootpanel_with(Setup::default(), |_| {})
    }

    /// With another configuration or panel.
    pub fn rootpanel_with(setup: Setup, panel: impl FnOnce(&mut rootpanel::Config)) -> Self {
        Self::beside(setup, panel)
    }
}

impl Rig<SolidCp> {
    /// A SolidCP panel and an empty folder.
    pub fn solidcp() -> Self {
        Self::solidcp_with(Setup::default(), |_| {})
    }

    /// With another configuration or panel.
    pub fn solidcp_with(setup: Setup, panel: impl FnOnce(&mut solidcp::Config)) -> Self {
        Self::beside(setup, panel)
    }
}

impl Rig<DciManager> {
    /// A DCImanager panel and an empty folder.
    pub fn dcimanager() -> Self {
        Self::dcimanager_with(Setup::default(), |_| {})
    }

    /// With another configuration or panel.
    pub fn dcimanager_with(setup: Setup, panel: impl FnOnce(&mut dcimanager::Config)) -> Self {
        Self::beside(setup, panel)
    }
}

impl Rig<ApisCp> {
    /// An ApisCP panel and an empty folder.
    pub fn apiscp() -> Self {
        Self::apiscp_with(Setup::default(), |_| {})
    }

    /// With another configuration or panel.
    pub fn apiscp_with(setup: Setup, panel: impl FnOnce(&mut apiscp::Config)) -> Self {
        Self::beside(setup, panel)
    }
}

impl<P: Provider> Rig<P> {
    /// A provider's panel and an empty folder.
    pub fn beside(setup: Setup, panel: impl FnOnce(&mut <P::World as World>::Config)) -> Self {
        let panel_clock = PanelManualClock::new(START_MS);
        let mut config = P::config(&panel_clock);
        panel(&mut config);
        let runtime = tokio::runtime::Handle::current();
        let running = Running::start_on(&runtime, config, (Ipv4Addr::LOCALHOST, 0).into()).expect("the panel starts");
        let rig = Self {
            running,
            clock: ManualClock::new(START_MS),
            panel_clock,
            folder: temp_folder(),
            database: (setup.store == StoreOn::Postgres).then(Database::empty),
            cut: Mutex::default(),
            setup,
            elsewhere: None,
        };
        rig.write_config();
        rig
    }

    /// The panel's state.
    pub fn panel(&self) -> &PanelOf<P> {
        self.running.panel()
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("billhook.toml")
    }

    /// Writes the configuration again, with other lines.
    pub fn reconfigure(&mut self, setup: Setup) {
        self.setup = setup;
        self.write_config();
    }

    /// Lets the server's entry name another panel.
    pub fn point_at(&mut self, other: &Self) {
        self.elsewhere = Some((P::base_url(&other.running), P::secret(&other.running)));
        self.write_config();
    }

    /// Lets the server's entry name something that stands before its panel.
    pub fn stand_behind(&mut self, base_url: String) {
        self.elsewhere = Some((base_url, P::secret(&self.running)));
        self.write_config();
    }

    /// Lets the server's entry name its own panel again.
    pub fn point_back(&mut self) {
        self.elsewhere = None;
        self.write_config();
    }

    /// Lets this user speak for the platform.
    pub fn let_in(&mut self, uid: u32) {
        self.setup.uid = Some(uid);
        self.write_config();
    }

    fn write_config(&self) {
        let folder = self.folder.path();
        let own = || (P::base_url(&self.running), P::secret(&self.running));
        let (base_url, secret) = self.elsewhere.clone().unwrap_or_else(own);
        let token = folder.join("token");
        std::fs::write(&token, secret).expect("the token is written");
        private_file(&token);
        let text = format!(
            r#"
[socket]
folder = "{folder}"
{socket}

[store]
url = "{url}"
{store_lines}

[seal]
key_file = "{folder}/host.key"

[plugins]
folder = "{plugins}"
trust_built_with_host = true

[platforms.{PLATFORM}]
uids = [{uid}]
hooks = {hooks}

[servers.panel]
provider = "{provider}"
base_url = "{base_url}"
allow_http = true
create_timeout = "{timeout}s"
settings = {{ {own}{more} }}
{server}

[products.vps]
server = "panel"
[products.vps.settings]
{product}
[products.vps-large]
server = "panel"
[products.vps-large.settings]
{large}
{extra}
"#,
            folder = folder.display(),
            url = match &self.database {
                Some(database) => database.url(),
                None => format!("sqlite://{}/billhook.db", folder.display()),
            },
            plugins = plugins::<P>().display(),
            provider = P::NAME,
            timeout = EXCHANGE_TIMEOUT.as_secs(),
            own = P::settings(&self.running, &token.display().to_string()),
            more = self.setup.settings.as_ref().map(|more| format!(", {more}")).unwrap_or_default(),
            product = self.setup.product.as_deref().unwrap_or(P::PRODUCT),
            large = P::LARGE_PRODUCT,
            extra = self.setup.extra,
            server = self.setup.server,
            uid = self.setup.uid.unwrap_or(12345),
            socket = self.setup.socket,
            store_lines = self.setup.store_lines,
            hooks = self.setup.hooks.as_deref().unwrap_or(r#""all""#),
        );
        let path = self.config_path();
        std::fs::write(&path, text).expect("the configuration is written");
        private_file(&path);
    }

    /// The configuration as the host reads it.
    pub fn config(&self) -> Arc<Config> {
        load(&self.config_path())
    }

    /// Starts the host.
    pub async fn host(&self) -> Host {
        self.start(self.config(), None).await
    }

    /// Starts the host with somebody at each of its exchanges and commits.
    pub async fn host_watched<W: Tap + CommitTap + 'static>(&self, watch: &Arc<W>) -> Host {
        self.start(self.config(), Some((Arc::clone(watch) as Arc<dyn Tap>, Arc::clone(watch) as Arc<dyn CommitTap>)))
            .await
    }

    /// Starts one of several hosts on the same store, which must be on Postgres. All live as long as this process, so that none can
    /// prove the end of another.
    pub async fn join(&self, name: &str, watch: Option<Arc<dyn Tap>>) -> Host {
        let watch = watch.map(|tap| (tap, Arc::new(Untapped) as Arc<dyn CommitTap>));
        self.start_as(load(&self.config_path_of(name)), watch, None).await
    }

    /// The configuration file of one of several hosts: as the rig's own, with a name and sockets of its own.
    pub fn config_path_of(&self, name: &str) -> PathBuf {
        let folder = self.folder.path();
        let text = std::fs::read_to_string(self.config_path()).expect("the configuration is read");
        let own = folder.join(name);
        let text = text.replace(
            &format!("[socket]\nfolder = \"{}\"", folder.display()),
            &format!("[socket]\nfolder = \"{}\"", own.display()),
        );
        let text = text.replace("[store]\n", &format!("[store]\nhost = \"{name}\"\n"));
        std::fs::create_dir_all(&own).expect("the folder is made");
        let path = folder.join(format!("{name}.toml"));
        std::fs::write(&path, text).expect("the configuration is written");
        private_file(&path);
        path
    }

    /// Starts a host on a copy of what stands on the disk now, as if the power had gone this moment. The host that is there may
    /// stand still, but must not go on.
    pub async fn host_after_cut(&self) -> (TempDir, Host) {
        let (own, copy) = (self.folder.path(), temp_folder());
        let database = self.database.as_ref().map(Database::twin_after_cut);
        for file in std::fs::read_dir(own).expect("the rig's folder").flatten() {
            if file.path().is_file() {
                std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("the file is copied");
            }
        }
        let path = copy.path().join("billhook.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration is read");
        let mut text = text.replace(&own.display().to_string(), &copy.path().display().to_string());
        if let (Some(old), Some(new)) = (&self.database, &database) {
            text = text.replace(&old.url(), &new.url());
        }
        std::fs::write(&path, text).expect("the configuration is written");
        let host = self.start(load(&path), None).await;
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).extend(database);
        (copy, host)
    }

    async fn start(&self, config: Arc<Config>, watch: Option<(Arc<dyn Tap>, Arc<dyn CommitTap>)>) -> Host {
        self.start_as(config, watch, Some(next_life())).await
    }

    async fn start_as(
        &self,
        config: Arc<Config>,
        watch: Option<(Arc<dyn Tap>, Arc<dyn CommitTap>)>,
        life: Option<Life>,
    ) -> Host {
        let (tap, commit_tap) = watch.unzip();
        let options = EngineOptions {
            clock: self.clock.shared(),
            tap,
            commit_tap,
            staging: Some(STAGING.1.clone()),
            prober: Some(artifacts::path("billhook").to_owned()),
            life,
        };
        let engine = match Engine::start(config, options).await {
            Ok(engine) => engine,
            Err(error) => panic!("the engine does not start: {error:?}"),
        };
        assert!(engine.unready().is_empty(), "not ready: {:?}", engine.unready());
        Host {
            engine,
            clock: self.clock.clone(),
            panel_clock: self.panel_clock.clone(),
            stalled: self.panel().stalled(),
        }
    }
}

impl Default for Rig<VirtFusion> {
    fn default() -> Self {
        Self::new()
    }
}

/// Lets every commit pass.
struct Untapped;

impl CommitTap for Untapped {
    fn commit(&self, _: Moment, _: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

/// A life that every later one of this process takes for over: the tests end hosts where they stand.
fn next_life() -> Life {
    static LIVES: AtomicU64 = AtomicU64::new(1);
    Life { start: LIVES.fetch_add(1, Ordering::Relaxed), ..Life::own() }
}

fn load(path: &Path) -> Arc<Config> {
    match Config::load(Some(path), std::iter::empty()) {
        Ok(config) => Arc::new(config),
        Err(error) => panic!("the rig's configuration is refused: {error}"),
    }
}

fn private_file(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its mode is set");
}

/// The body of a hook on this service, with what the hook needs.
pub fn body(hook: Hook, service: &str) -> Value {
    let mut body =
        json!({ "service": { "id": service, "client_id": "77", "domain": format!("svc{service}.example.net") } });
    match hook {
        Hook::Create => {
            body["client"] = json!({ "name": "Acme Ltd", "email": "ops@acme.example", "language": "en" });
            body["product"] = json!({ "id": "vps" });
        }
        Hook::Renew => body["paid_until"] = json!({ "from": "2028-01-01", "to": "2028-02-01" }),
        Hook::OrderAddons => body["addons"] = json!([{ "id": "9", "quantity": 1 }]),
        Hook::Power => body["power"] = json!("reboot"),
        Hook::Reinstall => body["confirm"] = json!(true),
        Hook::Test => return json!({ "server": "panel" }),
        _ => {}
    }
    body
}

impl Host {
    /// Sends a hook without a key.
    pub async fn send(&self, hook: Hook, body: Value) -> Result<OperationId, Problem> {
        self.send_with(hook, body, None).await
    }

    /// Sends a hook with a key.
    pub async fn send_with(&self, hook: Hook, body: Value, key: Option<&str>) -> Result<OperationId, Problem> {
        let body = HookBody::parse(body.to_string().as_bytes())?;
        let options = HookOptions { key: key.map(str::to_owned), expires_at: None };
        Ok(self.engine.accept(PLATFORM, hook, body, options).await?.id)
    }

    /// Sends a hook on a service and drives it to its end.
    pub async fn run(&self, hook: Hook, service: &str) -> Operation {
        match self.send(hook, body(hook, service)).await {
            Ok(id) => self.drive(&id).await,
            Err(problem) => panic!("{hook} on {service} is refused: {problem}"),
        }
    }

    /// Moves time until the operation is final or needs a person.
    pub async fn drive(&self, id: &OperationId) -> Operation {
        let mut stalled = self.stalled.clone();
        let patience_from_now = || billhook::clock::Clock::monotonic(&self.clock) + EXCHANGE_TIMEOUT;
        let mut patience = patience_from_now();
        let mut moves = 0;
        loop {
            let mut activity = self.engine.activity();
            let mut sleepers = self.clock.version();
            if stalled.has_changed().unwrap_or(false) {
                patience = patience_from_now();
            }
            let is_stalled = *stalled.borrow_and_update() > 0;
            // Idle before the look: what is seen then stays so until time moves.
            let is_idle = self.engine.is_idle();
            let operation = self.operation(id).await;
            if operation.state.is_final() || operation.state == State::Attention {
                return operation;
            }
            if is_idle {
                let Some(at) = self.engine.next_due() else {
                    panic!("{id} is {}, and nothing is left to wait for", operation.state);
                };
                moves += 1;
                assert!(moves < MOST_MOVES, "{id} is {} and does not end: {operation:#?}", operation.state);
                self.advance_to(at);
            } else if is_stalled && self.clock.next_deadline().is_some_and(|at| at <= patience) {
                // No further than the time that whoever is held has: the panel hears late that it was left, and by then
                // the host may be asking again, which must not be cut short.
                if let Some(at) = self.clock.next_deadline() {
                    self.advance_to(at);
                }
                tokio::task::yield_now().await;
            } else {
                tokio::select! {
                    _ = activity.changed() => {}
                    // The panel may hold a call before the host has begun to wait for its answer.
                    _ = sleepers.changed(), if is_stalled => {}
                    _ = stalled.changed() => patience = patience_from_now(),
                }
            }
        }
    }

    /// Moves time until nothing is left that time would move: all operations final or with a person.
    pub async fn drive_all(&self, ids: &[OperationId]) -> Vec<Operation> {
        let mut ended = Vec::new();
        for id in ids {
            ended.push(self.drive(id).await);
        }
        ended
    }

    /// Lets everything under way come to rest without moving time.
    pub async fn rest(&self) {
        loop {
            let mut activity = self.engine.activity();
            if self.engine.is_idle() {
                return;
            }
            let _ = activity.changed().await;
        }
    }

    /// Moves time to the engine's next errand, and lets that come to rest.
    pub async fn pass_time(&self) {
        self.rest().await;
        let Some(at) = self.engine.next_due() else { panic!("nothing is left to wait for") };
        self.advance_to(at);
        self.rest().await;
    }

    /// Lets what is under way go on, and moves time a little, or when nothing is under way to the next errand: so that an exchange has
    /// all the time that it takes, and what is tried again every second is tried again.
    pub async fn step(&self) {
        const LITTLE: Duration = Duration::from_secs(2);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        let soon = billhook::clock::Clock::monotonic(&self.clock) + LITTLE;
        let at = match self.engine.is_idle() {
            true => self.engine.next_due(),
            false => self.clock.next_deadline().filter(|at| *at <= soon),
        };
        if let Some(at) = at {
            self.advance_to(at);
        }
    }

    /// The clock that it goes by.
    pub const fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn advance_to(&self, monotonic: Duration) {
        self.advance(monotonic.saturating_sub(billhook::clock::Clock::monotonic(&self.clock)));
    }

    /// Moves both clocks.
    pub fn advance(&self, by: Duration) {
        self.panel_clock.advance(by);
        self.clock.advance(by);
    }

    /// The operation as it stands.
    pub async fn operation(&self, id: &OperationId) -> Operation {
        match self.engine.operation(id).await {
            Ok(operation) => operation,
            Err(problem) => panic!("{id}: {problem}"),
        }
    }

    /// The service as it stands.
    pub async fn service(&self, service: &str) -> Option<Service> {
        let key = ServiceKey { platform: PLATFORM.to_owned(), service_id: service.to_owned() };
        self.engine.env().store.service(&key).await.expect("the store answers")
    }

    /// Stops the host; the next one may have the store.
    pub async fn stop(self) {
        self.engine.stop(Duration::from_secs(5)).await;
    }
}
