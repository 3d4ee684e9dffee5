//! The panel's commands and how they are asked.
//!
//! Source: ROOTPANEL.NET API, "commands" and "common fields". Names are case-sensitive, every value is text, and a field that is
//! there must not be empty.

use crate::settings::{Credential, Format, Id};
use billhook_plugin_api::{Request, segment};

/// One of the fourteen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    CreateOrder,
    RenewOrder,
    SuspendOrder,
    UnSuspendOrder,
    GetTarifs,
    ReinstallOrder,
    GetOrders,
    GetBalance,
    AddonsOrder,
    StartServer,
    ShutdownServer,
    RebootServer,
    ResetServer,
    GetVnc,
}

/// What a command does, as far as an error may leave it half done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Reads,
    /// Sets a state or gives a signal: small, and done or not.
    Sets,
    /// Queues work or spends money.
    Orders,
}

impl Command {
    /// All, in the order of the panel's page.
    #[cfg(test)]
    pub const ALL: [Self; 14] = [
        Self::CreateOrder,
        Self::RenewOrder,
        Self::SuspendOrder,
        Self::UnSuspendOrder,
        Self::GetTarifs,
        Self::ReinstallOrder,
        Self::GetOrders,
        Self::GetBalance,
        Self::AddonsOrder,
        Self::StartServer,
        Self::ShutdownServer,
        Self::RebootServer,
        Self::ResetServer,
        Self::GetVnc,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::CreateOrder => "createOrder",
            Self::RenewOrder => "renewOrder",
            Self::SuspendOrder => "suspendOrder",
            Self::UnSuspendOrder => "unSuspendOrder",
            Self::GetTarifs => "getTarifs",
            Self::ReinstallOrder => "reinstallOrder",
            Self::GetOrders => "getOrders",
            Self::GetBalance => "getBalance",
            Self::AddonsOrder => "addonsOrder",
            Self::StartServer => "startServer",
            Self::ShutdownServer => "shutdownServer",
            Self::RebootServer => "rebootServer",
            Self::ResetServer => "resetServer",
            Self::GetVnc => "getVnc",
        }
    }

    pub const fn effect(self) -> Effect {
        match self {
            Self::GetTarifs | Self::GetOrders | Self::GetBalance | Self::GetVnc => Effect::Reads,
            Self::SuspendOrder
            | Self::UnSuspendOrder
            | Self::StartServer
            | Self::ShutdownServer
            | Self::RebootServer
            | Self::ResetServer => Effect::Sets,
            Self::CreateOrder | Self::RenewOrder | Self::AddonsOrder | Self::ReinstallOrder => Effect::Orders,
        }
    }
}

/// Below the base URL, on every panel that we know of.
const PATH: &str = "/apih.php";

/// The only plan type that there is.
pub const VID: &str = "vds";

/// Secrets of answers, at any depth: access data of orders, and the two halves of a console's address.
pub const REPLY_SECRETS: &[&str] = &["**.serverpassword", "**.password", "**.wss_url"];

/// Asks the panel's commands for one login.
pub struct Caller {
    pub login: String,
    pub credential: Credential,
    pub format: Format,
}

/// What is ordered.
#[derive(Debug, Clone, Copy)]
pub struct NewOrder<'o> {
    pub tarifid: &'o Id,
    pub period: u32,
    pub locationid: Option<&'o Id>,
    pub addons: &'o [Id],
    pub domain: Option<&'o str>,
}

impl Caller {
    pub fn balance(&self) -> Request {
        self.request(Command::GetBalance, &[])
    }

    pub fn plans(&self) -> Request {
        self.request(Command::GetTarifs, &[("vid", VID)])
    }

    pub fn plan(&self, tarifid: &str) -> Request {
        self.request(Command::GetTarifs, &[("vid", VID), ("tarifid", tarifid)])
    }

    pub fn orders(&self) -> Request {
        self.request(Command::GetOrders, &[])
    }

    pub fn order(&self, orderid: &Id) -> Request {
        self.request(Command::GetOrders, &[("orderid", orderid.as_str())])
    }

    /// Never with `autorenew`: it can be set only here, and nothing can clear it, so that an order would be charged for
    /// after its termination.
    pub fn create(&self, order: NewOrder<'_>) -> Request {
        let (period, addons) = (order.period.to_string(), list(order.addons));
        let fields = [
            ("vid", VID),
            ("tarifid", order.tarifid.as_str()),
            ("locationid", order.locationid.map(Id::as_str).unwrap_or_default()),
            ("period", &period),
            ("addons", &addons),
            ("autorenew", "0"),
            ("domain", order.domain.unwrap_or_default()),
        ];
        self.request(Command::CreateOrder, &fields)
    }

    pub fn renew(&self, orderid: &Id, period: u32) -> Request {
        self.request(Command::RenewOrder, &[("orderid", orderid.as_str()), ("period", &period.to_string())])
    }

