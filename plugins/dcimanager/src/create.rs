//! `create`: an account, a free machine, its name and addresses, its system, and the hand-over.
//!
//! Until the hand-over the machine is the administrator's and marked for the service, so that every step can tell what
//! became of the one before. What is taken back after a failure stands in docs/panels/dcimanager.md.

use crate::address::{self, Addition, Address, Family};
use crate::form::{Form, Id};
use crate::install::{self, FAILED, Install};
use crate::machine::{self, FREE_HOST, Row, host_name, is_host_name};
use crate::mark::{self, Mark};
use crate::panel::{Doing, OVERDUE, Panel};
use crate::settings::Product;
use crate::standing::{Account, Known};
use crate::stock::{self, Order};
use crate::{random, switch, user};
use billhook_plugin_api::{Account as Made, Create, Cx, Fault, FaultClass, Find, Secret, Service, Settle, Texts};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use std::sync::{Mutex, PoisonError};

/// Installations of one order: each further one is a person's retry.
const MAX_INSTALLS: u32 = 20;
/// Machines that may have the same name before we give up counting.
const MAX_NAMES: u32 = 100;

/// What is decided once, so that a later run does the same.
#[derive(Serialize, Deserialize)]
struct Plan {
    nonce: String,
    domain: String,
    ipv4: u32,
    ipv6: u32,
    waits: bool,
}

/// The same for what nobody may read; apart, since all of it is masked wherever it is met.
#[derive(Serialize, Deserialize)]
struct Passwords {
    account: Secret<String>,
    root: Secret<String>,
}

/// The customer's account, and ours.
#[derive(Serialize, Deserialize)]
struct Accounts {
    id: Id,
    name: String,
    is_new: bool,
    admin: Account,
}

/// A create under way.
struct Making<'a> {
    panel: &'a Panel,
    product: &'a Product,
    plan: &'a Plan,
    passwords: &'a Passwords,
    known: &'a Known,
    account: &'a Account,
    machine: &'a Id,
    /// Added by this create, to be given back if it fails.
    added: Mutex<Vec<Address>>,
}

/// Makes a free machine the customer's.
pub async fn run(panel: &Panel, cx: &Cx, request: Create<Product>) -> Result<Made, Fault> {
    let Create { service, product, password, .. } = request;
    product.template()?;
    let wanted = user::wanted(panel, &service, &product)?;

    cx.progress(2, "planning");
    let plan = &plan(panel, cx, &service, &product).await?;
    let passwords = &passwords(cx, password).await?;
    cx.secret(passwords.root.expose()).await?;
    cx.secret(passwords.account.expose()).await?;

    cx.progress(5, "looking for the customer's account on the panel");
    let accounts = accounts(panel, cx, &service, &wanted, passwords).await?;
    let account = &Account { id: accounts.id, name: accounts.name };
    let known = &Known {
        nonce: Some(plan.nonce.clone()),
        account: Some(account.clone()),
        admin: Some(accounts.admin.clone()),
        ..Known::of(&service)
    };
    let mark = &Mark {
        service: known.service.clone(),
        nonce: plan.nonce.clone(),
        account: account.id.as_str().to_owned(),
        client: mark::client_key(&service),
    };

    cx.progress(10, "looking for a free machine");
    let order = Order { panel, product: &product, known, admin: &accounts.admin, mark };
    let machine = &stock::reserve(cx, &order).await?;
    let making =
        &Making { panel, product: &product, plan, passwords, known, account, machine, added: Mutex::default() };

    let started = match making.prepare(cx).await {
        Ok(started) => started,
        Err(fault) => return making.give_up(cx, fault).await,
    };
    making.install(cx, started).await?;

    cx.progress(95, "handing the machine over");
    making.hand_over(cx).await?;
    making.report(cx, accounts.is_new).await
}

/// Decides what later runs must not decide anew.
async fn plan(panel: &Panel, cx: &Cx, service: &Service, product: &Product) -> Result<Plan, Fault> {
    cx.step("plan")
        .record(|| async move {
            let domain = domain(service, product, &panel.rows(cx).await?)?;
            Ok(Plan {
                nonce: random::nonce()?,
                domain,
                ipv4: product.ipv4.0,
                ipv6: product.ipv6.0,
                waits: !product.dont_wait,
            })
        })
        .await
}

/// The password that was ordered, or one made here, and one for an account that may have to be made.
async fn passwords(cx: &Cx, ordered: Option<Secret<String>>) -> Result<Passwords, Fault> {
    let ordered = &ordered;
    cx.step("passwords")
        .sealed()
        .record(|| async move {
            let root = match ordered {
                Some(password) if !password.expose().is_empty() => password.clone(),
                _ => Secret::new(random::password()?),
            };
            Ok(Passwords { account: Secret::new(random::password()?), root })
        })
        .await
}

