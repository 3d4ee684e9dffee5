use crate::members::members;
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// One lifecycle event from billing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// Make what the customer bought.
    Create,
    /// Stop it, keep it.
    Suspend,
    /// Start it again.
    Unsuspend,
    /// End it.
    Terminate,
    /// Paid for another period.
    Renew,
    /// Make it what another product promises.
    ChangePackage,
    /// Set a new password.
    ChangePassword,
    /// Add what was bought on top.
    OrderAddons,
    /// Start, stop, shut down, reboot or reset a machine.
    Power,
    /// Install it anew; what is on it is lost.
    Reinstall,
    /// Ask for a way to the machine's screen.
    Console,
    /// Ask for a link that signs the customer in to the panel.
    Login,
    /// Read what the panel says of it.
    Status,
    /// Read how much of its limits it uses.
    Usage,
    /// Read what a server has.
    List,
    /// Try a server's address, credentials and rights.
    Test,
    /// Read which values a product setting may take on a server.
    Options,
    /// Read how many more of a product a server has room for.
    Capacity,
    /// An action of the provider's own, named in its manifest.
    Action,
}

impl Hook {
    /// Every hook of this version.
    pub const ALL: [Self; 19] = [
        Self::Create,
        Self::Suspend,
        Self::Unsuspend,
        Self::Terminate,
        Self::Renew,
        Self::ChangePackage,
        Self::ChangePassword,
        Self::OrderAddons,
        Self::Power,
        Self::Reinstall,
        Self::Console,
        Self::Login,
        Self::Status,
        Self::Usage,
        Self::List,
        Self::Test,
        Self::Options,
        Self::Capacity,
        Self::Action,
    ];

    /// The word in paths, JSON, SQL and manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Suspend => "suspend",
            Self::Unsuspend => "unsuspend",
            Self::Terminate => "terminate",
            Self::Renew => "renew",
            Self::ChangePackage => "change_package",
            Self::ChangePassword => "change_password",
            Self::OrderAddons => "order_addons",
            Self::Power => "power",
            Self::Reinstall => "reinstall",
            Self::Console => "console",
            Self::Login => "login",
            Self::Status => "status",
            Self::Usage => "usage",
            Self::List => "list",
            Self::Test => "test",
            Self::Options => "options",
            Self::Capacity => "capacity",
            Self::Action => "action",
        }
    }

    /// The hook of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.as_str() == word)
    }

    /// Whether the hook, by its nature, changes nothing. An [`Hook::Action`] says so in its manifest entry instead.
    pub const fn is_read(self) -> bool {
        matches!(
            self,
            Self::Console
                | Self::Login
                | Self::Status
                | Self::Usage
                | Self::List
                | Self::Test
                | Self::Options
                | Self::Capacity
        )
    }

    /// Whether the hook is about a server, not about a service.
    pub const fn is_on_server(self) -> bool {
        matches!(self, Self::List | Self::Test | Self::Options | Self::Capacity)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one customer bought, as the host knows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Service {
    /// The billing platform's name in the host's configuration.
    pub platform: String,
    /// The platform's id of the service.
    pub id: String,
    /// The platform's id of the customer.
    pub client_id: Option<String>,
    /// A name that the platform chose for the account.
    pub username: Option<String>,
    /// Domain or host name that the customer ordered it for.
    pub domain: Option<String>,
    /// The panel's id of it, once a step or a result named it.
    pub remote_id: Option<String>,
    /// Which life of the service this is; counts from 1 and rises when the panel was read as gone.
    pub epoch: u32,
    /// Kept for this service by earlier hooks.
    pub properties: Map<String, Value>,
    /// Sealed values of earlier hooks.
    pub secrets: BTreeMap<String, Secret<String>>,
}

members!(Service { platform, id, client_id, username, domain, remote_id, epoch, properties, secrets } needs { platform, id });

/// Who bought it. Contact data: never part of what makes two hooks the same event.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Client {
    /// Person or company.
    pub name: String,
    /// Company, where the platform keeps it apart.
    pub company: Option<String>,
    /// Address for mail.
    pub email: String,
    /// As the platform has it.
    pub phone: Option<String>,
    /// BCP 47, as `en` or `pt-BR`.
    pub language: Option<String>,
}

members!(Client { name, company, email, phone, language });

/// `create`: make it.
#[derive(Debug, Clone)]
pub struct Create<P> {
    /// What was bought.
    pub service: Service,
    /// By whom.
    pub client: Client,
    /// The product's settings, with the order's options laid over them.
    pub product: P,
    /// A password that the customer chose.
    pub password: Option<Secret<String>>,
}

/// `suspend`: stop it, keep it.
#[derive(Debug, Clone)]
pub struct Suspend<P> {
    /// What to stop.
    pub service: Service,
    /// The product's settings.
    pub product: P,
    /// Why, for the panel or the log.
    pub reason: Option<String>,
}

