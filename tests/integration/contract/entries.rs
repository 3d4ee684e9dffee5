//! The suite's table: a row for each provider.

use super::codes::{At, Coded};
use super::entry::{Entry, Event, plain};
use billhook_plugin_api::{FaultClass, Hook};
use billhook_tests::apiscp::{ApisCp, SiteSeed};
use billhook_tests::dcimanager::DciManager;
use billhook_tests::harness::{Rig, Setup};
use billhook_tests::panel::{Answer, Body};
use billhook_tests::rootpanel::{OrderSeed, RootPanel};
use billhook_tests::solidcp::{Customer, SolidCp};
use billhook_tests::virtfusion::{ServerSeed, UserSeed, VirtFusion};
use serde_json::{Value, json};

fn settings(line: &str) -> Setup {
    Setup { settings: Some(line.to_owned()), ..Setup::default() }
}

fn suspend() -> Event {
    Event::plain("suspend", Hook::Suspend).one()
}

fn unsuspend() -> Event {
    Event::plain("unsuspend", Hook::Unsuspend).one().after(&["suspend"])
}

fn renew() -> Event {
    Event::plain("renew", Hook::Renew).one()
}

fn terminate() -> Event {
    Event::plain("terminate", Hook::Terminate).one()
}

fn package() -> Event {
    Event::new("change_package", Hook::ChangePackage, json!({ "product": { "id": "vps-large" } })).one()
}

fn power(name: &'static str) -> Event {
    Event::new(name, Hook::Power, json!({ "power": name }))
}

fn option(name: &'static str) -> Event {
    Event::new(name, Hook::Options, json!({ "field": name }))
}

fn action(name: &'static str) -> Event {
    Event::new(name, Hook::Action, json!({ "action": name, "params": {} }))
}

fn coded(name: impl ToString, at: At, answer: Answer, class: FaultClass) -> Coded {
    Coded { name: name.to_string(), at, answer, class }
}

fn bytes(status: u16, kind: &'static str, text: String) -> Answer {
    Answer { status, headers: Vec::new(), body: Body::Bytes(kind, text.into_bytes()) }
}

const XML: &str = "text/xml; charset=utf-8";

fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn soap_fault(text: &str) -> Answer {
    let fault = format!("<s:Fault><faultcode>s:Server</faultcode><faultstring>{text}</faultstring></s:Fault>");
    bytes(500, XML, envelope(&fault))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn looks(hooks: &[(&'static str, Hook)]) -> Vec<Event> {
    hooks.iter().map(|(name, hook)| Event::plain(name, *hook)).collect()
}

const STATUS: (&str, Hook) = ("status", Hook::Status);
const USAGE: (&str, Hook) = ("usage", Hook::Usage);
const LIST: (&str, Hook) = ("list", Hook::List);
const TEST: (&str, Hook) = ("test", Hook::Test);
const LOGIN: (&str, Hook) = ("login", Hook::Login);
const CONSOLE: (&str, Hook) = ("console", Hook::Console);

impl Entry for VirtFusion {
    // Mostly null; a part of a name.
    const WORDS: &'static [&'static str] = &["variant"];

    fn rig() -> Rig<Self> {
        let rig = Rig::with(settings("panel_url = \"https://cp.example.test\""), |panel| {
            panel.knobs.build_start_ms = 0;
            panel.knobs.build_ms = 0;
        });
        rig.panel().tune(|knobs| knobs.rebuilds_expected = true);
        rig
    }

    fn changes() -> Vec<Event> {
        let addons = json!({ "addons": [{ "id": "traffic_gb", "quantity": 100 }, { "id": "ipv4", "quantity": 2 }] });
        let system = json!({ "product": { "id": "vps", "options": { "os_template_id": 11 } } });
        vec![
            suspend(),
            unsuspend(),
            renew(),
            package(),
            Event::new("order_addons", Hook::OrderAddons, addons),
            power("stop"),
            power("start").after(&["stop"]),
            Event::new("change_password", Hook::ChangePassword, json!({ "target": "root" })),
            power("reboot"),
            Event::new("reinstall", Hook::Reinstall, system),
            terminate(),
        ]
    }

    fn looks() -> Vec<Event> {
        let mut all = looks(&[STATUS, USAGE, LIST, TEST, LOGIN, CONSOLE]);
        all.extend([option("package_id"), option("os_template_id")]);
        all.extend([action("templates"), action("backups"), action("traffic")]);
        all
    }

    fn state(rig: &Rig<Self>) -> Value {
        plain(json!({ "servers": rig.panel().servers(), "users": rig.panel().users() }))
    }

    fn codes() -> Vec<Coded> {
        use FaultClass::{Auth, ConflictBusy, InDoubt, InvalidInput, NotFound, PanelBug, Permission, RateLimited};
        let suspend = At::Change("suspend", "/servers/{id}/suspend");
        // What a look cannot be sure of, the panel has failed at.
        let rows = [
            (400, InvalidInput, InvalidInput),
            (401, Auth, Auth),
            (403, Permission, Permission),
            (404, NotFound, NotFound),
            (409, ConflictBusy, ConflictBusy),
            (418, PanelBug, PanelBug),
            (422, InvalidInput, InvalidInput),
            (423, ConflictBusy, ConflictBusy),
            (429, RateLimited, RateLimited),
            (500, PanelBug, InDoubt),
            (502, PanelBug, InDoubt),
            (503, ConflictBusy, ConflictBusy),
            (504, PanelBug, InDoubt),
        ];
        let both =
            rows.into_iter().flat_map(|(status, look, change)| [(status, At::Status, look), (status, suspend, change)]);
        // A status of what is not there is an answer, and no fault.
        let told = both.filter(|row| !matches!(row, (404, At::Status, _)));
        told.map(|(status, at, class)| coded(status, at, Answer::msg(status, "no"), class)).collect()
    }

    fn remove(rig: &Rig<Self>) {
        rig.panel().servers().iter().for_each(|server| rig.panel().remove_server(server.id));
    }

    fn next_customer(rig: &Rig<Self>, was: &Value) {
        let owner = rig.panel().seed_user(UserSeed::default());
        let name = was["servers"][0]["name"].as_str().unwrap_or_default().to_owned();
        rig.panel().seed_server(ServerSeed { owner_id: owner, name, ours: false });
    }
}

/// ROOTPANEL where its answers are in the other of its two forms.
pub fn serialized() -> Rig<RootPanel> {
    Rig::rootpanel_with(settings("format = \"php\""), |_| {})
}

impl Entry for RootPanel {
    fn rig() -> Rig<Self> {
        Rig::rootpanel()
    }

    fn changes() -> Vec<Event> {
        vec![
            suspend(),
            unsuspend(),
            renew(),
            Event::plain("order_addons", Hook::OrderAddons),
            power("reboot"),
            Event::plain("reinstall", Hook::Reinstall),
            terminate(),
        ]
    }

    fn looks() -> Vec<Event> {
        let mut all = looks(&[STATUS, LIST, TEST, CONSOLE]);
        all.extend([option("tarifid"), option("osid")]);
        all
    }

    fn state(rig: &Rig<Self>) -> Value {
        plain(json!({ "orders": rig.panel().orders(), "charges": rig.panel().charges() }))
    }

    fn codes() -> Vec<Coded> {
        use FaultClass::{AlreadyExists, Auth, Capacity, ConflictBusy, InvalidInput, NotFound, PluginBug, Unsupported};
        let classes = [
            (&[3, 9, 11, 15, 18, 41, 42, 43, 52][..], PluginBug),
            (&[4, 5, 6, 7, 54], Auth),
            (&[8, 25], Unsupported),
            (&[10, 12, 19, 26], NotFound),
            (&[14, 27], AlreadyExists),
            (&[13, 16, 17, 21, 22, 23, 24, 28, 29, 40, 46, 47, 48, 49, 51, 53], InvalidInput),
            (&[1, 2, 20, 44, 45, 55], ConflictBusy),
            (&[50], Capacity),
            (&[56, 999], FaultClass::PanelBug),
        ];
        let said = |code: u16| {
            let body = json!({ "status": "ERROR", "errorCode": code.to_string(), "errorMsg": "\u{41d}\u{435}\u{442}" });
            Answer::json(200, body)
        };
        let suspend = At::Change("suspend", "suspendOrder");
        let mut codes = Vec::new();
        for (class, code) in classes.into_iter().flat_map(|(all, class)| all.iter().map(move |code| (class, *code))) {
            // No such order, none at all, and suspended already are answers to the hook.
            if ![19, 26].contains(&code) {
                codes.push(coded(code, At::Status, said(code), class));
            }
            if ![19, 21, 26].contains(&code) {
                codes.push(coded(code, suspend, said(code), class));
            }
        }
        codes
    }

    fn remove(rig: &Rig<Self>) {
        rig.panel().orders().iter().for_each(|order| rig.panel().remove_order(order.id));
    }

    fn next_customer(rig: &Rig<Self>, _was: &Value) {
        let login = rig.running.user().login.clone();
        rig.panel().seed_order(OrderSeed { login, plan_id: 12, ours: false });
    }
}

impl Entry for SolidCp {
    const HELPS: &'static [&'static str] = &["GetVirtualMachineGeneralDetails"];

    fn rig() -> Rig<Self> {
        Rig::solidcp_with(settings("portal_url = \"https://cp.example.test:9001\""), |_| {})
    }

    fn changes() -> Vec<Event> {
        vec![
            suspend(),
            unsuspend(),
            renew(),
            package(),
            Event::new("order_addons", Hook::OrderAddons, json!({ "addons": [{ "id": "31", "quantity": 1 }] })),
            Event::plain("change_password", Hook::ChangePassword),
            power("shutdown"),
            power("start").after(&["shutdown"]),
            power("reboot"),
            Event::plain("reinstall", Hook::Reinstall),
            terminate(),
        ]
    }

    fn looks() -> Vec<Event> {
        let mut all = looks(&[STATUS, USAGE, LIST, TEST, LOGIN, CONSOLE]);
        all.push(option("plans"));
        all
    }

    fn state(rig: &Rig<Self>) -> Value {
        let panel = rig.panel();
        plain(json!({ "users": panel.users(), "spaces": panel.spaces(), "machines": panel.machines() }))
    }

    fn codes() -> Vec<Coded> {
        use FaultClass::{
            AlreadyExists, Auth, Capacity, ConflictBusy, InDoubt, InvalidInput, NotFound, PanelBug, Permission, Quota,
            Unsupported,
        };
        const SPACE: &str = "http://smbsaas/solidcp/enterpriseserver";
        let result = |operation: &str, inner: &str| {
            let body = format!(
                "<{operation}Response xmlns=\"{SPACE}\"><{operation}Result>{inner}</{operation}Result></{operation}Response>"
            );
            bytes(200, XML, envelope(&body))
        };
        let numbers = [
            (&[-1, -101, -300][..], NotFound),
            (&[-2, -103, -104, -105, -106, -107, -108, -112, -113], Permission),
            (&[-100, -600, -804, -1100, -1101], AlreadyExists),
            (&[-102, -111, -200, -202, -301, -302, -304, -400, -409, -500, -511, -1501, -1502], InvalidInput),
            (&[-109, -110, -114, -116], Auth),
            (&[-305], Quota),
            (&[-999, -1601, -1602], ConflictBusy),
            (&[-4711], PanelBug),
        ];
        let words = [
            (&["ERROR_PACKAGE_NOT_FOUND", "VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM"][..], NotFound),
            (&["ERROR_PACKAGE_SUSPENDED", "VPS_QUOTA_WRONG_RAM_HV", "VPS_GET_OS_TEMPLATES_ERROR"], InvalidInput),
            (&["ERROR_USER_ACCOUNT_SUSPENDED", ""], Permission),
            (&["VPS_MAINTENANCE_MODE_IS_ENABLE", "CANNOT_CHECK_HOST_EXISTS", "VPS_DELETE_ERROR"], ConflictBusy),
            (
                &["VPS_QUOTA_EXCEEDED_SERVERS_NUMBER:1", "HOST_NAMER_IS_ALREADY_USED", "HDD_VM_FILE_EXIST_ERROR:x"],
                AlreadyExists,
            ),
            (
                &[
                    "VPS_QUOTA_EXCEEDED_EXTERNAL_ADDRESSES_NUMBER",
                    "VPS_QUOTA_EXCEEDED_RAM:1",
                    "IP_ADDRESSES_QUOTA_LIMIT_REACHED",
                ],
                Quota,
            ),
            (
                &["RAM_VM_RAM_RESERVE_ERROR:x", "IP_ADDRESSES_POOL_IS_EMPTY", "VPS_NOT_ENOUGH_PACKAGE_IP_ADDRESSES"],
                Capacity,
            ),
            (&["VPS_JOB_START_ERROR:1", "VPS_CHANGE_VIRTUAL_MACHINE_STATE_ERROR", "SOMETHING_NEW"], PanelBug),
        ];
        let texts = [
            ("Server did not recognize the value of HTTP Header SOAPAction: x.", Unsupported),
            ("You are not allowed to access this package", Permission),
            ("You are not allowed to access this account", Permission),
            ("Cannot insert duplicate key in object", AlreadyExists),
            ("Object reference not set to an instance of an object", NotFound),
            ("was deadlocked on lock resources", ConflictBusy),
            ("Execution Timeout Expired.", ConflictBusy),
            ("an exception that nobody knows", InDoubt),
        ];
        let status = "ChangePackageStatus";
        let mut codes = Vec::new();
        let numbers = numbers.into_iter().flat_map(|(all, class)| all.iter().map(move |code| (*code, class)));
        codes.extend(
            numbers.map(|(code, class)| {
                coded(code, At::Change("suspend", status), result(status, &code.to_string()), class)
            }),
        );
        let power = "ChangeVirtualMachineState";
        let words = words.into_iter().flat_map(|(all, class)| all.iter().map(move |code| (*code, class)));
        codes.extend(words.map(|(code, class)| {
            let inner = format!("<IsSuccess>false</IsSuccess><ErrorCodes><string>{code}</string></ErrorCodes>");
            coded(code, At::Change("reboot", power), result(power, &inner), class)
        }));
        codes.extend(
            texts.into_iter().map(|(said, class)| coded(said, At::Change("suspend", status), soap_fault(said), class)),
        );
        codes
    }

    fn remove(rig: &Rig<Self>) {
        let users = rig.panel().made_users();
        for space in rig.panel().spaces() {
            let owner = users.iter().find(|user| user.id == space.user_id);
            rig.panel().remove(space.id, owner.map_or(0, |user| user.id));
        }
    }

    fn next_customer(rig: &Rig<Self>, was: &Value) {
        let user = was["users"].as_array().and_then(|users| users.last()).cloned().unwrap_or_default();
        rig.panel().seed_customer(Customer {
            username: text(&user["username"]),
            owner_id: user["owner_id"].as_i64().and_then(|id| id.try_into().ok()).unwrap_or_default(),
            plan_id: Some(11),
            space_name: text(&was["spaces"][0]["name"]),
            machine: Some(text(&was["machines"][0]["name"])),
            ours: false,
        });
    }
}

impl Entry for DciManager {
    // Its figures.
    const HELPS: &'static [&'static str] = &["traffic/ok"];
    // Names and ids of accounts.
    const WORDS: &'static [&'static str] = &["owner"];

    fn rig() -> Rig<Self> {
        let product = "package = \"E3-1230v6-16-2x1000SATA\"\nos = \"ISPsystem__Debian-11-x86_64\"\nIP = 1\nIPv6 = 1\n";
        Rig::dcimanager_with(Setup { product: Some(product.to_owned()), ..Setup::default() }, |panel| {
            panel.knobs.install_ms = 20_000;
            // Which of several it takes is chance.
            panel.servers.retain(|server| server.id == 42);
        })
    }

    fn changes() -> Vec<Event> {
        let account = json!({ "target": "account", "password": "New-Panel-Pass-77" });
        let system = json!({ "product": { "id": "vps", "options": { "os": "ISPsystem__CentOS-7-amd64" } } });
        vec![
            suspend(),
            unsuspend(),
            renew(),
            Event::new("change_password", Hook::ChangePassword, account),
            power("stop"),
            power("start").after(&["stop"]),
            power("reboot"),
            Event::new("reinstall", Hook::Reinstall, system),
            terminate(),
        ]
    }

    fn looks() -> Vec<Event> {
        let mut all = looks(&[STATUS, USAGE, LIST, TEST, LOGIN, CONSOLE]);
        all.extend([option("package"), option("os"), action("progress")]);
        all
    }

    fn expect(rig: &Rig<Self>, event: &str) {
        if event == "reinstall" {
            rig.panel().sold().iter().for_each(|server| rig.panel().expect_installs(server.id, 2));
        }
    }

    fn state(rig: &Rig<Self>) -> Value {
        let mut servers = rig.panel().servers();
        for server in &mut servers {
            // The mark has a word in it that is chance.
            server.notes = server.notes.split(" op:").next().unwrap_or_default().to_owned();
        }
        plain(json!({ "servers": servers, "accounts": rig.panel().accounts() }))
    }

    fn codes() -> Vec<Coded> {
        use FaultClass::{
            AlreadyExists, Auth, Capacity, ConflictBusy, InDoubt, InvalidInput, NotFound, PanelBug, Permission,
            Unsupported,
        };
        let said = |attributes: &str| {
            let text = "<msg lang='en'>no</msg>";
            bytes(200, XML, format!("<?xml version=\"1.0\"?><doc><error {attributes}>{text}</error></doc>"))
        };
        let rows = [
            ("type='extraconfirm'", Auth, Auth),
            ("type='missed' object='server'", NotFound, NotFound),
            ("type='exists' object='user'", AlreadyExists, AlreadyExists),
            ("type='value' object='elid'", InvalidInput, InvalidInput),
            ("type='limit' object='ip'", Capacity, Capacity),
            ("type='access'", Permission, Permission),
            ("type='license'", ConflictBusy, ConflictBusy),
            ("type='db'", PanelBug, InDoubt),
            ("type='xml'", PanelBug, InDoubt),
            ("type='never_heard'", PanelBug, InDoubt),
            ("code='3' obj='x'", Unsupported, Unsupported),
        ];
        let suspend = At::Change("suspend", "server.disable");
        let both = rows
            .into_iter()
            .flat_map(|(attributes, look, change)| [(attributes, At::Status, look), (attributes, suspend, change)]);
        // A look that may not is repeated in a new session.
        let told = both.filter(|row| !matches!(row, ("type='access'", At::Status, _)));
        told.map(|(attributes, at, class)| coded(attributes, at, said(attributes), class)).collect()
    }

    fn remove(rig: &Rig<Self>) {
        rig.panel().held().iter().for_each(|server| rig.panel().remove_server(server.id));
    }

    fn next_customer(rig: &Rig<Self>, was: &Value) {
        let sold = was["servers"].as_array().into_iter().flatten().find(|server| server["hostname"] != "free.ds");
        rig.panel().seed_account("next");
        rig.panel().hand_to(
            sold.map_or(0, |server| server["id"].as_u64().unwrap_or_default()),
            "next",
            "svc1007.example.net",
        );
    }
}