/// The machine's name: by the product's template, else as ordered; with a counter, if another machine has it.
fn domain(service: &Service, product: &Product, rows: &[Row]) -> Result<String, Fault> {
    let ordered = service.domain.as_deref().map(host_name).unwrap_or_default();
    let template = match product.domain_template.as_deref().map(str::trim) {
        Some(template) if !template.is_empty() => template,
        _ if !ordered.is_empty() => "@DOMAIN@",
        _ => "@ID@.domain",
    };
    let name = host_name(&filled(template, &service.id, &ordered));
    if !is_host_name(&name) {
        return Err(Fault::invalid_input(format!(
            "the machine would be called {name:?}, which is no host name that may be given: correct domain_template or the \
             order's domain"
        )));
    }
    let (label, rest) = name.split_once('.').unwrap_or((&name, ""));
    let is_taken = |name: &str| rows.iter().any(|row| row.hostname == name);
    let numbered = (2..=MAX_NAMES).map(|n| format!("{label}-{n}.{rest}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(|name| is_host_name(name) && !is_taken(name))
        .ok_or_else(|| Fault::invalid_input(format!("{MAX_NAMES} machines are called {name} already")))
}

/// Finds the customer's account, or makes it. While one is made, no other create does so for the same customer.
async fn accounts(
    panel: &Panel,
    cx: &Cx,
    service: &Service,
    wanted: &user::Wanted,
    passwords: &Passwords,
) -> Result<Accounts, Fault> {
    let name = &wanted.name;
    // A name is given once on the panel: it refuses a late second sending.
    let settle = Settle { refuses_twice: true, ..Settle::default() };
    cx.step("account")
        .scope(user::scope(name))
        .settle(settle)
        .given(|| async move {
            let users = panel.users(cx).await?;
            let admin = user::admin(&users, &panel.login)?;
            let account = user::claim(panel, cx, &users, wanted, service).await?;
            Ok((admin, account.map(|account| account.id)))
        })
        .find(|(admin, before): (Account, Option<Id>)| async move {
            let users = panel.users(cx).await?;
            // It was not there before; who else would make one of this name just now.
            Ok(match user::find(&users, name) {
                Some(user) => {
                    Find::Found(Accounts { id: user.id.clone(), name: name.clone(), is_new: before.is_none(), admin })
                }
                None => Find::Absent,
            })
        })
        .run(|(admin, before), send| async move {
            if let Some(id) = before {
                return Ok(Accounts { id, name: name.clone(), is_new: false, admin });
            }
            let doc = panel.change(cx, &send, user::new(name, &passwords.account)).await?;
            let id = match doc.text("id").and_then(Id::new) {
                Some(id) => id,
                None => {
                    let users = panel.users(cx).await?;
                    let user = user::find(&users, name).ok_or_else(|| {
                        Fault::new(
                            FaultClass::InDoubt,
                            format!("the panel accepted the account {name} and does not show it"),
                        )
                    })?;
                    user.id.clone()
                }
            };
            Ok(Accounts { id, name: name.clone(), is_new: true, admin })
        })
        .await
}

impl Making<'_> {
    /// Whether the machine is still held for this service.
    fn is_held<'f>(&'f self, cx: &'f Cx) -> Doing<'f, bool> {
        Box::pin(async move { Ok(self.panel.held_for(cx, self.machine, self.known).await?.is_some()) })
    }

    /// The machine's row, while it is held.
    fn held_row<'f>(&'f self, cx: &'f Cx) -> Doing<'f, Row> {
        Box::pin(async move {
            let held = self.panel.held_for(cx, self.machine, self.known).await?;
            held.map(|(row, _)| row).ok_or_else(|| {
                Fault::not_found(format!(
                    "server {} was taken from this service while it was being prepared; it is left to who has it",
                    self.machine
                ))
            })
        })
    }

    /// Everything that can be taken back: unblocked, switched on, named, with its addresses, and an installation accepted.
    async fn prepare(&self, cx: &Cx) -> Result<install::Started, Fault> {
        let Self { panel, machine, plan, .. } = *self;
        let domain = &plan.domain;
        cx.progress(15, format!("server {machine} is reserved"));
        panel
            .ensure(cx, "unblock", &|| {
                Box::pin(async move {
                    let row = self.held_row(cx).await?;
                    Ok(row.disabled.then(|| Form::order("server.enable", machine).slow()))
                })
            })
            .await?;
        switch::wait_unblocked(panel, cx, machine).await?;

        cx.progress(20, "switching the machine on");
        panel
            .ensure(cx, "power_on", &|| {
                Box::pin(async move {
                    let row = self.held_row(cx).await?;
                    Ok((!row.on).then(|| Form::order("server.poweron", machine).slow()))
                })
            })
            .await?;
        let what = format!("server {machine} was not switched on");
        panel
            .wait(cx, "powered", 30, panel.power_limit_s, &what, &|| {
                Box::pin(async move {
                    let row = self.held_row(cx).await?;
                    if row.power_error {
                        return Err(Fault::panel_bug(format!(
                            "the panel cannot switch server {machine} on: check its PDU or IPMI"
                        ))
                        .with_code(OVERDUE));
                    }
                    Ok(row.on)
                })
            })
            .await?;

        cx.progress(30, "naming it and adding addresses");
        let (main, before) = &self.addresses(cx).await?;
        let guard = || self.is_held(cx);
        address::name_all(panel, cx, "name", machine, before, domain, &guard).await?;
        for (family, wanted) in [(Family::V4, plan.ipv4), (Family::V6, plan.ipv6)] {
            // The main address is not among the additional ones, whatever its family.
            let is_one = |address: &&Address| address.family() == family && Some(&address.ip) != main.as_ref();
            let there = before.iter().filter(is_one).count();
            for n in 1..=wanted.saturating_sub(u32::try_from(there).unwrap_or(u32::MAX)) {
                let addition =
                    Addition { panel, machine, family, group: &self.product.ip_group, domain, guard: &guard };
                let address = address::add(cx, addition, n).await?;
                self.added.lock().unwrap_or_else(PoisonError::into_inner).push(address);
            }
        }

        cx.progress(40, "starting the installation");
        self.start(cx, 1).await
    }

    /// The main address, and all that the machine had when it was taken.
    async fn addresses(&self, cx: &Cx) -> Result<(Option<String>, Vec<Address>), Fault> {
        cx.step("addresses")
            .record(|| async move {
                let main = self.held_row(cx).await?.ip;
                Ok((main, address::of(self.panel, cx, self.machine).await?))
            })
            .await
    }

    async fn start(&self, cx: &Cx, n: u32) -> Result<install::Started, Fault> {
        let install = Install {
            panel: self.panel,
            machine: self.machine,
            template: self.product.template()?,
            recipe: self.product.recipe(),
            password: &self.passwords.root,
            account: None,
            check: &|| self.held_row(cx),
        };
        install.start(cx, n).await
    }

    /// Gives the machine back after a failure for good, if that is still possible and ours to do.
    async fn give_up(&self, cx: &Cx, fault: Fault) -> Result<Made, Fault> {
        let Self { panel, machine, .. } = *self;
        if !is_for_good(&fault) {
            return Err(fault);
        }
        cx.undo(&fault).await?;
        cx.progress(90, format!("it failed; server {machine} is given back"));
        let guard = || self.is_held(cx);
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner).clone();
        address::drop_all(panel, cx, "undo_ip", machine, &added, &guard).await?;
        let left = cx.step("undo_addresses").record(|| address::of(panel, cx, machine)).await?;
        address::name_all(panel, cx, "undo_name", machine, &left, FREE_HOST, &guard).await?;
        stock::publish(panel, cx, "undo_owner", machine, self.known).await?;
        Err(fault)
    }

    /// Waits for the installation. One that failed leaves the machine reserved: its disk may be half written. A retry
    /// installs anew.
    async fn install(&self, cx: &Cx, mut started: install::Started) -> Result<(), Fault> {
        let Self { panel, machine, plan, .. } = *self;
        for n in 1..=MAX_INSTALLS {
            if n > 1 {
                started = self.start(cx, n).await?;
            }
            cx.progress(50, "the system is being installed");
            let is_fresh = Mutex::new(false);
            let is_good = if plan.waits {
                let is_good = install::finished(cx, panel, machine, &started, n, &is_fresh).await?;
                cx.progress(90, "the installation is over");
                is_good
            } else {
                // One look, as it was ordered: what fails later shows in the status.
                install::verdict(cx, panel, machine, n, &is_fresh).await?
            };
            if is_good {
                return Ok(());
            }
            if *is_fresh.lock().unwrap_or_else(PoisonError::into_inner) {
                return Err(install::failed(
                    machine,
                    "it stays reserved: repair it and retry, which installs again, or terminate the service",
                ));
            }
        }
        Err(Fault::panel_bug(format!("{MAX_INSTALLS} installations of server {machine} failed: terminate the service"))
            .with_code(FAILED))
    }

    /// Makes the customer the owner, and sees that he is.
    async fn hand_over(&self, cx: &Cx) -> Result<(), Fault> {
        let Self { panel, machine, known, account, plan, .. } = *self;
        panel
            .ensure(cx, "hand_over", &|| {
                Box::pin(async move {
                    let found = panel.machine(cx, machine).await?;
                    let Some((row, view)) = &found else {
                        return Err(Fault::not_found(format!("the panel has no server {machine} any more")));
                    };
                    let standing = known.judge(Some((row, view)));
                    if standing == crate::standing::Standing::Ours {
                        return Ok(None);
                    }
                    self.held_row(cx).await?;
                    Ok(Some(view.edit(account.id.as_str(), &view.notes)))
                })
            })
            .await?;
        // The panel's installer may have named it anew.
        panel
            .ensure(cx, "domain", &|| {
                Box::pin(async move {
                    let (row, view) = self.ours(cx).await?;
                    if row.hostname == plan.domain {
                        return Ok(None);
                    }
                    let main = address::of(panel, cx, &view.id)
                        .await?
                        .into_iter()
                        .find(|address| Some(&address.ip) == row.ip.as_ref());
                    Ok(main.map(|main| address::name(machine, &main.id, &plan.domain)))
                })
            })
            .await?;
        Ok(())
    }

    /// The machine, which must be the customer's by now.
    fn ours<'f>(&'f self, cx: &'f Cx) -> Doing<'f, (Row, machine::View)> {
        Box::pin(async move {
            let found = self.panel.machine(cx, self.machine).await?;
            self.known.judge(found.as_ref().map(|(row, view)| (row, view))).owned(self.machine)?;
            found.ok_or_else(|| Fault::plugin_bug("a machine that is ours is not there"))
        })
    }

    async fn report(&self, cx: &Cx, is_new: bool) -> Result<Made, Fault> {
        let Self { panel, machine, plan, passwords, account, .. } = *self;
        let (row, view) = self.ours(cx).await?;
        let mut ips: Vec<String> = row.ip.iter().cloned().collect();
        let others = address::of(panel, cx, machine).await?.into_iter().map(|address| address.ip);
        ips.extend(others.filter(|ip| Some(ip) != row.ip.as_ref() && !ip.is_empty()));
        let mut properties = row.properties();
        properties.insert("account".into(), json!(account.name));
        properties.insert("account_id".into(), json!(account.id));
        properties.insert("mark".into(), json!(plan.nonce));
        properties.insert("label".into(), json!(view.name));
        properties.insert("mac".into(), json!(view.mac));
        properties.insert("os".into(), json!(self.product.template()?));
        details(panel, cx, machine, &mut properties).await;
        let mut made = Made {
            remote_id: machine.as_str().to_owned(),
            username: Some(account.name.clone()),
            ips,
            properties,
            ..Made::default()
        };
        made.secrets.insert("root_password".into(), passwords.root.clone());
        if is_new {
            made.secrets.insert("panel_password".into(), passwords.account.clone());
        }
        if !plan.waits {
            let staff = "the installation had begun and was not waited for: status tells how it goes";
            made.message = Texts { staff: Some(staff.to_owned()), customer: None };
        }
        Ok(made)
    }
}