/// `unsuspend`: start it again.
#[derive(Debug, Clone)]
pub struct Unsuspend<P> {
    /// What to start.
    pub service: Service,
    /// The product's settings.
    pub product: P,
}

/// `terminate`: end it.
#[derive(Debug, Clone)]
pub struct Terminate<P> {
    /// What to end.
    pub service: Service,
    /// The product's settings.
    pub product: P,
}

/// `renew`: paid for another period.
#[derive(Debug, Clone)]
pub struct Renew<P> {
    /// What was paid for.
    pub service: Service,
    /// The product's settings.
    pub product: P,
    /// Old and new end of the paid period.
    pub paid_until: PaidUntil,
}

/// Dates as `YYYY-MM-DD`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaidUntil {
    /// Until when it was paid before.
    pub from: String,
    /// Until when it is paid now.
    pub to: String,
}

/// `change_package`: make it what another product promises. The product already so is [`Change::noop`].
#[derive(Debug, Clone)]
pub struct ChangePackage<P> {
    /// What to change.
    pub service: Service,
    /// The new product's settings, with the order's options laid over them.
    pub product: P,
}

/// Whose password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordTarget {
    /// The customer's account on the panel.
    Account,
    /// The administrator of the machine.
    Root,
}

/// `change_password`: set a new one. Repeating it sets the same again.
#[derive(Debug, Clone)]
pub struct ChangePassword<P> {
    /// What it opens.
    pub service: Service,
    /// The product's settings.
    pub product: P,
    /// The new password; the panel makes one where it is absent and the panel can.
    pub password: Option<Secret<String>>,
    /// Whose; the provider's usual one where absent.
    pub target: Option<PasswordTarget>,
}

/// One thing bought on top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addon {
    /// The panel's id of it.
    pub id: String,
    /// How many; at least 1.
    #[serde(default = "one")]
    pub quantity: u32,
}

const fn one() -> u32 {
    1
}

/// `order_addons`: add what was bought on top.
#[derive(Debug, Clone)]
pub struct OrderAddons<P> {
    /// What gets them.
    pub service: Service,
    /// The product's settings.
    pub product: P,
    /// In the order's order; never empty.
    pub addons: Vec<Addon>,
}

/// What to do with a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerAction {
    /// On.
    Start,
    /// Off, at once.
    Stop,
    /// Ask the system on it to go down.
    Shutdown,
    /// Ask the system on it to start again.
    Reboot,
    /// Off and on again, at once.
    Reset,
}

impl PowerAction {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Start, Self::Stop, Self::Shutdown, Self::Reboot, Self::Reset];

    /// The word in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Shutdown => "shutdown",
            Self::Reboot => "reboot",
            Self::Reset => "reset",
        }
    }

    /// The action of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    /// Whether repeating it sets the same state again.
    pub const fn is_convergent(self) -> bool {
        matches!(self, Self::Start | Self::Stop | Self::Shutdown)
    }
}

impl fmt::Display for PowerAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `power`: start, stop, shut down, reboot or reset. A machine already so is [`Change::noop`].
#[derive(Debug, Clone)]
pub struct Power<P> {
    /// Which machine.
    pub service: Service,
    /// The product's settings.
    pub product: P,
    /// What to do.
    pub action: PowerAction,
}

/// `reinstall`: install it anew. The platform has confirmed that what is on it may be lost.
#[derive(Debug, Clone)]
pub struct Reinstall<P> {
    /// What to install.
    pub service: Service,
    /// The product's settings, with the options of this hook laid over them.
    pub product: P,
    /// A password that the customer chose.
    pub password: Option<Secret<String>>,
}

/// `console`: a way to the machine's screen.
#[derive(Debug, Clone)]
pub struct Console<P> {
    /// Which machine.
    pub service: Service,
    /// The product's settings.
    pub product: P,
}

/// `login`: a link that signs the customer in.
#[derive(Debug, Clone)]
pub struct Login<P> {
    /// To what.
    pub service: Service,
    /// The product's settings.
    pub product: P,
}

/// `usage`: read how much of its limits it uses.
#[derive(Debug, Clone)]
pub struct Usage<P> {
    /// What to look at.
    pub service: Service,
    /// The product's settings.
    pub product: P,
}

/// `status`: read what the panel says.
#[derive(Debug, Clone)]
pub struct Status<P> {
    /// What to look at.
    pub service: Service,
    /// The product's settings.
    pub product: P,
}

/// A provider's own hook.
#[derive(Debug, Clone)]
pub struct ActionCall<P> {
    /// Name of the action, as in the manifest.
    pub name: String,
    /// What it is about; absent for an action on a server.
    pub service: Option<Service>,
    /// The product's settings; absent for an action on a server.
    pub product: Option<P>,
    /// Valid by the action's schema.
    pub params: Value,
}

/// Texts for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// For the staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff: Option<String>,
    /// For the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

