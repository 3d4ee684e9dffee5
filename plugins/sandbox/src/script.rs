//! What a product's settings make of a hook.

use crate::api;
use crate::settings::Product;
use billhook_plugin_api::{
    Account, Capacity, Change, Create, Cx, Ended, Fault, Secret, Service, ServiceState, Status, StatusReport,
    Terminate, segment,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Makes the service: one step for it, as many further ones as the product says, and one for the password.
pub async fn create(cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
    let Create { service, product, password, .. } = request;
    product.check()?;
    let name = name(&service);
    looks(cx, &name, product.exchanges.saturating_sub(1)).await?;
    // Only we can have chosen this name and the server takes it once, so that to make it again is to find it.
    let remote_id: String = cx
        .step("service")
        .remote_id()
        .ensure(|send| {
            let (name, product) = (&name, &product);
            async move {
                if product.exchanges > 0 {
                    api::check(&send.call(api::make(name, product)).await?)?;
                }
                Ok(name.clone())
            }
        })
        .await?;
    for n in 1..=product.steps {
        cx.progress(percent(n, product.steps), format!("part {n} of {}", product.steps));
        cx.step(("part", n)).record(|| async move { Ok(n) }).await?;
    }
    let mut secrets = BTreeMap::new();
    if product.secrets {
        let password = self::password(cx, password.as_ref()).await?;
        secrets.insert("password".to_owned(), password);
    }
    delay(cx, &product).await?;
    Ok(Account {
        remote_id,
        username: service.username,
        ips: vec!["192.0.2.1".to_owned()],
        properties: properties(json!({ "state": "active" })),
        secrets,
        pending: product.pending,
        ..Account::default()
    })
}

/// A change that sets the same state however often it is sent.
pub async fn converge(cx: &Cx, word: &str, service: &Service, product: &Product) -> Result<(), Fault> {
    product.check()?;
    let name = remote_id(service)?;
    looks(cx, name, product.exchanges.saturating_sub(1)).await?;
    if product.exchanges > 0 {
        cx.converge(|send| async move { api::check(&send.call(api::change(name, word, product)).await?) }).await?;
    }
    delay(cx, product).await
}

/// A change that would happen twice if it were sent twice, and of which the server tells nothing afterwards.
pub async fn once(cx: &Cx, word: &str, service: &Service, product: &Product) -> Result<(), Fault> {
    product.check()?;
    let name = remote_id(service)?;
    looks(cx, name, product.exchanges.saturating_sub(1)).await?;
    if product.exchanges > 0 {
        cx.step(word)
            .once(|send| async move { api::check(&send.call(api::change(name, word, product)).await?) })
            .await?;
    }
    delay(cx, product).await
}

/// The password that was chosen, or one made here.
pub async fn password(cx: &Cx, chosen: Option<&Secret<String>>) -> Result<Secret<String>, Fault> {
    // Recorded, since a later run must return the same one; sealed, since the journal is written to the disk.
    cx.step("password")
        .sealed()
        .record(|| async move {
            match chosen {
                Some(chosen) => Ok(chosen.clone()),
                // For a rehearsal only: a real one must be such that nobody can guess it.
                None => Ok(Secret::new(format!("sandbox-{}", cx.now().await?))),
            }
        })
        .await
}

/// What a change leaves with the service.
pub fn changed(product: &Product, values: Value) -> Result<Change, Fault> {
    Ok(Change { properties: properties(values), pending: product.pending.clone(), ..Change::done() })
}

/// Ends the service. Only a server that says so in this attempt makes it gone; without one it ends, as on a panel that
/// deletes later.
pub async fn terminate(cx: &Cx, request: Terminate<Product>) -> Result<Ended, Fault> {
    let Terminate { service, product } = request;
    product.check()?;
    let name = remote_id(&service)?;
    if product.exchanges > 0 {
        cx.step("delete")
            .ensure(|send| async move {
                let reply = send.call(api::delete(name)).await?;
                if api::is_gone(&reply) { Ok(()) } else { api::check(&reply) }
            })
            .await?;
    }
    delay(cx, &product).await?;
    let mut is_there = true;
    for _ in 1..product.exchanges {
        is_there = look(cx, name).await?;
    }
    if !is_there {
        return Ok(Ended::Gone);
    }
    Ok(Ended::EndsAt(cx.step("ends_at").record(|| cx.now()).await?))
}

/// What the server says, then what the product says, then what the hooks before have noted.
pub async fn status(cx: &Cx, request: Status<Product>) -> Result<StatusReport, Fault> {
    let Status { service, product } = request;
    let is_there = read(cx, &service, &product).await?;
    let noted = || match text(&service, "state") {
        Some("active") => ServiceState::Active,
        Some("suspended") => ServiceState::Suspended,
        _ => ServiceState::Unknown,
    };
    Ok(StatusReport {
        state: if is_there { product.state.unwrap_or_else(noted) } else { ServiceState::Terminated },
        power: text(&service, "power").map(str::to_owned),
        pending: product.pending,
        properties: Map::new(),
    })
}

/// Asks the server as often as the product says; whether the last answer knows the service.
pub async fn read(cx: &Cx, service: &Service, product: &Product) -> Result<bool, Fault> {
    product.check()?;
    let name = remote_id(service)?;
    let mut is_there = true;
    for _ in 0..product.exchanges {
        is_there = look(cx, name).await?;
    }
    Ok(is_there)
}

/// How many more the server has room for, if it says so. `fail` does not hold here: the create says it for itself.
pub async fn capacity(cx: &Cx, product: &Product) -> Result<Capacity, Fault> {
    let mut found = Capacity::unknown().told("nobody is asked: the product's setting `exchanges` is 0");
    for _ in 0..product.exchanges {
        found = api::room(&cx.http(api::ask_room()).await?)?;
    }
    Ok(found)
}

/// A page of the service on a panel that is nowhere.
pub fn page(service: &Service, what: &str) -> Result<String, Fault> {
    Ok(format!("https://sandbox.invalid/{what}/{}", segment(remote_id(service)?)))
}

/// Reads before a change; it is made whatever they say.
async fn looks(cx: &Cx, name: &str, times: u32) -> Result<(), Fault> {
    for _ in 0..times {
        look(cx, name).await?;
    }
    Ok(())
}

/// Whether the server knows the service.
async fn look(cx: &Cx, name: &str) -> Result<bool, Fault> {
    let reply = cx.http(api::look(name)).await?;
    if api::is_gone(&reply) {
        return Ok(false);
    }
    api::check(&reply).map(|()| true)
}

async fn delay(cx: &Cx, product: &Product) -> Result<(), Fault> {
    match product.delay() {
        // Written down: a daemon that is restarted meanwhile waits for what is left of it.
        Some(time) => cx.sleep("delay", time).await,
        None => Ok(()),
    }
}

/// The name of a service that is to be made, another one in each of its lives.
fn name(service: &Service) -> String {
    format!("{}-{}-{}", service.platform, service.id, service.epoch)
}

fn remote_id(service: &Service) -> Result<&str, Fault> {
    service.remote_id.as_deref().ok_or_else(|| Fault::not_found("the service has no remote id: it was never made"))
}

fn text<'a>(service: &'a Service, property: &str) -> Option<&'a str> {
    service.properties.get(property).and_then(Value::as_str)
}