impl Entry for ApisCp {
    const HELPS: &'static [&'static str] = &["admin_get_plan"];

    fn rig() -> Rig<Self> {
        Rig::apiscp()
    }

    fn changes() -> Vec<Event> {
        vec![
            suspend(),
            unsuspend(),
            renew(),
            package(),
            Event::new("change_password", Hook::ChangePassword, json!({ "password": "N3w-P4ss-word-77" })),
            terminate(),
        ]
    }

    fn looks() -> Vec<Event> {
        let mut all = looks(&[STATUS, USAGE, LIST, TEST, LOGIN]);
        all.extend([option("plan"), action("group_sites")]);
        all
    }

    fn state(rig: &Rig<Self>) -> Value {
        plain(json!({ "sites": rig.panel().sites() }))
    }

    fn codes() -> Vec<Coded> {
        use FaultClass::{
            AlreadyExists, Auth, ConflictBusy, InDoubt, InvalidInput, NotFound, PanelBug, Permission, PluginBug,
            Unsupported,
        };
        let rows = [
            ("f(): Argument #3 ($opts) must be of type array, null given", PluginBug, PluginBug),
            ("Procedure 'admin_x' not present", Unsupported, Unsupported),
            ("insufficient privileges to execute admin_x", Permission, Permission),
            ("IP address may not be specified if site admin", Unsupported, Unsupported),
            ("Invalid key", Auth, Auth),
            ("Unable to gain exclusive lock on x", ConflictBusy, ConflictBusy),
            ("domain x.example already exists", AlreadyExists, AlreadyExists),
            ("Weak password disallowed", InvalidInput, InvalidInput),
            ("Unknown domain `x'", NotFound, NotFound),
            ("unknown service `x'", InvalidInput, InvalidInput),
            ("failed to read response", PanelBug, InDoubt),
            ("action not permitted in demo mode", Permission, Permission),
            ("something new", PanelBug, PanelBug),
        ];
        let suspend = At::Change("suspend", "admin_deactivate_site");
        let both =
            rows.into_iter().flat_map(|(said, look, change)| [(said, At::Status, look), (said, suspend, change)]);
        // A status of what is not there is an answer, and no fault.
        let told = both.filter(|row| !matches!(row, ("Unknown domain `x'", At::Status, _)));
        told.map(|(said, at, class)| coded(said, at, soap_fault(said), class)).collect()
    }

    fn remove(rig: &Rig<Self>) {
        rig.panel().sites().iter().for_each(|site| rig.panel().remove_site(site.id));
    }

    fn next_customer(rig: &Rig<Self>, was: &Value) {
        let site = &was["sites"][0];
        rig.panel().seed_site(SiteSeed::strange(&text(&site["domain"]), &text(&site["user"])));
    }
}
