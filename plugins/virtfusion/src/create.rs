//! `create`: a user, a server, its system.
//!
//! The panel takes no key, name or reference with an order, so that a lost answer is settled by the difference between
//! the user's servers before and after it. What cannot be told for certain is left to a person.

use crate::owner::{self, Relation};
use crate::package::PACKAGE_ID;
use crate::server::{Build, ORDER_SETTLE};
use crate::settings::{OnBuildFailure, Product, UserRelation};
use crate::{VirtFusion, api, fault, lifecycle, panel};
use billhook_plugin_api::{
    Account, Client, Create, Cx, Fault, FaultClass, Find, Secret, Service, Settle, Time, every, within,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The code of a fault that says that a build failed on the panel.
pub const BUILD_FAILED: &str = "build_failed";

/// Reading more newcomers than this tells nothing more: one is too many already.
const MAX_NEWCOMERS: usize = 10;

/// Makes the server and waits until its system is installed.
pub async fn run(panel: &VirtFusion, cx: &Cx, request: Create<Product>) -> Result<Account, Fault> {
    let Create { service, client, product, password } = request;
    product.check()?;
    if password.is_some() {
        cx.note("the panel takes no chosen password; it makes one itself");
    }

    cx.progress(5, "looking for the customer's user on the panel");
    let user = ensure_user(panel, cx, &service, &client, &product).await?;

    cx.progress(20, "ordering the server");
    let id = order(cx, user, &product).await?;

    cx.progress(40, format!("server {id} is allocated"));
    let label = label(&service);
    name(cx, id, &label).await?;

    cx.progress(50, "starting the installation");
    let built = build(cx, id, &label, &service, &product).await?;
    if !built.is_asked {
        let mut account = account(panel, cx, id, &product).await?;
        account.message.staff = Some("no system is installed: the product has no os_template_id".into());
        return Ok(account);
    }

    cx.progress(60, "the system is being installed");
    if let Err(fault) = wait_until_built(cx, id, &product).await {
        if product.on_build_failure == OnBuildFailure::Delete && fault.code.as_deref() == Some(BUILD_FAILED) {
            cx.undo(&fault).await?;
            cx.progress(90, "the installation failed; the server is being deleted");
            lifecycle::delete(cx, "undo_server", id, 0, &|_| Ok(())).await?;
        }
        return Err(fault);
    }

    cx.progress(95, "reading the server's addresses");
    let mut account = account(panel, cx, id, &product).await?;
    match built.root_password {
        Some(password) => {
            account.secrets.insert("root_password".into(), password);
        }
        None => {
            account.message.staff =
                Some("the panel's only answer with the root password was lost: reset the password on the panel".into());
        }
    }
    Ok(account)
}

/// Finds the customer's panel user by our relation, or makes one. A user of the same address is never taken: whoever made
/// it may be somebody else.
///
/// A shared owner comes out of the same step, so that the hook has the same steps when the product is changed between runs.
async fn ensure_user(
    panel: &VirtFusion,
    cx: &Cx,
    service: &Service,
    client: &Client,
    product: &Product,
) -> Result<u64, Fault> {
    // A second user with the same address is refused by the panel itself, and so is a late second sending.
    let settle = Settle { refuses_twice: true, ..Settle::default() };
    cx.step("user")
        .settle(settle)
        .ensure(|send| async move {
            if let Some(shared) = product.virtfusion_user_id {
                return Ok(shared);
            }
            let relation = &Relation::of(service, panel.user_relation, panel.relation_prefix.as_deref())?;
            if let Some(user) = panel::find_user(cx, relation).await? {
                return Ok(user);
            }
            let email = client.email.trim();
            if email.is_empty() {
                return Err(Fault::invalid_input("the customer has no e-mail address, which a panel user needs"));
            }
            let reply = send.call(api::new_user(relation, &owner::user_name(client), email, product)).await?;
            match fault::of(&reply) {
                Some(clash) if reply.status == 409 && clash.refused => match panel::find_user(cx, relation).await? {
                    Some(user) => Ok(user),
                    None => Err(taken(relation, panel.user_relation)),
                },
                _ => api::new_user_reply(&reply),
            }
        })
        .await
}

fn taken(relation: &Relation, kind: UserRelation) -> Fault {
    let remedy = match kind {
        UserRelation::ExtId => format!("set that user's external relation id to {relation}"),
        UserRelation::RelStr => format!("give that user the relation string {relation}"),
    };
    Fault::new(
        FaultClass::AlreadyExists,
        format!("another panel user has the customer's e-mail address: if it is the customer's, {remedy} and retry"),
    )
    .with_code("409")
    .refused()
}

/// Orders the server, once. From the commit of its result the server is the service's, whatever follows.
async fn order(cx: &Cx, user: u64, product: &Product) -> Result<u64, Fault> {
    cx.step("server")
        .scope(format!("user:{user}"))
        .settle(ORDER_SETTLE)
        .remote_id()
        .given(|| panel::servers_of(cx, user))
        .find(|before: Vec<u64>| newcomer(cx, user, product, before))
        .adopt(move |id| async move {
            let id = id.trim().parse().map_err(|_| Fault::invalid_input("the id of a server is a number"))?;
            let found = panel::find_server(cx, id).await?.filter(|server| server.owner_id == user);
            Ok(found.map_or(Find::Absent, |server| Find::Found(server.id)))
        })
        .run(|_, send| async move { api::order_reply(&send.call(api::order(user, product)).await?, user) })
        .await
}

/// Looks for the server of an order whose answer was lost.
///
/// A new server that does not look like ours is not proof that ours is missing: staff may have touched it. So it is never
/// passed over, and a person decides.
async fn newcomer(cx: &Cx, user: u64, product: &Product, before: Vec<u64>) -> Result<Find<u64>, Fault> {
    let mut new = panel::servers_of(cx, user).await?;
    new.retain(|id| !before.contains(id));
    let texts: Vec<String> = new.iter().map(u64::to_string).collect();
    let claimed = if texts.is_empty() { Vec::new() } else { cx.claimed(&texts).await? };
    new.retain(|id| !claimed.contains(&id.to_string()));
    match new[..] {
        [] => Ok(Find::Absent),
        [id] => {
            let Some(server) = panel::find_server(cx, id).await? else {
                return Err(Fault::new(FaultClass::ConflictBusy, format!("server {id} is listed and cannot be read")));
            };
            let package = panel::package(cx, product.package_id).await?;
            Ok(match server.differs_from_order(user, product, package) {
                None => Find::Found(id),
                Some(why) => Find::Unknown(format!("server {id} is new at user {user} but {why}: is it this order's?")),
            })
        }
        _ => {
            let shown: Vec<String> = new.iter().take(MAX_NEWCOMERS).map(u64::to_string).collect();
            Ok(Find::Unknown(format!(
                "{} new servers at user {user}: {}; which is this order's?",
                new.len(),
                shown.join(", ")
            )))
        }
    }
}

/// The name by which staff can find a service's server.
pub fn label(service: &Service) -> String {
    format!("billhook-{}-{}", service.platform, service.id)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect()
}

/// Names the server. Only a help for people, so that a panel that will not is no reason to stop.
async fn name(cx: &Cx, id: u64, label: &str) -> Result<(), Fault> {
    // A late second sending sets the same name, so that nothing needs to be waited out.
    cx.step("name")
        .settle(Settle { refuses_twice: true, ..Settle::default() })
        .ensure(|send| async move {
            if panel::server(cx, id).await?.name == label {
                return Ok(());
            }
            let reply = send.call(api::rename(id, label)).await?;
            match api::rename_reply(&reply) {
                Err(fault) if fault.class != FaultClass::RateLimited => {
                    cx.note(format!("server {id} could not be named {label}: {}", fault.staff));
                    Ok(())
                }
                named => named,
            }
        })
        .await
}

/// What is kept of an accepted build.
#[derive(Serialize, Deserialize)]
struct Built {
    /// Whether the product has a system to install.
    is_asked: bool,
    /// Absent when the answer was lost: the panel tells it once.
    root_password: Option<Secret<String>>,
}

/// Starts the installation, unless one was accepted or none is wanted.
async fn build(cx: &Cx, id: u64, label: &str, service: &Service, product: &Product) -> Result<Built, Fault> {
    let hostname = hostname(service);
    cx.step("build")
        .sealed()
        .ensure(|send| async move {
            let Some(os_template) = product.os_template_id else {
                return Ok(Built { is_asked: false, root_password: None });
            };
            let lost = Built { is_asked: true, root_password: None };
            if is_build_accepted(cx, id, os_template).await? {
                return Ok(lost);
            }
            let reply = send.call(api::build(id, label, hostname, os_template, product)).await?;
            // A build may be what locks it; any other lock passes.
            if reply.status == 423 && is_build_accepted(cx, id, os_template).await? {
                return Ok(lost);
            }
            let root_password = api::build_reply(&reply, id)?;
            if let Some(password) = &root_password {
                cx.secret(password.expose()).await?;
            }
            Ok(Built { is_asked: true, root_password })
        })
        .await
}

async fn is_build_accepted(cx: &Cx, id: u64, os_template: u64) -> Result<bool, Fault> {
    let server = panel::server(cx, id).await?;
    Ok(server.build() != Build::Awaited || server.os_template == Some(os_template))
}

async fn wait_until_built(cx: &Cx, id: u64, product: &Product) -> Result<(), Fault> {
    cx.wait_until("built", every(5.secs()), within(30.mins()), || async move {
        match panel::server(cx, id).await?.build() {
            Build::Done => Ok(true),
            Build::Awaited | Build::Running => Ok(false),
            Build::Failed => Err(build_failed(id, product.on_build_failure)),
        }
    })
    .await
}

fn build_failed(id: u64, then: OnBuildFailure) -> Fault {
    let remedy = match then {
        OnBuildFailure::Keep => "build it again on the panel and retry, or terminate the service",
        OnBuildFailure::Delete => "it is deleted, as on_build_failure says",
    };
    Fault::panel_bug(format!("the installation of server {id} failed on the panel: {remedy}"))
        .with_code(BUILD_FAILED)
        .for_customer("The system could not be installed.")
}

async fn account(panel: &VirtFusion, cx: &Cx, id: u64, product: &Product) -> Result<Account, Fault> {
    let server = panel::server(cx, id).await?;
    let mut properties = server.properties();
    properties.insert(PACKAGE_ID.into(), json!(product.package_id));
    if let Some(url) = &panel.panel_url {
        properties.insert("panel_url".into(), json!(url));
    }
    Ok(Account { remote_id: id.to_string(), ips: server.ips, properties, ..Account::default() })
}

/// The service's domain, where the panel takes it as a host name.
pub fn hostname(service: &Service) -> Option<&str> {
    service.domain.as_deref().filter(|domain| is_hostname(domain))
}

/// Whether the panel takes it as a host name; a domain in another script is not sent.
fn is_hostname(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Machine, Stage};
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use serde_json::Value;

    fn run(host: &ScriptedHost, more: Value) -> Ended<Account> {
        host.run(async |cx| stage::provider().create(cx, stage::create(more)).await)
    }

    /// Runs again while steps settle or faults pass, as the host does.
    fn run_to_end(host: &ScriptedHost, more: &Value) -> Ended<Account> {
        for _ in 0..5 {
            match run(host, more.clone()) {
                Ended::Settling(_) => {}
                Ended::Fault(fault) if matches!(fault.class, FaultClass::Unreachable | FaultClass::InDoubt) => {}
                ended => return ended,
            }
        }
        panic!("it never ends");
    }

    fn account(ended: Ended<Account>) -> Account {
        match ended {
            Ended::Ok(account) => account,
            other => panic!("{other:?}"),
        }
    }

    fn fault(ended: Ended<Account>) -> Fault {
        match ended {
            Ended::Fault(fault) => fault,
            other => panic!("{other:?}"),
        }
    }

    const CHANGES: [&str; 4] =
        ["POST /users", "POST /servers", "PUT /servers/7000/modify/name", "POST /servers/7000/build"];

    #[test]
    fn a_create_makes_a_user_a_server_and_its_system() {
        let stage = Stage::new();
        stage.world().slowness = 3;
        let host = stage.host();

        let account = account(run(&host, json!({})));

        assert_eq!(host.changes(), CHANGES);
        assert_eq!(account.remote_id, "7000");
        assert_eq!(account.ips, ["10.40.0.10", "10.40.0.11"]);
        assert_eq!(account.secrets["root_password"].expose(), "root-password-1");
        assert_eq!(account.properties["owner_id"], json!(300));
        assert_eq!(account.properties["ipv6_subnets"], json!(["2001:db8:7::/80"]));
        assert_eq!(account.message.staff, None);
        assert_eq!(host.secrets(), ["root-password-1"]);
        assert_eq!(stage.world().machines[&7_000].name, "billhook-shop-55");
    }

    #[test]
    fn a_create_that_runs_twice_changes_once() {
        let stage = Stage::new();
        let host = stage.host();
        let first = account(run(&host, json!({})));

        let second = account(run(&host, json!({})));

        assert_eq!(first, second);
        assert_eq!(host.changes(), CHANGES);
    }

    #[test]
    fn every_change_that_breaks_in_every_way_happens_once() {
        for call in CHANGES {
            for how in stage::BREAKS {
                let stage = Stage::new();
                stage.breaks(call, how);

                let account = account(run_to_end(&stage.host(), &json!({})));

                let world = stage.world();
                assert_eq!(account.remote_id, "7000", "{call} {how:?}");
                assert_eq!((world.users.len(), world.machines.len()), (1, 1), "{call} {how:?}");
                assert_eq!(world.machines[&7_000].builds, 1, "{call} {how:?}");
                assert_eq!(world.machines[&7_000].state, "complete", "{call} {how:?}");
            }
        }
    }

    #[test]
    fn a_lost_build_answer_costs_the_password_and_says_so() {
        let stage = Stage::new();
        stage.breaks("POST /servers/7000/build", Break::Lost { done: true });

        let account = account(run_to_end(&stage.host(), &json!({})));

        assert!(account.secrets.is_empty());
        assert!(account.message.staff.unwrap().contains("reset the password"));
    }

    #[test]
    fn a_build_that_is_over_is_not_started_again() {
        let stage = Stage::new();
        stage.breaks("POST /servers/7000/build", Break::Lost { done: true });
        let host = stage.host();
        assert_eq!(run(&host, json!({})), Ended::Settling("build".into()));
        let finished = Machine { builds: 1, ..Machine::complete(300) };
        stage.world().machines.insert(7_000, finished);

        account(run(&host, json!({})));

        assert_eq!(stage.world().machines[&7_000].builds, 1);
    }

    #[test]
    fn a_refused_order_makes_nothing_and_can_be_repeated() {
        use FaultClass::{Auth, InvalidInput, Permission, RateLimited};
        for (status, class) in
            [(401, Auth), (403, Permission), (409, InvalidInput), (422, InvalidInput), (429, RateLimited)]
        {
            let stage = Stage::new();
            stage.breaks("POST /servers", Break::Says { done: false, status, body: r#"{"errors":["no room"]}"# });
            let host = stage.host();

            let refused = fault(run(&host, json!({})));
            let account = account(run(&host, json!({})));

            assert_eq!((refused.class, refused.refused), (class, true), "{status}");
            assert!(refused.staff.ends_with("no room"), "{refused}");
            assert_eq!((account.remote_id.as_str(), stage.world().machines.len()), ("7000", 1), "{status}");
        }
    }

    #[test]
    fn an_address_that_somebody_has_is_never_adopted() {
        let stage = Stage::new();
        stage.world().emails.push("ann@example.com".into());
        let host = stage.host();

        let fault = fault(run(&host, json!({})));

        assert_eq!((fault.class, fault.refused), (FaultClass::AlreadyExists, true));
        assert!(fault.staff.contains("external relation id to 42"), "{fault}");
        assert!(stage.world().machines.is_empty());
    }

    #[test]
    fn a_user_that_a_neighbour_made_meanwhile_is_the_same_customers() {
        let stage = Stage::new();
        stage.world().emails.push("ann@example.com".into());
        stage.world().users.insert("42".into(), 9);
        stage
            .breaks("GET /users/42/byExtRelation", Break::Says { done: false, status: 404, body: r#"{"msg":"none"}"# });
        let host = stage.host();

        account(run(&host, json!({})));

        assert_eq!(stage.world().machines[&7_000].owner, 9);
    }

    #[test]
    fn the_first_look_for_the_user_trusts_no_page() {
        let stage = Stage::new();
        stage.world().users.insert("42".into(), 9);
        stage.breaks("GET /users/42/byExtRelation", Break::Page { done: false, status: 404 });
        let host = stage.host();

        let fault = fault(run(&host, json!({})));

        assert_eq!(fault.class, FaultClass::InDoubt);
        assert!(fault.staff.contains("/api/v1"), "{fault}");
        assert!(host.changes().is_empty());
    }

    #[test]
    fn a_lost_order_never_takes_a_neighbours_server() {
        fn neighbour(world: &mut stage::World, machine: Machine) {
            world.machines.insert(8_000, machine);
        }
        type Case = (bool, bool, fn(&mut stage::World), Result<&'static str, ()>);
        let cases: [Case; 6] = [
            // Claimed by another service: not looked at.
            (true, true, |world| neighbour(world, Machine::allocated(300)), Ok("7000")),
            (false, true, |world| neighbour(world, Machine::allocated(300)), Ok("7001")),
            // Of another user: not in the list.
            (true, false, |world| neighbour(world, Machine::allocated(999)), Ok("7000")),
            // Two that could be ours.
            (true, false, |world| neighbour(world, Machine::allocated(300)), Err(())),
            // One that is touched, or has not what was ordered.
            (true, false, |world| world.machines.get_mut(&7_000).unwrap().name = "by hand".into(), Err(())),
            (true, false, |world| world.machines.get_mut(&7_000).unwrap().memory = 512, Err(())),
        ];
        for (number, (is_done, is_claimed, then, expected)) in cases.into_iter().enumerate() {
            let stage = Stage::new();
            stage.world().after_order = Some(then);
            let host = stage.host();
            if is_claimed {
                host.claim("8000");
            }
            stage.breaks("POST /servers", Break::Lost { done: true });
            assert_eq!(run(&host, json!({})), Ended::Settling("server".into()), "{number}");
            if !is_done {
                stage.world().machines.remove(&7_000);
            }

            match (run(&host, json!({})), expected) {
                (Ended::Ok(account), Ok(id)) => assert_eq!(account.remote_id, id, "{number}"),
                (Ended::Attention(step), Err(())) => assert_eq!(step, "server", "{number}"),
                (ended, expected) => panic!("{number}: {ended:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn servers_from_before_the_order_are_not_newcomers() {
        let stage = Stage::with(Machine::allocated(300));
        stage.world().users.insert("42".into(), 300);
        stage.world().next_machine = 7_001;
        stage.breaks("POST /servers", Break::Lost { done: true });

        let account = account(run_to_end(&stage.host(), &json!({})));

        assert_eq!(account.remote_id, "7001");
    }

    #[test]
    fn a_refused_build_leaves_the_server_and_a_repeat_builds_it() {
        let stage = Stage::new();
        stage.breaks(
            "POST /servers/7000/build",
            Break::Says { done: false, status: 422, body: r#"{"errors":["no template"]}"# },
        );
        let host = stage.host();

        let refused = fault(run(&host, json!({})));
        let account = account(run(&host, json!({ "os_template_id": 11 })));

        assert_eq!((refused.class, refused.refused), (FaultClass::InvalidInput, true));
        assert_eq!(account.remote_id, "7000");
        let world = stage.world();
        assert_eq!((world.machines.len(), world.machines[&7_000].os), (1, 11));
    }

    #[test]
    fn a_lock_is_a_build_only_if_the_server_says_so() {
        let locked = Break::Says { done: false, status: 423, body: r#"{"msg":"pending tasks in queue"}"# };
        let other = Stage::new();
        other.breaks("POST /servers/7000/build", locked);
        let host = other.host();
        let fault = fault(run(&host, json!({})));
        assert_eq!((fault.class, fault.refused), (FaultClass::ConflictBusy, true));
        account(run(&host, json!({})));

        let ours = Stage::new();
        ours.breaks(
            "POST /servers/7000/build",
            Break::Says { done: true, status: 423, body: r#"{"msg":"build running"}"# },
        );
        let account = account(run(&ours.host(), json!({})));
        assert!(account.secrets.is_empty());
        assert_eq!(ours.world().machines[&7_000].builds, 1);
    }

    #[test]
    fn a_failed_build_keeps_the_server_unless_told_otherwise() {
        for (more, is_kept) in [(json!({}), true), (json!({ "on_build_failure": "delete" }), false)] {
            let stage = Stage::new();
            stage.world().build_fails = true;
            stage.world().slowness = 2;
            let host = stage.host();

            let first = fault(run(&host, more.clone()));

            assert_eq!((first.class, first.code.as_deref()), (FaultClass::PanelBug, Some("build_failed")));
            assert!(first.customer.is_some());
            let deletes = host.changes().iter().filter(|change| change.starts_with("DELETE")).count();
            assert_eq!(deletes, usize::from(!is_kept));
        }
    }

    #[test]
    fn a_lost_undo_is_taken_up_again_and_ends_with_the_same_fault() {
        let stage = Stage::new();
        stage.world().build_fails = true;
        stage.breaks("DELETE /servers/7000", Break::Lost { done: false });
        let host = stage.host();
        let more = json!({ "on_build_failure": "delete" });
        assert_eq!(run(&host, more.clone()), Ended::Settling("undo_server".into()));

        let fault = fault(run(&host, more));

        assert_eq!(fault.code.as_deref(), Some("build_failed"));
        assert!(stage.world().machines.is_empty());
    }

    #[test]
    fn a_kept_server_that_staff_built_again_completes_the_order() {
        let stage = Stage::new();
        stage.world().build_fails = true;
        let host = stage.host();
        fault(run(&host, json!({})));
        let repaired = Machine { builds: 2, ..Machine::complete(300) };
        stage.world().machines.insert(7_000, repaired);

        let account = account(run(&host, json!({})));

        assert_eq!(account.remote_id, "7000");
        assert_eq!(stage.world().machines[&7_000].builds, 2);
    }

    #[test]
    fn a_server_that_vanishes_fails_the_order() {
        let stage = Stage::new();
        stage.breaks("POST /servers/7000/build", Break::Says { done: false, status: 429, body: "" });
        let host = stage.host();
        assert_eq!(fault(run(&host, json!({}))).class, FaultClass::RateLimited);
        stage.world().machines.clear();

        let fault = fault(run(&host, json!({})));

        assert_eq!(fault.class, FaultClass::NotFound);
        assert_eq!(stage.world().machines.len(), 0, "it is not ordered again");
    }

    #[test]
    fn a_server_that_will_not_be_named_is_built_all_the_same() {
        for status in [403, 404, 422, 423, 500] {
            let stage = Stage::new();
            stage.breaks("PUT /servers/7000/modify/name", Break::Says { done: false, status, body: r#"{"msg":"no"}"# });
            let host = stage.host();

            account(run(&host, json!({})));

            assert!(host.notes().iter().any(|note| note.contains("could not be named")), "{status}");
        }
    }

    #[test]
    fn without_a_template_nothing_is_installed() {
        let stage = Stage::new();
        let host = stage.host();

        let account = account(run(&host, json!({ "os_template_id": null })));

        assert_eq!(host.changes(), CHANGES[..3]);
        assert!(account.message.staff.unwrap().contains("os_template_id"));
    }

    #[test]
    fn a_refused_build_can_be_given_up_by_the_product() {
        let stage = Stage::new();
        stage
            .breaks("POST /servers/7000/build", Break::Says { done: false, status: 422, body: r#"{"errors":["no"]}"# });
        let host = stage.host();
        fault(run(&host, json!({})));

        let account = account(run(&host, json!({ "os_template_id": null })));

        assert_eq!(account.remote_id, "7000");
        assert_eq!(stage.world().machines[&7_000].builds, 0);
    }

    #[test]
    fn a_shared_owner_is_neither_looked_for_nor_made() {
        let stage = Stage::new();
        let host = stage.host();

        account(run(&host, json!({ "virtfusion_user_id": 5 })));

        assert_eq!(host.changes(), CHANGES[1..]);
        assert_eq!(stage.world().machines[&7_000].owner, 5);
        assert!(host.exchanges().iter().all(|(request, _)| !request.path.contains("byExtRelation")));
    }

    #[test]
    fn a_customer_can_be_linked_by_text() {
        let stage = Stage::new();
        let host = stage.host();
        let settings = json!({ "token": "t", "user_relation": "rel_str", "relation_prefix": "shop-", "panel_url": "https://cp.example.com" });

        let account =
            account(host.run(async |cx| stage::provider_with(settings).create(cx, stage::create(json!({}))).await));

        assert_eq!(stage.world().users.keys().collect::<Vec<_>>(), ["shop-42"]);
        assert_eq!(account.properties["panel_url"], json!("https://cp.example.com"));
    }

    #[test]
    fn a_chosen_password_is_not_passed_over_in_silence() {
        let host = Stage::new().host();
        let order = Create { password: Some(Secret::new("chosen-by-customer".to_owned())), ..stage::create(json!({})) };

        account(host.run(async |cx| stage::provider().create(cx, order).await));

        assert!(host.notes().iter().any(|note| note.contains("no chosen password")));
    }

    #[test]
    fn only_a_host_name_is_sent_as_one() {
        for (name, is_good) in [
            ("vm.example.com", true),
            ("vm", true),
            ("", false),
            ("vm..x", false),
            ("-a.b", false),
            ("a b", false),
            ("bücher.de", false),
        ] {
            assert_eq!(is_hostname(name), is_good, "{name}");
        }
    }
}
