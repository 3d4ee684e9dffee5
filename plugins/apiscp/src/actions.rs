//! The provider's own actions: what staff want now and then, and billing has no word for.

use crate::api::{self, Options};
use crate::group::{self, Deed, Group};
use crate::lifecycle::Switch;
use crate::panel::{self, Doing, Owned};
use crate::site::Site;
use crate::{ApisCp, call, names, status};
use billhook_plugin_api::schemars::Schema;
use billhook_plugin_api::{ActionFacts, ActionResult, Change, Cx, Fault, FaultClass};
use billhook_soap::Param;
use serde_json::{Value, json};

/// `sites` and `plan` are about the server, and may be asked without a service where the host lets them.
pub const ACTIONS: &[ActionFacts] = &[
    reading("sites", "Sites of the server that match", sites_params),
    reading("plan", "What a plan has", plan_params),
    reading("group_sites", "Sites of the service's group", no_params),
    reading("is_banned", "Whether an address is banned", ip_params),
    changing("unban", "Free an address", ip_params),
    changing("change_domain", "Give the site another primary domain", domain_params),
    changing("change_username", "Give the site's administrator another login name", username_params),
    changing("join_group", "Put the site into a group, or out of one", join_params),
    changing("group_edit", "Change all sites of the service's group", group_edit_params),
    changing("group_suspend", "Suspend all sites of the service's group", group_suspend_params),
    changing("group_activate", "Activate all sites of the service's group", group_params),
    changing("group_delete", "Delete the sites of the service's group", group_delete_params),
];

const fn reading(name: &'static str, title: &'static str, params: fn() -> Schema) -> ActionFacts {
    ActionFacts { name, title, changes: false, params }
}

const fn changing(name: &'static str, title: &'static str, params: fn() -> Schema) -> ActionFacts {
    ActionFacts { name, title, changes: true, params }
}

/// The schemas are kept as text: what builds them member by member is several times as long.
fn schema(text: &str) -> Schema {
    // A text that is none becomes a schema that nothing fits; a test reads all of them.
    serde_json::from_str(text).unwrap_or_else(|_| false.into())
}

/// An object of these members, of which some are needed.
fn object(required: &str, properties: &str) -> Schema {
    schema(&format!(
        r#"{{"type":"object","additionalProperties":false,"required":[{required}],"properties":{{{properties}}}}}"#
    ))
}

const MOST: &str = r#""max_sites":{"type":"integer","minimum":1,"maximum":10000,"description":"With more sites than this nothing is changed: the number that billing knows of."}"#;