    pub fn add(&self, orderid: &Id, addons: &[Id]) -> Request {
        self.request(Command::AddonsOrder, &[("orderid", orderid.as_str()), ("addons", &list(addons))])
    }

    pub fn reinstall(&self, orderid: &Id, osid: &Id, panelid: Option<&Id>) -> Request {
        let panelid = panelid.map(Id::as_str).unwrap_or_default();
        let fields = [("orderid", orderid.as_str()), ("osid", osid.as_str()), ("panelid", panelid)];
        self.request(Command::ReinstallOrder, &fields)
    }

    /// A command that takes nothing but the order.
    pub fn of_order(&self, command: Command, orderid: &Id) -> Request {
        self.request(command, &[("orderid", orderid.as_str())])
    }

    /// What is empty is not sent.
    fn request(&self, command: Command, fields: &[(&str, &str)]) -> Request {
        let (name, credential) = match &self.credential {
            Credential::ApiKey(key) => ("apikey", key.expose()),
            Credential::Pass(pass) => ("pass", pass.expose()),
        };
        let format = match self.format {
            Format::Json => "1",
            Format::Php => "",
        };
        let common = [("command", command.word()), ("login", &self.login), (name, credential), ("json", format)];
        let pairs: Vec<String> = common
            .iter()
            .chain(fields)
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{}={}", segment(name), segment(value)))
            .collect();
        let request = Request::post(PATH)
            .body("application/x-www-form-urlencoded", pairs.join("&").into_bytes())
            .secret("pass")
            .secret("apikey");
        match command.effect() {
            Effect::Reads => request.reading(),
            Effect::Sets => request,
            Effect::Orders => request.slow(),
        }
    }
}

fn list(ids: &[Id]) -> String {
    ids.iter().map(Id::as_str).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use billhook_plugin_api::Secret;

    fn caller(credential: Credential, format: Format) -> Caller {
        Caller { login: "shop@x".into(), credential, format }
    }

    fn key() -> Caller {
        caller(Credential::ApiKey(Secret::new("k&y=1".into())), Format::Json)
    }

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    fn body(request: &Request) -> String {
        String::from_utf8(request.body.clone()).unwrap()
    }

    #[test]
    fn every_command_is_a_form_with_its_own_fields() {
        const COMMON: &str = "login=shop%40x&apikey=k%26y%3D1&json=1";
        let caller = key();
        let (order, plan, place, system) = (id("50123"), id("12"), id("3"), id("7"));
        let addons = [id("7"), id("9"), id("9")];
        let new = NewOrder {
            tarifid: &plan,
            period: 12,
            locationid: Some(&place),
            addons: &addons,
            domain: Some("a.example"),
        };
        let bare = NewOrder { tarifid: &plan, period: 1, locationid: None, addons: &[], domain: None };
        for (request, command, fields) in [
            (caller.balance(), "getBalance", ""),
            (caller.plans(), "getTarifs", "&vid=vds"),
            (caller.plan("12"), "getTarifs", "&vid=vds&tarifid=12"),
            (caller.orders(), "getOrders", ""),
            (caller.order(&order), "getOrders", "&orderid=50123"),
            (
                caller.create(new),
                "createOrder",
                "&vid=vds&tarifid=12&locationid=3&period=12&addons=7%2C9%2C9&autorenew=0&domain=a.example",
            ),
            (caller.create(bare), "createOrder", "&vid=vds&tarifid=12&period=1&autorenew=0"),
            (caller.renew(&order, 1), "renewOrder", "&orderid=50123&period=1"),
            (caller.add(&order, &addons), "addonsOrder", "&orderid=50123&addons=7%2C9%2C9"),
            (caller.reinstall(&order, &system, Some(&place)), "reinstallOrder", "&orderid=50123&osid=7&panelid=3"),
            (caller.reinstall(&order, &system, None), "reinstallOrder", "&orderid=50123&osid=7"),
            (caller.of_order(Command::UnSuspendOrder, &order), "unSuspendOrder", "&orderid=50123"),
        ] {
            assert_eq!(body(&request), format!("command={command}&{COMMON}{fields}"));
            assert_eq!((request.method.as_str(), request.path.as_str(), request.query.len()), ("POST", "/apih.php", 0));
            assert_eq!(request.request_secrets, ["pass", "apikey"]);
            assert_eq!(request.headers, [("Content-Type".into(), "application/x-www-form-urlencoded".into())]);
        }
    }

    #[test]
    fn only_commands_that_read_are_declared_so() {
        let reading: Vec<&str> = Command::ALL
            .into_iter()
            .filter(|command| key().of_order(*command, &id("1")).is_read())
            .map(Command::word)
            .collect();
        assert_eq!(reading, ["getTarifs", "getOrders", "getBalance", "getVnc"]);
    }

    #[test]
    fn a_password_is_sent_as_one_and_the_format_is_asked_for() {
        let caller = caller(Credential::Pass(Secret::new("p".into())), Format::Php);
        assert_eq!(body(&caller.balance()), "command=getBalance&login=shop%40x&pass=p");
    }
}