/// Whether a fault of the preparation is one that a repeat does not mend. What cannot be read or may not be done now can be
/// later, and the hook goes on where it was when it is retried.
fn is_for_good(fault: &Fault) -> bool {
    use FaultClass::{AlreadyExists, Capacity, InvalidInput, NotFound, Quota};
    matches!(fault.class, AlreadyExists | Capacity | InvalidInput | NotFound | Quota)
        || fault.code.as_deref() == Some(OVERDUE)
}

/// A template of names with its places filled.
fn filled(template: &str, id: &str, domain: &str) -> String {
    let mut name = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('@') {
        name.push_str(&rest[..at]);
        rest = &rest[at..];
        let (filling, place) = match rest {
            _ if rest.starts_with("@ID@") => (id, "@ID@"),
            _ if rest.starts_with("@DOMAIN@") => (domain, "@DOMAIN@"),
            _ => ("@", "@"),
        };
        name.push_str(filling);
        rest = &rest[place.len()..];
    }
    name.push_str(rest);
    name
}

/// Ports for staff. Only a help, so that what cannot be read is left out.
async fn details(panel: &Panel, cx: &Cx, machine: &Id, properties: &mut Map<String, serde_json::Value>) {
    match switch::connections(panel, cx, machine).await {
        Ok(connections) => {
            for connection in connections {
                let form = Form::view_of("server.connection.edit", &connection.id).with("plid", machine);
                let Ok(doc) = panel.read(cx, form).await else { continue };
                let (name, value) = match connection.kind.as_str() {
                    "Switch" => ("switch_port", doc.text("port")),
                    "IPMI" => ("ipmi_ip", doc.text("ip").or(doc.text("ipmiip"))),
                    _ => continue,
                };
                if let Some(value) = value {
                    properties.entry(name).or_insert_with(|| json!(value));
                }
            }
        }
        Err(fault) => cx.note(format!("the connections of server {machine} could not be read: {}", fault.staff)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, ADMIN, BREAKS, Break, Machine, Stage, changes, fault, ok_of, to_end};
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn run(host: &ScriptedHost, more: Value) -> Ended<Made> {
        host.run(async |cx| stage::provider().create(cx, stage::create(more)).await)
    }

    fn run_for(host: &ScriptedHost, service: Service, more: Value) -> Ended<Made> {
        let request = Create { service, ..stage::create(more) };
        host.run(async |cx| stage::provider().create(cx, request).await)
    }

    fn only() -> Stage {
        let stage = Stage::new();
        stage.world().machines.retain(|id, _| *id == 42);
        stage
    }

    #[test]
    fn a_machine_is_claimed_prepared_installed_and_handed_over() {
        for slowness in [0, 1, 4] {
            let stage = only();
            stage.world().slowness = slowness;
            let host = stage.host();

            let made = ok_of(run(&host, json!({ "IP": 2, "IPv6": "1|One", "recipe": "local__web" })));

            let machine = stage.world().machines[&42].clone();
            assert_eq!((made.remote_id.as_str(), made.username.as_deref()), ("42", Some("client42")));
            assert_eq!(made.ips.len(), 4);
            assert_eq!(made.ips[0], "192.0.2.42");
            assert_eq!((machine.owner.as_deref(), machine.on, machine.addresses.len()), (Some("77"), true, 4));
            assert!(machine.addresses.iter().all(|(_, _, domain)| domain == "svc1007.example.net"), "{machine:?}");
            assert_eq!(machine.installs.len(), 1);
            assert_eq!(machine.installs[0].0, "ISP__Debian-12");
            assert_eq!(&machine.installs[0].2, made.secrets["root_password"].expose());
            assert_eq!(&stage.world().users[&77].2, made.secrets["panel_password"].expose());
            assert_ne!(made.secrets["panel_password"], made.secrets["root_password"]);
            assert!(machine.notes.starts_with("bay 4 [svc:whmcs/1007 op:"), "{}", machine.notes);
            for (name, value) in [("switch_port", "ge-0/0/7"), ("ipmi_ip", "198.51.100.9"), ("mac", machine.mac)] {
                assert_eq!(made.properties[name], json!(value));
            }
            assert!(host.steps().iter().any(|step| step.name == "reserve#1" && step.remote_id && step.scope.is_some()));
            assert!(host.steps().iter().any(|step| step.name == "passwords" && step.sealed));
            assert!(host.steps().iter().any(|step| step.name == "plan" && !step.sealed));
            assert_eq!(ok_of(run(&host, json!({ "IP": 2, "IPv6": "1|One", "recipe": "local__web" }))), made);
        }
    }

    #[test]
    fn addresses_come_before_the_installation_and_the_owner_after_it() {
        let stage = only();
        let host = stage.host();
        ok_of(run(&host, json!({ "IP": 1 })));
        assert_eq!(
            changes(&host),
            [
                "user.edit ",
                "server.edit 42",
                "server.poweron 42",
                "iplist.edit 420",
                "iplist.edit 42",
                "server.operations 42",
                "server.edit 42",
            ]
        );
    }

    #[test]
    fn a_call_that_breaks_anywhere_leaves_one_account_one_machine_and_one_installation() {
        for call in [
            "user.edit ok",
            "server.edit ok",
            "server.poweron",
            "iplist.edit ok",
            "server.operations ok",
            "server",
            "user",
        ] {
            for how in BREAKS {
                // An empty document is an empty list, and a new session that is refused is no session that has ended.
                if ["server", "user"].contains(&call)
                    && matches!(how, Break::Empty { .. } | Break::Says { done: false, .. })
                {
                    continue;
                }
                let stage = Stage::new();
                stage.breaks(call, how);
                let host = stage.host();

                let made = ok_of(to_end(|| run(&host, json!({ "IP": 1 }))));

                let world = stage.world();
                let sold: Vec<&Machine> = world.machines.values().filter(|machine| !machine.is_for_sale()).collect();
                assert_eq!((sold.len(), world.users.len()), (1, 3), "{call} {how:?}");
                assert_eq!(sold[0].owner.as_deref(), Some("77"), "{call} {how:?}");
                assert_eq!((sold[0].installs.len(), sold[0].addresses.len()), (1, 2), "{call} {how:?}");
                assert_eq!(&sold[0].installs[0].2, made.secrets["root_password"].expose(), "{call} {how:?}");
            }
        }
    }

    #[test]
    fn every_machine_that_fell_out_is_counted_with_its_reason() {
        let stage = Stage::new();
        {
            let mut world = stage.world();
            world.machines.clear();
            for (n, flag) in
                [(1, "blocked"), (2, "hwproblem"), (3, "diag_in_progress"), (4, "operation_failed"), (5, "disabled")]
            {
                world.machines.insert(n, Machine { flags: BTreeSet::from([flag]), ..Machine::free(n) });
            }
            world.machines.insert(6, Machine { owner: Some("60".into()), ..Machine::free(6) });
            let mut named = Machine::free(7);
            named.addresses[0].2 = "half.released".into();
            world.machines.insert(7, named);
            world.machines.insert(8, Machine { mac: "", ..Machine::free(8) });
            world.machines.insert(
                9,
                Machine { ip: None, addresses: vec![(90, "x".into(), "free.ds".into())], ..Machine::free(9) },
            );
            world.machines.insert(10, Machine { package: "E5", kind: "E5", ..Machine::free(10) });
            world.machines.insert(11, Machine::free(11));
        }
        let host = stage.host();
        host.claim("11");

        let fault = fault(run(&host, json!({})));

        assert_eq!(fault.class, FaultClass::Capacity);
        for part in [
            "\"E3\": 10 machines, 0 free",
            "1 owned",
            "2 blocked",
            "1 with a hardware problem",
            "1 in diagnostics",
            "1 with a failed operation",
            "2 not called free.ds",
            "1 of another service",
            "1 without a MAC address",
        ] {
            assert!(fault.staff.contains(part), "{part}: {fault}");
        }
        assert!(host.notes().iter().any(|note| note.contains("10 machines")));
        assert!(stage.world().machines.values().all(|machine| machine.owner.as_deref() != Some(ADMIN)));
    }

    #[test]
    fn a_package_with_a_quote_matches_only_itself() {
        let stage = Stage::new();
        let host = stage.host();
        let refused = fault(run(&host, json!({ "package": "x' or '1'='1" })));
        assert_eq!(refused.class, FaultClass::Capacity);

        let stage = Stage::new();
        stage.world().machines.insert(50, Machine { package: "E3 \"new\" <&'>", ..Machine::free(50) });
        let made = ok_of(run(&stage.host(), json!({ "package": "E3 \"new\" <&'>" })));
        assert_eq!(made.remote_id, "50");
    }

    #[test]
    fn two_orders_for_the_last_machine_are_one_sale() {
        let stage = only();
        let host = stage.host();
        ok_of(run(&host, json!({})));
        host.next_operation();

        let second = fault(run_for(&host, stage::new_service("1008"), json!({})));

        assert_eq!(second.class, FaultClass::Capacity);
        assert!(stage.world().machines[&42].notes.contains("whmcs/1007"));
    }

    #[test]
    fn a_machine_that_a_rival_takes_at_the_same_time_is_left_to_him() {
        let stage = Stage::new();
        stage.world().rival = 2;
        let host = stage.host();

        let made = ok_of(run(&host, json!({})));

        let world = stage.world();
        let lost: Vec<&Machine> = world.machines.values().filter(|it| it.owner.as_deref() == Some("60")).collect();
        assert_eq!(lost.len(), 2);
        assert!(lost.iter().all(|machine| machine.installs.is_empty() && !machine.on));
        assert_eq!(world.machines[&made.remote_id.parse().unwrap()].owner.as_deref(), Some("77"));
        assert!(host.notes().iter().any(|note| note.contains("somebody else")));
    }

    #[test]
    fn a_lost_reservation_that_a_rival_won_is_never_adopted() {
        let stage = Stage::new();
        stage.world().rival = 1;
        stage.breaks("server.edit ok", Break::Lost { done: true });
        let host = stage.host();

        let made = ok_of(to_end(|| run(&host, json!({}))));

        let world = stage.world();
        assert_eq!(world.machines[&made.remote_id.parse().unwrap()].owner.as_deref(), Some("77"));
        assert_eq!(world.machines.values().filter(|machine| machine.is_for_sale()).count(), 1);
    }

    #[test]
    fn a_panel_that_forgets_marks_keeps_its_machines() {
        let stage = Stage::new();
        stage.world().forgets_notes = true;
        let host = stage.host();
        for _ in 0..2 {
            let fault = fault(run(&host, json!({})));
            assert_eq!(fault.class, FaultClass::Unsupported);
            assert!(fault.staff.contains("notes"), "{fault}");
            assert!(stage.world().machines.values().all(Machine::is_for_sale));
        }
    }

    #[test]
    fn an_account_of_the_same_name_that_is_not_ours_is_a_conflict() {
        for level in [16, 29] {
            let stage = Stage::new();
            stage.world().users.insert(77, ("client42".into(), level, "x".into()));
            let host = stage.host();

            let fault = fault(run(&host, json!({})));

            assert_eq!(fault.class, FaultClass::AlreadyExists, "{level}");
            assert!(fault.staff.contains("account_prefix") && fault.staff.contains("client42"), "{fault}");
            assert!(changes(&host).is_empty());
        }
    }

    #[test]
    fn one_account_serves_all_machines_of_a_customer() {
        let stage = Stage::new();
        let host = stage.host();
        let first = ok_of(run(&host, json!({})));
        host.next_operation();

        let second = ok_of(run_for(&host, stage::new_service("1008"), json!({})));

        assert_eq!(first.username, second.username);
        assert_eq!(stage.world().users.len(), 3);
        assert!(!second.secrets.contains_key("panel_password"), "the account keeps its first password");
        host.next_operation();
        let other = Service { client_id: Some("43".into()), ..stage::new_service("1009") };
        assert_eq!(ok_of(run_for(&host, other, json!({}))).username.as_deref(), Some("client43"));
    }

    #[test]
    fn a_kept_prefix_or_a_named_account_is_taken_as_it_is() {
        let prefixed = || stage::provider_with(json!({ "account_prefix": "bh" }));
        for (provider, more, name) in
            [(prefixed(), json!({}), "bh42"), (stage::provider(), json!({ "account": "acme" }), "acme")]
        {
            let stage = Stage::new();
            stage.world().users.insert(77, (name.into(), 16, "x".into()));
            let host = stage.host();
            let made = ok_of(host.run(async |cx| provider.create(cx, stage::create(more.clone())).await));
            assert_eq!((made.username.as_deref(), stage.world().users.len()), (Some(name), 3));
        }
        let missing = fault(run(&Stage::new().host(), json!({ "account": "nobody" })));
        assert_eq!(missing.class, FaultClass::InvalidInput);
    }

    #[test]
    fn an_administrator_who_is_no_row_stops_it_before_anything() {
        let stage = Stage::new();
        stage.world().users.remove(&5);
        let host = stage.host();
        let fault = fault(run(&host, json!({})));
        assert_eq!((fault.class, changes(&host).len()), (FaultClass::Permission, 0));
        assert!(fault.staff.contains("superuser"), "{fault}");
    }

    #[test]
    fn a_refused_preparation_gives_the_machine_back_as_it_was() {
        type Set = fn(&Stage);
        let cases: [(&str, Value, Set); 4] = [
            ("an unknown template", json!({ "os": "none", "IP": 1 }), |_| {}),
            ("no more addresses", json!({ "IP": 3 }), |stage| stage.world().pool = 2),
            ("a refused installation", json!({ "IP": 1 }), |stage| {
                stage.breaks(
                    "server.operations ok",
                    Break::Says { done: false, body: "<doc><error type='value' object='passwd'/></doc>" },
                );
            }),
            ("no power", json!({}), |stage| {
                stage.world().machines.get_mut(&42).unwrap().flags.insert("powererror");
            }),
        ];
        for (what, more, set) in cases {
            let stage = only();
            set(&stage);
            let before = stage.world().machines[&42].clone();
            let host = stage.host();

            let first = fault(run(&host, more.clone()));
            let again = fault(run(&host, more));

            assert_eq!(first, again, "{what}");
            let after = stage.world().machines[&42].clone();
            assert!(after.is_for_sale() && after.installs.is_empty(), "{what}: {after:?}");
            assert_eq!((after.addresses, after.notes), (before.addresses, before.notes), "{what}");
        }
    }

    #[test]
    fn what_an_operator_mends_is_no_reason_to_give_the_machine_back() {
        for body in ["<doc><error type='extraconfirm'/></doc>", "<doc><error code='3'/></doc>"] {
            let stage = only();
            stage.breaks_after(3, "server", Break::Says { done: false, body });
            let host = stage.host();
            let first = fault(run(&host, json!({ "IP": 1 })));
            assert!(matches!(first.class, FaultClass::Auth | FaultClass::Unsupported), "{first}");
            assert_eq!(stage.world().machines[&42].owner.as_deref(), Some(ADMIN));
            ok_of(run(&host, json!({ "IP": 1 })));
        }
    }

    #[test]
    fn an_undo_that_breaks_anywhere_still_gives_everything_back() {
        for call in ["iplist.delete", "iplist.edit ok", "server.edit ok"] {
            for how in BREAKS {
                let stage = only();
                let host = stage.host();
                stage.breaks(
                    "server.operations ok",
                    Break::Says { done: false, body: "<doc><error type='value'/></doc>" },
                );
                // The first ones of these are the way up.
                let skipped = match call {
                    "iplist.delete" => 0,
                    "iplist.edit ok" => 2,
                    _ => 1,
                };
                stage.breaks_after(skipped, call, how);
                let ended = to_end(|| run(&host, json!({ "IP": 1 })));
                assert_eq!(fault(ended).class, FaultClass::InvalidInput, "{call} {how:?}");
                assert!(stage.world().machines[&42].is_for_sale(), "{call} {how:?}");
            }
        }
    }

    #[test]
    fn a_machine_that_was_taken_meanwhile_is_not_undone() {
        let stage = only();
        // Before the installation somebody takes the machine over by hand.
        stage.breaks("server.operations ok", Break::NeverLeft);
        let host = stage.host();
        assert_eq!(stage::class(run(&host, json!({}))), FaultClass::Unreachable);
        {
            let mut world = stage.world();
            let machine = world.machines.get_mut(&42).unwrap();
            machine.owner = Some("60".into());
            machine.notes = String::new();
        }

        let fault = fault(run(&host, json!({})));

        assert_eq!(fault.class, FaultClass::NotFound);
        let machine = stage.world().machines[&42].clone();
        assert_eq!((machine.owner.as_deref(), machine.installs.len()), (Some("60"), 0));
        assert_eq!(machine.hostname(), "svc1007.example.net", "nothing of it is touched");
    }

    #[test]
    fn a_failed_installation_keeps_the_machine_and_a_retry_installs_again() {
        let stage = only();
        stage.world().install_fails = true;
        let host = stage.host();

        let failed = fault(run(&host, json!({ "IP": 1 })));

        assert_eq!((failed.class, failed.code.as_deref()), (FaultClass::PanelBug, Some(FAILED)));
        assert!(failed.staff.contains("stays reserved") && failed.staff.contains("PDU"), "{failed}");
        let machine = stage.world().machines[&42].clone();
        assert_eq!((machine.owner.as_deref(), machine.addresses.len(), machine.installs.len()), (Some(ADMIN), 2, 1));

        stage.world().install_fails = false;
        ok_of(run(&host, json!({ "IP": 1 })));
        let machine = stage.world().machines[&42].clone();
        assert_eq!((machine.owner.as_deref(), machine.addresses.len(), machine.installs.len()), (Some("77"), 2, 2));
    }

    #[test]
    fn an_installation_that_takes_too_long_says_how_long_and_is_waited_for_on() {
        for (limit, text) in [(7_200, "within 7200 s"), (720, "within 720 s")] {
            let stage = only();
            stage.world().slowness = 0;
            let host = stage.host();
            let run =
                |provider: crate::DciManager| host.run(async |cx| provider.create(cx, stage::create(json!({}))).await);
            let provider = || stage::provider_with(json!({ "install_limit_s": limit }));
            // The panel is at it for ever.
            host.set_panel(stuck_panel(stage.clone()));
            let late = fault(run(provider()));
            assert_eq!((late.code.as_deref(), late.class), (Some(OVERDUE), FaultClass::PanelBug));
            assert!(late.staff.contains(text), "{late}");
            assert_eq!(stage.world().machines[&42].owner.as_deref(), Some(ADMIN));
        }
    }

    fn stuck_panel(
        stage: Stage,
    ) -> impl FnMut(&billhook_plugin_api::Request) -> billhook_plugin_api::testing::Scripted + Send {
        move |request| {
            for machine in stage.world().machines.values_mut() {
                if !machine.installs.is_empty() {
                    machine.flags.insert("install_in_progress");
                }
            }
            stage.scripted(request)
        }
    }

    #[test]
    fn one_that_is_not_waited_for_is_handed_over_at_once() {
        let stage = only();
        stage.world().slowness = 50;
        let host = stage.host();
        stage.world().machines.get_mut(&42).unwrap().on = true;
        let made = ok_of(run(&host, json!({ "dont_wait": true })));
        let machine = stage.world().machines[&42].clone();
        assert_eq!((machine.owner.as_deref(), machine.install_left.is_some()), (Some("77"), true));
        assert!(made.message.staff.is_some());
    }

    #[test]
    fn a_name_is_made_by_the_template_and_counted_until_it_is_the_only_one() {
        let row = |name: &str| Row { hostname: name.into(), ..Row::default() };
        let rows = [row("svc1007.example.net"), row("svc1007-2.example.net"), row("free.ds")];
        for (ordered, template, expected) in [
            (Some("Shop.Example.org."), None, Some("shop.example.org")),
            (Some("svc1007.example.net"), None, Some("svc1007-3.example.net")),
            (None, None, Some("1007.domain")),
            (Some(""), None, Some("1007.domain")),
            (Some("x.org"), Some("d@ID@.dc.example"), Some("d1007.dc.example")),
            (Some("x.org"), Some("d.@DOMAIN@"), Some("d.x.org")),
            (Some("free.ds"), None, None),
            (Some("no name"), None, None),
            (Some("single"), None, None),
        ] {
            let service = Service { domain: ordered.map(str::to_owned), ..stage::new_service("1007") };
            let product = stage::product(json!({ "domain_template": template }));
            assert_eq!(domain(&service, &product, &rows).ok().as_deref(), expected, "{ordered:?} {template:?}");
        }
    }

    #[test]
    fn one_machine_can_be_forced_if_it_is_free() {
        let stage = Stage::new();
        let made = ok_of(run(&stage.host(), json!({ "server_id": "43", "package": "other" })));
        assert_eq!(made.remote_id, "43");
        stage.world().machines.insert(41, Machine { owner: Some("60".into()), ..Machine::free(41) });
        let taken = fault(run(&stage.host(), json!({ "server_id": "41" })));
        assert!(taken.staff.contains("server 41: 1 machines, 0 free, 1 owned"), "{taken}");
    }

    #[test]
    fn a_session_that_ends_is_renewed_and_a_change_is_not_sent_twice() {
        let stage = only();
        let host = stage.host();
        let provider = stage::provider();
        let run = || host.run(async |cx| provider.create(cx, stage::create(json!({}))).await);
        stage.breaks("server.poweron", Break::NeverLeft);
        assert_eq!(stage::class(run()), FaultClass::Unreachable);
        stage.world().sign_out();
        ok_of(run());
        assert_eq!(changes(&host).iter().filter(|change| *change == "server.poweron 42").count(), 2);
    }

    #[test]
    fn wrong_credentials_and_a_second_factor_are_said() {
        for (body, hint) in [
            ("<doc><error type='auth' object='badpassword'/></doc>", "login and password"),
            ("<doc><error type='extraconfirm'/></doc>", "second factor"),
            ("<doc/>", "doc.auth"),
        ] {
            let stage = Stage::new();
            stage.breaks("auth", Break::Says { done: false, body });
            let host = stage.host();
            let fault = fault(run(&host, json!({})));
            assert!(fault.staff.contains(hint), "{fault}");
            assert!(changes(&host).is_empty());
        }
    }

    #[test]
    fn no_password_is_told_in_a_note() {
        let stage = only();
        let host = stage.host();
        let made = ok_of(run(&host, json!({})));
        for secret in made.secrets.values() {
            assert!(host.secrets().contains(secret.expose()));
            assert!(host.notes().iter().all(|note| !note.contains(secret.expose().as_str())));
        }
    }
}