fn no_params() -> Schema {
    schema(r#"{"type":["object","null"],"additionalProperties":false}"#)
}

fn sites_params() -> Schema {
    object(
        "",
        r#""domain":{"type":"string","maxLength":253,"description":"Primary or add-on domain."},
        "invoice":{"type":"string","maxLength":100},
        "parent_invoice":{"type":"string","maxLength":100,"description":"Invoice of the master."},
        "plan":{"type":"string","maxLength":100},
        "active":{"type":"boolean","description":"false: only suspended ones."}"#,
    )
}

fn plan_params() -> Schema {
    object(r#""plan""#, r#""plan":{"type":"string","minLength":1,"maxLength":100}"#)
}

fn ip_params() -> Schema {
    object(r#""ip""#, r#""ip":{"type":"string","maxLength":45,"description":"IPv4 or IPv6 address."}"#)
}

fn domain_params() -> Schema {
    object(r#""domain""#, r#""domain":{"type":"string","maxLength":253,"description":"New primary domain."}"#)
}

fn username_params() -> Schema {
    object(r#""username""#, r#""username":{"type":"string","maxLength":16,"description":"New login name."}"#)
}

fn join_params() -> Schema {
    object(
        r#""parent_invoice""#,
        r#""parent_invoice":{"type":["string","null"],"maxLength":100,"description":"Invoice of the master; null for no group."}"#,
    )
}

fn group_params() -> Schema {
    object(r#""max_sites""#, MOST)
}

fn group_suspend_params() -> Schema {
    let reason = r#""reason":{"type":"string","maxLength":200,"description":"Shown to the customers."}"#;
    object(r#""max_sites""#, &[MOST, reason].join(","))
}

fn group_edit_params() -> Schema {
    let more = r#""plan":{"type":"string","minLength":1,"maxLength":100,"description":"Plan of all."},
        "disk_gb":{"type":"integer","minimum":1,"maximum":1000000},
        "traffic_gb":{"type":"integer","minimum":1,"maximum":1000000},
        "addon_domains":{"type":"integer","minimum":0,"maximum":100000},
        "users":{"type":"integer","minimum":1,"maximum":100000},
        "ssh":{"type":"boolean"}"#;
    object(r#""max_sites""#, &[MOST, more].join(","))
}

fn group_delete_params() -> Schema {
    let since = r#""since":{"type":"string","pattern":"^[a-zA-Z0-9 -]{1,40}$","description":"Only those that have been suspended since then: now, last month, 30 days ago, a Unix time."}"#;
    object(r#""max_sites""#, &[MOST, since].join(","))
}

/// Runs an action on a server.
pub async fn on_server(panel: &ApisCp, cx: &Cx, name: &str, params: &Value) -> Result<ActionResult, Fault> {
    let data = match name {
        "sites" => {
            let mut query = Vec::new();
            for (member, field) in [
                ("invoice", "billing.invoice"),
                ("parent_invoice", "billing.parent_invoice"),
                ("plan", "siteinfo.plan"),
            ] {
                if let Some(value) = params[member].as_str() {
                    query.push((field, Param::text(value)));
                }
            }
            if let Some(is_active) = params["active"].as_bool() {
                query.push(("active", Param::Bool(is_active)));
            }
            let domain = params["domain"].as_str().map(names::domain).transpose()?;
            let named: Vec<&str> = domain.as_deref().into_iter().collect();
            group::shown(&panel.collect(cx, &[], &query, &named).await?)
        }
        "plan" => Value::Object(status::plan_limits(panel, cx, given(params, "plan")?).await?),
        other => return Err(Fault::invalid_input(format!("{other} needs a service"))),
    };
    Ok(ActionResult { data, change: Change::done() })
}

/// Runs an action on a service's site.
pub async fn on_service(cx: &Cx, owned: Owned<'_>, name: &str, params: &Value) -> Result<ActionResult, Fault> {
    let caller = &owned.panel.caller;
    let is_new = match name {
        "sites" | "plan" => return on_server(owned.panel, cx, name, params).await,
        "is_banned" => {
            let site = owned.read(cx).await?;
            let is_banned = is_banned(cx, owned, &site, given(params, "ip")?).await?;
            return Ok(ActionResult { data: json!({ "banned": is_banned }), change: Change::done() });
        }
        "unban" => return unban(cx, owned, given(params, "ip")?).await,
        "change_domain" => {
            let domain = &names::domain(given(params, "domain")?)?;
            let next = |site: &Site| {
                let options = vec![("siteinfo.domain".to_owned(), Param::text(domain))];
                (site.domain != *domain).then(|| caller.edit(&site.key, options, Options::new())).transpose()
            };
            free(cx, owned, domain).await?;
            panel::adjust(cx, "change_domain", api::EDIT, owned, &[], &next).await?
        }
        "change_username" => {
            let user = &names::checked_username(given(params, "username")?)?;
            let next = |site: &Site| {
                let options = vec![("siteinfo.admin_user".to_owned(), Param::text(user))];
                let is_so = site.admin_user.as_ref() == Some(user);
                (!is_so).then(|| caller.edit(&site.key, options, Options::new())).transpose()
            };
            panel::adjust(cx, "change_username", api::EDIT, owned, &[], &next).await?
        }
        "join_group" => {
            let invoice = params["parent_invoice"].as_str().map(names::checked_invoice).transpose()?;
            let next = |site: &Site| {
                if site.invoice.as_deref() == invoice {
                    return Err(Fault::invalid_input("a site cannot be its own master").refused());
                }
                let options = vec![("billing.parent_invoice".to_owned(), invoice.map_or(Param::Nil, Param::text))];
                let is_so = site.parent_invoice.as_deref() == invoice;
                (!is_so).then(|| caller.edit(&site.key, options, Options::new())).transpose()
            };
            panel::adjust(cx, "join_group", api::EDIT, owned, &[], &next).await?
        }
        other => return grouped(cx, owned, other, params).await,
    };
    // Read once more: a run whose step was done by an earlier one has not read anything yet.
    let site = owned.read(cx).await?;
    let mut change = if is_new { Change::done() } else { Change::noop() };
    change.properties = site.properties();
    if site.parent_invoice.is_none() {
        change.properties.insert("parent_invoice".into(), Value::Null);
    }
    Ok(ActionResult { data: json!({ "changed": is_new, "site": group::shown(&[site])[0] }), change })
}

/// Actions on the group whose master is the service's site.
async fn grouped(cx: &Cx, owned: Owned<'_>, name: &str, params: &Value) -> Result<ActionResult, Fault> {
    let invoice = owned.panel.invoice(owned.service);
    let group = Group::new(owned.panel, &invoice)?;
    let deed = match name {
        "group_sites" => {
            let sites = group.sites(cx, &[]).await?;
            let data = json!({ "invoice": invoice, "count": sites.len(), "sites": group::shown(&sites) });
            return Ok(ActionResult { data, change: Change::done() });
        }
        "group_suspend" => Deed::Switch(Switch::Off(params["reason"].as_str())),
        "group_activate" => Deed::Switch(Switch::On),
        "group_edit" => edited(params)?,
        "group_delete" => Deed::Delete { since: params["since"].as_str() },
        other => return Err(Fault::unsupported(&format!("the action {other}"))),
    };
    let max = params["max_sites"].as_u64().ok_or_else(|| missing("max_sites"))?;
    let (data, is_new) = group.change(cx, &deed, max).await?;
    Ok(ActionResult { data, change: if is_new { Change::done() } else { Change::noop() } })
}

fn edited(params: &Value) -> Result<Deed<'_>, Fault> {
    let mut limits = Options::new();
    for (member, name, units) in [
        ("disk_gb", "diskquota.quota", Some("diskquota.units")),
        ("traffic_gb", "bandwidth.threshold", Some("bandwidth.units")),
        ("addon_domains", "aliases.max", None),
        ("users", "users.max", None),
    ] {
        if let Some(value) = params[member].as_i64() {
            limits.push((name.to_owned(), Param::Int(value)));
            limits.extend(units.map(|units| (units.to_owned(), Param::text("GB"))));
        }
    }
    if let Some(is_on) = params["ssh"].as_bool() {
        limits.push(("ssh.enabled".to_owned(), Param::Int(is_on.into())));
    }
    let plan = params["plan"].as_str();
    if plan.is_none() && limits.is_empty() {
        return Err(Fault::invalid_input("there is nothing to change: name a plan or a limit"));
    }
    Ok(Deed::Edit { plan, limits })
}

/// Refuses a domain that another site has.
fn free<'f>(cx: &'f Cx, owned: Owned<'f>, domain: &'f str) -> Doing<'f, ()> {
    Box::pin(async move {
        let invoice = owned.panel.invoice(owned.service);
        let sites = owned.panel.collect(cx, &[], &[], &[domain]).await?;
        match sites.iter().find(|site| site.invoice.as_deref() != Some(&invoice)) {
            Some(site) => Err(Fault::new(
                FaultClass::AlreadyExists,
                format!("{domain} is on the panel already, at {}", site.label()),
            )),
            None => Ok(()),
        }
    })
}

/// Asks with the site's own rights and not the administrator's.
fn is_banned<'f>(cx: &'f Cx, owned: Owned<'f>, site: &'f Site, ip: &'f str) -> Doing<'f, bool> {
    Box::pin(async move {
        let ip = checked_ip(ip)?;
        let session = owned.panel.session(cx, site, "SOAP").await?;
        let request = owned.panel.caller.rampart(api::IS_BANNED, &ip)?.reading();
        let request = request.cookie(api::SESSION, session.expose().as_str());
        call::read(&cx.http(request).await?, api::IS_BANNED, api::boolean)?
            .ok_or_else(|| Fault::panel_bug("the panel does not say whether the address is banned"))
    })
}

async fn unban(cx: &Cx, owned: Owned<'_>, ip: &str) -> Result<ActionResult, Fault> {
    let ip = &checked_ip(ip)?;
    let is_new = panel::effect(cx, "unban", &|send| {
        Box::pin(async move {
            let site = owned.read(cx).await?;
            if !is_banned(cx, owned, &site, ip).await? {
                return Ok(false);
            }
            let session = owned.panel.session(cx, &site, "SOAP").await?;
            let request = owned.panel.caller.rampart(api::UNBAN, ip)?;
            let reply = send.call(request.cookie(api::SESSION, session.expose().as_str())).await?;
            call::accepted(&reply, api::UNBAN)?;
            Ok(true)
        })
    })
    .await?;
    let site = owned.read(cx).await?;
    let is_left = is_banned(cx, owned, &site, ip).await?;
    let change = if is_new { Change::done() } else { Change::noop() };
    Ok(ActionResult { data: json!({ "changed": is_new, "banned": is_left }), change })
}

fn checked_ip(text: &str) -> Result<String, Fault> {
    let ip: Result<std::net::IpAddr, _> = text.trim().parse();
    ip.map(|ip| ip.to_string()).map_err(|_| Fault::invalid_input("ip is no IP address"))
}

fn given<'p>(params: &'p Value, member: &str) -> Result<&'p str, Fault> {
    params[member].as_str().ok_or_else(|| missing(member))
}

fn missing(member: &str) -> Fault {
    Fault::invalid_input(format!("the parameter {member} is missing or of another type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Site as Row, Stage, changes, fault, ok, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{ActionCall, Provider};

    fn act(host: &ScriptedHost, name: &str, params: Value) -> Ended<ActionResult> {
        let (service, product) = (Some(stage::service()), Some(stage::product(json!({}))));
        let request = ActionCall { name: name.into(), service, product, params };
        host.run(async |cx| stage::provider().action(cx, request).await)
    }

    fn on_server(host: &ScriptedHost, name: &str, params: Value) -> Ended<ActionResult> {
        let request = ActionCall { name: name.into(), service: None, product: None, params };
        host.run(async |cx| stage::provider().action(cx, request).await)
    }

    /// The service's site as master of two others, and a stranger's.
    fn group() -> Stage {
        let stage = Stage::with_site();
        {
            let mut world = stage.world();
            world.sites.insert(20, Row::of("b.example", "buser", None, Some("billhook-p-1007")));
            world.sites.insert(21, Row::of("c.example", "cuser", Some("own-3"), Some("billhook-p-1007")));
            world.banned.insert("192.0.2.7".into());
        }
        stage
    }

    /// Name, parameters, operation, and what shows that it was carried out.
    type Changing = (&'static str, Value, &'static str, fn(&Stage) -> bool);

    fn of_group(stage: &Stage, is_so: fn(&Row) -> bool) -> bool {
        [12, 20, 21].iter().all(|id| is_so(&stage.world().sites[id]))
    }

    fn all() -> Vec<Changing> {
        vec![
            ("unban", json!({ "ip": "192.0.2.7" }), "rampart_unban", |s| s.world().banned.is_empty()),
            ("change_domain", json!({ "domain": "New.example" }), "admin_edit_site", |s| {
                s.site().domain == "new.example"
            }),
            ("change_username", json!({ "username": "newuser" }), "admin_edit_site", |s| {
                s.site().option("siteinfo.admin_user") == Some("newuser")
            }),
            ("join_group", json!({ "parent_invoice": "master-9" }), "admin_edit_site", |s| {
                s.site().option("billing.parent_invoice") == Some("master-9")
            }),
            ("group_edit", json!({ "max_sites": 3, "plan": "pro", "disk_gb": 9 }), "admin_edit_site", |s| {
                of_group(s, |site| {
                    (site.option("siteinfo.plan"), site.option("diskquota.quota")) == (Some("pro"), Some("9"))
                })
            }),
            ("group_suspend", json!({ "max_sites": 3, "reason": "overdue" }), "admin_deactivate_site", |s| {
                of_group(s, |site| site.inactive.as_deref() == Some("overdue [billhook]"))
            }),
            ("group_activate", json!({ "max_sites": 3 }), "admin_activate_site", |s| {
                of_group(s, |site| site.inactive.is_none())
            }),
            ("group_delete", json!({ "max_sites": 3 }), "admin_delete_site", |s| {
                s.world().sites.keys().copied().collect::<Vec<_>>() == [11]
            }),
        ]
    }

    fn prepared(name: &str) -> Stage {
        let stage = group();
        if name == "group_activate" {
            for id in [12, 20, 21] {
                stage.world().sites.get_mut(&id).unwrap().inactive = Some("x".into());
            }
        }
        stage
    }

    fn assert_stranger(stage: &Stage) {
        let stranger = Row::of("stranger.example", "stranger", Some("other-1"), None);
        assert_eq!(stage.world().sites.get(&11), Some(&stranger));
    }

    #[test]
    fn a_change_is_made_once_and_then_nothing_is_to_change() {
        for (name, params, operation, is_so) in all() {
            let stage = prepared(name);
            let host = stage.host();

            let first = ok(act(&host, name, params.clone()));
            assert!(!ok(act(&host, name, params.clone())).change.noop, "{name}: the same operation");
            host.next_operation();
            let again = ok(act(&host, name, params));

            assert!(is_so(&stage), "{name}");
            assert_eq!((first.change.noop, again.change.noop), (false, true), "{name}");
            assert_eq!(changes(&host), [operation], "{name}");
            assert_stranger(&stage);
        }
    }

    #[test]
    fn a_change_that_breaks_anywhere_is_made() {
        for (name, params, operation, is_so) in all() {
            for how in BREAKS {
                let stage = prepared(name);
                stage.breaks(operation, how);
                let host = stage.host();
                ok(to_end(|| act(&host, name, params.clone())));
                assert!(is_so(&stage), "{name} {how:?}");
                assert_stranger(&stage);
            }
        }
    }

    #[test]
    fn a_group_is_shown_before_it_is_changed() {
        let host = group().host();
        let data = ok(act(&host, "group_sites", json!({}))).data;
        let domains: Vec<_> = data["sites"].as_array().unwrap().iter().map(|site| site["domain"].clone()).collect();
        assert_eq!(
            (data["count"].as_u64(), domains),
            (Some(3), vec![json!("a.example"), json!("b.example"), json!("c.example")])
        );
    }

    #[test]
    fn a_group_larger_than_billing_knows_is_not_touched() {
        for name in ["group_edit", "group_suspend", "group_activate", "group_delete"] {
            let stage = prepared(name);
            let before = stage.world().sites.clone();
            let host = stage.host();

            let refused = fault(act(&host, name, json!({ "max_sites": 2, "plan": "pro" })));

            assert_eq!((refused.class, refused.refused), (FaultClass::InvalidInput, true), "{name}");
            assert!(refused.staff.contains("3 sites"), "{refused}");
            assert_eq!((stage.world().sites.clone(), changes(&host).len()), (before, 0), "{name}");
            assert!(host.notes().iter().any(|note| note.contains("site20 (b.example)")), "{:?}", host.notes());
        }
    }

    #[test]
    fn a_group_without_sites_is_only_ever_deleted() {
        for name in ["group_edit", "group_suspend", "group_activate"] {
            let refused = fault(act(&Stage::new().host(), name, json!({ "max_sites": 1, "plan": "pro" })));
            assert_eq!(refused.class, FaultClass::NotFound, "{name}");
        }
        assert!(ok(act(&Stage::new().host(), "group_delete", json!({ "max_sites": 1 }))).change.noop);
    }

    #[test]
    fn only_the_suspended_are_deleted_where_a_date_is_named() {
        for since in ["now", "30 days ago"] {
            let stage = group();
            stage.world().sites.get_mut(&20).unwrap().inactive = Some("x".into());
            let host = stage.host();

            let result = ok(act(&host, "group_delete", json!({ "max_sites": 1, "since": since })));

            assert_eq!(stage.world().sites.keys().copied().collect::<Vec<_>>(), [11, 12, 21]);
            assert_eq!(result.data["sites"].as_array().unwrap().len(), 2);
        }
        let host = group().host();
        assert!(ok(act(&host, "group_delete", json!({ "max_sites": 9, "since": "now" }))).change.noop);
        assert!(changes(&host).is_empty());
    }

    #[test]
    fn a_site_leaves_its_group_with_null() {
        let stage = group();
        stage.world().sites.get_mut(&12).unwrap().options.insert("billing.parent_invoice".into(), "m-1".into());
        let host = stage.host();
        let result = ok(act(&host, "join_group", json!({ "parent_invoice": null })));
        assert_eq!(result.change.properties["parent_invoice"], Value::Null);
        assert_eq!(stage.site().option("billing.parent_invoice"), None);
        host.next_operation();
        let own = fault(act(&host, "join_group", json!({ "parent_invoice": "billhook-p-1007" })));
        assert_eq!(own.class, FaultClass::InvalidInput);
    }

    #[test]
    fn a_domain_or_name_that_is_taken_or_none_is_refused() {
        for (name, params, class) in [
            ("change_domain", json!({ "domain": "stranger.example" }), FaultClass::AlreadyExists),
            ("change_domain", json!({ "domain": "b.example" }), FaultClass::AlreadyExists),
            ("change_domain", json!({ "domain": "site11" }), FaultClass::InvalidInput),
            ("change_username", json!({ "username": "no.name" }), FaultClass::InvalidInput),
            ("join_group", json!({ "parent_invoice": "a.example" }), FaultClass::InvalidInput),
            ("is_banned", json!({ "ip": "192.0.2" }), FaultClass::InvalidInput),
            ("group_edit", json!({ "max_sites": 3 }), FaultClass::InvalidInput),
            ("group_delete", json!({}), FaultClass::InvalidInput),
            ("nonsense", json!({}), FaultClass::Unsupported),
        ] {
            let host = group().host();
            assert_eq!(fault(act(&host, name, params)).class, class, "{name}");
            assert!(changes(&host).is_empty(), "{name}");
        }
    }

    #[test]
    fn an_address_is_asked_about_and_freed_with_the_sites_own_rights() {
        let stage = group();
        let host = stage.host();
        assert_eq!(ok(act(&host, "is_banned", json!({ "ip": " 192.0.2.7 " }))).data, json!({ "banned": true }));
        ok(act(&host, "unban", json!({ "ip": "192.0.2.7" })));

        for (request, _) in host.exchanges() {
            let is_as_site = stage::operation(&request).starts_with("rampart");
            assert_eq!(!request.cookies.is_empty(), is_as_site, "{}", stage::operation(&request));
        }
        let sessions: Vec<_> =
            host.exchanges().iter().filter_map(|(request, _)| request.cookies.first().cloned()).collect();
        assert!(sessions.iter().enumerate().all(|(n, one)| !sessions[..n].contains(one)), "none is used twice");

        stage.breaks(
            "rampart_is_banned",
            Break::Fault { done: false, text: "IP address may not be specified if site admin" },
        );
        assert_eq!(fault(act(&host, "is_banned", json!({ "ip": "192.0.2.7" }))).class, FaultClass::Unsupported);
    }

    #[test]
    fn a_server_shows_the_sites_that_match_and_its_plans() {
        let stage = group();
        stage.world().sites.get_mut(&20).unwrap().inactive = Some("x".into());
        let host = stage.host();
        for (params, expected) in [
            (json!({}), vec!["site11", "site12", "site20", "site21"]),
            (json!({ "parent_invoice": "billhook-p-1007" }), vec!["site20", "site21"]),
            (json!({ "invoice": "other-1" }), vec!["site11"]),
            (json!({ "domain": "A.example" }), vec!["site12"]),
            (json!({ "plan": "basic", "active": false }), vec!["site20"]),
            (json!({ "plan": "none" }), vec![]),
        ] {
            let data = ok(on_server(&host, "sites", params)).data;
            let ids: Vec<_> = data.as_array().unwrap().iter().map(|site| site["site"].as_str().unwrap()).collect();
            assert_eq!(ids, expected);
        }
        assert_eq!(ok(on_server(&host, "plan", json!({ "plan": "basic" }))).data, json!({ "diskquota.quota": "5000" }));
        assert_eq!(fault(on_server(&host, "unban", json!({}))).class, FaultClass::InvalidInput);
    }

    #[test]
    fn every_action_has_a_schema_and_is_known() {
        for facts in ACTIONS {
            let schema = (facts.params)();
            assert_eq!(schema.get("additionalProperties"), Some(&json!(false)), "{}", facts.name);
            let ended = act(&group().host(), facts.name, json!({}));
            assert!(!matches!(ended, Ended::Fault(fault) if fault.class == FaultClass::Unsupported), "{}", facts.name);
        }
    }
}