/// What a create made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// The panel's id of it.
    pub remote_id: String,
    /// The login on the panel or machine.
    pub username: Option<String>,
    /// Addresses, the main one first.
    pub ips: Vec<String>,
    /// Kept for later hooks and shown to staff; no secrets.
    pub properties: Map<String, Value>,
    /// Credentials for the customer; sealed, and given out until acknowledged.
    pub secrets: BTreeMap<String, Secret<String>>,
    /// Accepted, to be carried out later by staff or after payment.
    pub pending: Option<String>,
    /// Texts for people.
    pub message: Texts,
}

/// What a change did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Nothing was to change, **as read from the panel in this attempt**; the host refuses the claim otherwise.
    pub noop: bool,
    /// Laid over the service's properties; `null` removes one.
    pub properties: Map<String, Value>,
    /// New credentials.
    pub secrets: BTreeMap<String, Secret<String>>,
    /// Accepted, to be carried out later.
    pub pending: Option<String>,
    /// Texts for people.
    pub message: Texts,
}

impl Change {
    /// It was changed.
    pub fn done() -> Self {
        Self::default()
    }

    /// It was already so, as read from the panel in this attempt.
    pub fn noop() -> Self {
        Self { noop: true, ..Self::default() }
    }
}

/// How a terminate ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// The panel was read in this attempt and no longer has it.
    Gone,
    /// The panel accepted and will delete it then (Unix time in milliseconds).
    EndsAt(u64),
}

/// The billing words for what the panel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Being made.
    Provisioning,
    /// In use.
    Active,
    /// Stopped for billing reasons.
    Suspended,
    /// The panel no longer has it.
    Terminated,
    /// Broken on the panel.
    Error,
    /// The panel's word is not known to the provider.
    Unknown,
}

/// What the panel shows of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusReport {
    /// In billing words.
    pub state: ServiceState,
    /// Power of a machine, the panel's word (`running`); absent when unknown.
    pub power: Option<String>,
    /// Something accepted earlier is still not carried out.
    pub pending: Option<String>,
    /// Further facts for staff; no secrets.
    pub properties: Map<String, Value>,
}

/// A way to a machine's screen. Whoever has it is in: it is given to the caller and stored nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsoleAccess {
    /// Where to open it.
    pub url: Secret<String>,
    /// Asked for there.
    pub password: Option<Secret<String>>,
    /// Asked for there.
    pub username: Option<String>,
    /// How to open it: `html` in a browser, `vnc_websocket` in a viewer, `ipmi`.
    pub kind: String,
    /// Unix milliseconds; absent when the panel does not say.
    pub expires_at: Option<u64>,
}

/// A link that signs somebody in. Given to the caller and stored nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct LoginLink {
    /// Where to send the customer's browser.
    pub url: Secret<String>,
    /// Unix milliseconds; absent when the panel does not say.
    pub expires_at: Option<u64>,
}

/// One thing that is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// What: `traffic`, `disk`, `memory`, or the panel's own word.
    pub name: String,
    /// So much, in `unit`.
    pub used: u64,
    /// At most so much; absent when there is no limit or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// `bytes`, `count`, `seconds`, `bits_per_second`.
    pub unit: String,
    /// Over which time: `month`; absent for what is so now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
}

/// What a service uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// In the panel's order.
    pub measures: Vec<Measure>,
}

/// One thing that a panel has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedAccount {
    /// The panel's id of it.
    pub remote_id: String,
    /// Login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Domain or host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The owner's address for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The panel's name or id of what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Addresses, the main one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<String>,
    /// In billing words.
    pub state: ServiceState,
    /// When it was made, as the panel writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Further facts for staff; no secrets.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// What a server has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// In the panel's order.
    pub accounts: Vec<ListedAccount>,
}

/// A value that a product setting may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptionValue {
    /// For the setting.
    pub value: Value,
    /// For people.
    pub label: String,
}

/// How much room a server has for a product, as its panel tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// So many more can be made now; 0 is full, absent is not known. Only what the panel really tells: a number that is
    /// too low keeps orders away from a server that could take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// What was counted, for staff: which of the panel's numbers, and which of them is the least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Capacity {
    /// The panel does not tell.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Room for so many more.
    pub fn free(count: u64) -> Self {
        Self { free: Some(count), text: None }
    }

    /// With what was counted.
    #[must_use]
    pub fn told(self, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..self }
    }

    /// Whether nothing more can be made. What is not known is not full.
    pub const fn is_full(&self) -> bool {
        matches!(self.free, Some(0))
    }
}

/// One thing that a test looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found and, if not ok, the remedy.
    pub text: String,
}

/// What a test found. A server that cannot be reached or refuses the credentials is a fault instead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestReport {
    /// In the order looked at.
    pub findings: Vec<Finding>,
}

/// What an action returned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ActionResult {
    /// By the action's own description.
    pub data: Value,
    /// As for other changes.
    pub change: Change,
}