fn properties(values: Value) -> Map<String, Value> {
    match values {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}

fn percent(n: u32, of: u32) -> u8 {
    u8::try_from(u64::from(n) * 100 / u64::from(of.max(1))).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sandbox;
    use billhook_plugin_api::testing::{Ended as Run, Scripted, ScriptedHost, reply};
    use billhook_plugin_api::{
        ActionCall, Addon, ChangePackage, ChangePassword, Console, FaultClass, Hook, Login, OrderAddons, PaidUntil,
        Power, PowerAction, Provider, Reinstall, Renew, Suspend, Unsuspend, Usage,
    };
    use std::sync::{Arc, Mutex};

    fn product(settings: Value) -> Product {
        serde_json::from_value(settings).unwrap()
    }

    fn service() -> Service {
        Service {
            platform: "shop".into(),
            id: "7".into(),
            epoch: 1,
            remote_id: Some("shop-7-1".into()),
            properties: properties(json!({ "state": "active" })),
            ..Service::default()
        }
    }

    fn quiet() -> ScriptedHost {
        ScriptedHost::new(|request| panic!("{} {} was sent", request.method, request.path))
    }

    /// A server that answers everything, and knows what was deleted.
    fn server() -> ScriptedHost {
        let mut is_deleted = false;
        ScriptedHost::new(move |request| {
            is_deleted |= request.method == "DELETE";
            reply(if is_deleted && request.method == "GET" { 404 } else { 200 }, "{}")
        })
    }

    fn create(host: &ScriptedHost, settings: Value) -> Run<Account> {
        let service = Service { remote_id: None, ..service() };
        let order = Create { service, client: Default::default(), product: product(settings), password: None };
        host.run(async |cx| Sandbox.create(cx, order).await)
    }

    fn suspend(host: &ScriptedHost, settings: Value) -> Run<Change> {
        let request = Suspend { service: service(), product: product(settings), reason: Some("unpaid".into()) };
        host.run(async |cx| Sandbox.suspend(cx, request).await)
    }

    fn terminate(host: &ScriptedHost, settings: Value) -> Run<Ended> {
        let request = Terminate { service: service(), product: product(settings) };
        host.run(async |cx| Sandbox.terminate(cx, request).await)
    }

    fn status(host: &ScriptedHost, settings: Value) -> Run<StatusReport> {
        let request = Status { service: service(), product: product(settings) };
        host.run(async |cx| Sandbox.status(cx, request).await)
    }

    fn label(host: &ScriptedHost, settings: Value) -> Run<billhook_plugin_api::ActionResult> {
        let request = ActionCall {
            name: "label".into(),
            service: Some(service()),
            product: Some(product(settings)),
            params: json!({ "text": "blue" }),
        };
        host.run(async |cx| Sandbox.action(cx, request).await)
    }

    fn ok<T: std::fmt::Debug>(run: Run<T>) -> T {
        match run {
            Run::Ok(value) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_exchanges_nothing_is_said_of_a_panel() {
        let host = quiet();
        let account = ok(create(&host, json!({})));
        assert_eq!((account.remote_id.as_str(), account.secrets.len(), account.pending), ("shop-7-1", 0, None));
        host.next_operation();
        assert!(!ok(suspend(&host, json!({}))).noop);
        host.next_operation();
        assert!(matches!(terminate(&host, json!({})), Run::Ok(Ended::EndsAt(_))));
        host.next_operation();
        assert_eq!(ok(status(&host, json!({}))).state, ServiceState::Active);
    }

    /// Runs any hook on the service, and tells only how it ended.
    fn run(host: &ScriptedHost, hook: Hook, product: &Product) -> Run<()> {
        let (service, product) = (service(), product.clone());
        host.next_operation();
        host.run(async |cx| match hook {
            Hook::Create => {
                let service = Service { remote_id: None, ..service };
                let client = Default::default();
                Sandbox.create(cx, Create { service, client, product, password: None }).await.map(drop)
            }
            Hook::Suspend => Sandbox.suspend(cx, Suspend { service, product, reason: None }).await.map(drop),
            Hook::Unsuspend => Sandbox.unsuspend(cx, Unsuspend { service, product }).await.map(drop),
            Hook::Terminate => Sandbox.terminate(cx, Terminate { service, product }).await.map(drop),
            Hook::Renew => {
                let paid_until = PaidUntil { from: "2027-01-01".into(), to: "2027-02-01".into() };
                Sandbox.renew(cx, Renew { service, product, paid_until }).await.map(drop)
            }
            Hook::ChangePackage => Sandbox.change_package(cx, ChangePackage { service, product }).await.map(drop),
            Hook::ChangePassword => {
                let request = ChangePassword { service, product, password: None, target: None };
                Sandbox.change_password(cx, request).await.map(drop)
            }
            Hook::OrderAddons => {
                let addons = vec![Addon { id: "ip".into(), quantity: 2 }];
                Sandbox.order_addons(cx, OrderAddons { service, product, addons }).await.map(drop)
            }
            Hook::Power => Sandbox.power(cx, Power { service, product, action: PowerAction::Reset }).await.map(drop),
            Hook::Reinstall => Sandbox.reinstall(cx, Reinstall { service, product, password: None }).await.map(drop),
            Hook::Console => Sandbox.console(cx, Console { service, product }).await.map(drop),
            Hook::Login => Sandbox.login(cx, Login { service, product }).await.map(drop),
            Hook::Status => Sandbox.status(cx, Status { service, product }).await.map(drop),
            Hook::Usage => Sandbox.usage(cx, Usage { service, product }).await.map(drop),
            Hook::List => Sandbox.list(cx).await.map(drop),
            Hook::Test => Sandbox.test(cx).await.map(drop),
            Hook::Options => Sandbox.options(cx, "fail").await.map(drop),
            Hook::Capacity => Sandbox.capacity(cx, product).await.map(drop),
            Hook::Action => {
                let params = json!({ "text": "blue" });
                let (service, product) = (Some(service), Some(product));
                Sandbox.action(cx, ActionCall { name: "label".into(), service, product, params }).await.map(drop)
            }
        })
    }

    #[test]
    fn every_hook_sends_as_many_requests_as_the_product_says() {
        for hook in Hook::ALL {
            for exchanges in [0, 1, 3] {
                let host = server();
                let product = Product { exchanges, ..Product::default() };

                assert_eq!(run(&host, hook, &product), Run::Ok(()), "{hook}");

                let sent = host.exchanges();
                let is_quiet = hook.is_on_server() && hook != Hook::Capacity;
                let expected = if is_quiet { 0 } else { exchanges as usize };
                assert_eq!(sent.len(), expected, "{hook}");
                let changes = sent.iter().filter(|(_, is_change)| *is_change).count();
                assert_eq!(changes, usize::from(!hook.is_read() && exchanges > 0), "{hook}");
            }
        }
    }

    #[test]
    fn every_hook_on_a_service_can_be_made_to_fail_before_it_sends_anything() {
        for hook in Hook::ALL.into_iter().filter(|hook| !hook.is_on_server()) {
            let product = Product { fail: Some(FaultClass::Capacity), exchanges: 3, delay_s: 5, ..Product::default() };
            let host = quiet();
            assert!(
                matches!(run(&host, hook, &product), Run::Fault(fault) if fault.class == FaultClass::Capacity),
                "{hook}"
            );
            assert_eq!(host.steps().len(), 0, "{hook}");
        }
    }

    #[test]
    fn a_new_password_is_the_same_in_a_later_run() {
        let host = quiet();
        let change = |host: &ScriptedHost| {
            let request =
                ChangePassword { service: service(), product: product(json!({})), password: None, target: None };
            ok(host.run(async |cx| Sandbox.change_password(cx, request).await)).secrets
        };
        assert_eq!(change(&host)["password"], change(&host)["password"]);
        assert!(host.steps()[0].sealed);
    }

    #[test]
    fn of_n_exchanges_the_last_is_the_change() {
        type Hook = fn(&ScriptedHost, Value) -> bool;
        let hooks: [(Hook, &str); 3] = [
            (|host, settings| matches!(create(host, settings), Run::Ok(_)), "PUT /services/shop-7-1"),
            (|host, settings| matches!(suspend(host, settings), Run::Ok(_)), "POST /services/shop-7-1/suspend"),
            (|host, settings| matches!(label(host, settings), Run::Ok(_)), "POST /services/shop-7-1/label"),
        ];
        for (hook, change) in hooks {
            for exchanges in [1, 3] {
                let host = server();
                assert!(hook(&host, json!({ "exchanges": exchanges })));
                let sent = host.exchanges();
                assert_eq!((sent.len(), sent.iter().filter(|(_, change)| *change).count()), (exchanges, 1));
                assert!(sent.last().unwrap().1, "the change is the last one");
                assert_eq!(host.changes(), [change]);
            }
        }
    }

    #[test]
    fn gone_is_only_what_the_server_says_afterwards() {
        let host = server();
        assert_eq!(terminate(&host, json!({ "exchanges": 2 })), Run::Ok(Ended::Gone));
        assert_eq!(host.changes(), ["DELETE /services/shop-7-1"]);
        host.next_operation();
        assert_eq!(ok(status(&host, json!({ "exchanges": 1 }))).state, ServiceState::Terminated);

        assert!(matches!(terminate(&server(), json!({ "exchanges": 1 })), Run::Ok(Ended::EndsAt(_))));
    }

    #[test]
    fn steps_the_delay_and_the_password_are_in_the_journal() {
        let host = quiet();
        let settings = json!({ "steps": 2, "delay_s": 60, "secrets": true, "pending": "a payment" });

        let account = ok(create(&host, settings.clone()));

        let steps = host.steps();
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["service", "part#1", "part#2", "password", "delay"]);
        assert!(steps[0].remote_id && steps[3].sealed);
        assert_eq!(account.pending.as_deref(), Some("a payment"));
        let again = ok(create(&host, settings));
        assert_eq!(account.secrets["password"], again.secrets["password"], "a later run has the same password");
    }

    #[test]
    fn a_chosen_password_is_passed_on() {
        let host = quiet();
        let order = Create {
            service: Service { remote_id: None, ..service() },
            client: Default::default(),
            product: product(json!({ "secrets": true })),
            password: Some(Secret::new("chosen-by-them".into())),
        };
        let account = ok(host.run(async |cx| Sandbox.create(cx, order).await));
        assert_eq!(account.secrets["password"].expose(), "chosen-by-them");
    }

    #[test]
    fn a_create_whose_answer_is_lost_is_sent_again_and_an_action_is_not() {
        let sent = Arc::new(Mutex::new(0));
        let count = sent.clone();
        let host = ScriptedHost::new(move |_| {
            let mut sent = count.lock().unwrap();
            *sent += 1;
            if *sent == 1 { Scripted::Lost } else { reply(200, "{}") }
        });
        assert_eq!(create(&host, json!({ "exchanges": 1 })), Run::Settling("service".into()));
        assert_eq!(ok(create(&host, json!({ "exchanges": 1 }))).remote_id, "shop-7-1");

        let host = ScriptedHost::new(|_| Scripted::Lost);
        assert_eq!(label(&host, json!({ "exchanges": 1 })), Run::Settling("label".into()));
        assert_eq!(label(&host, json!({ "exchanges": 1 })), Run::Attention("label".into()));
        assert_eq!(host.exchanges().len(), 1);
    }

    #[test]
    fn status_says_what_the_script_or_else_the_service_says() {
        let suspended = Service { properties: properties(json!({ "state": "suspended" })), ..service() };
        for (service, settings, expected) in [
            (service(), json!({}), ServiceState::Active),
            (suspended.clone(), json!({}), ServiceState::Suspended),
            (suspended, json!({ "state": "error" }), ServiceState::Error),
            (Service { properties: Map::new(), ..service() }, json!({}), ServiceState::Unknown),
        ] {
            let request = Status { service, product: product(settings.clone()) };
            let report = ok(quiet().run(async |cx| Sandbox.status(cx, request).await));
            assert_eq!(report.state, expected, "{settings}");
        }
    }

    #[test]
    fn a_service_that_was_never_made_is_not_found() {
        let request =
            Suspend { service: Service { remote_id: None, ..service() }, product: product(json!({})), reason: None };
        let run = quiet().run(async |cx| Sandbox.suspend(cx, request).await);
        assert!(matches!(run, Run::Fault(fault) if fault.class == FaultClass::NotFound));
    }
}
