//! The panel over the wire, with a client that does everything right unless told otherwise.

mod samples;

use std::time::Duration;

use super::soap::{ACTION, API, ENCODING, ENVELOPE, MAP, XSD, XSI};
use super::xml::Node;
use super::*;
use crate::clock::ManualClock;
use crate::panel::client::{self, Reply};

struct Bench {
    running: Running,
    clock: ManualClock,
}

/// What a call came back with.
#[derive(Debug, Clone, PartialEq)]
enum Got {
    Value(Value),
    Fault(String),
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::default();
        let mut config = Config::at(&clock);
        change(&mut config);
        Self { running: ApisCp::start(config).unwrap(), clock }
    }

    fn panel(&self) -> &Panel {
        self.running.panel()
    }

    async fn post(&self, path: &str, headers: &[&str], body: &str) -> io::Result<Reply> {
        client::send(self.running.address(), "POST", path, headers, body).await
    }

    /// A call with these headers besides those that every call has.
    async fn send(&self, name: &str, parts: &[(&str, Value)], more: &[&str]) -> io::Result<Reply> {
        let action = format!("soapaction: \"{ACTION}{name}\"");
        let key = format!("auth-key: {}", self.running.key());
        let mut headers = vec!["content-type: text/xml; charset=utf-8", &*action, &*key, "abort-on: error"];
        headers.extend(more);
        self.post("/soap", &headers, &request(name, parts)).await
    }

    async fn try_call(&self, name: &str, parts: &[(&str, Value)], more: &[&str]) -> Got {
        got(name, &self.send(name, parts, more).await.unwrap())
    }

    async fn call(&self, name: &str, parts: &[(&str, Value)]) -> Value {
        match self.try_call(name, parts, &[]).await {
            Got::Value(value) => value,
            Got::Fault(text) => panic!("{name}: {text}"),
        }
    }

    async fn fault(&self, name: &str, parts: &[(&str, Value)]) -> String {
        match self.try_call(name, parts, &[]).await {
            Got::Value(value) => panic!("{name}: {value:?}"),
            Got::Fault(text) => text,
        }
    }

    async fn add(&self, domain: &str, user: &str, invoice: &str) -> Got {
        self.try_call("admin_add_site", &new_site(domain, user, invoice), &[]).await
    }

    /// A site of ours, `site12` on a fresh panel.
    async fn made(&self) -> SiteView {
        assert_eq!(self.add("a.example", "auser", "BSM-1001").await, Got::Value(Value::Bool(true)));
        self.panel().sites().pop().unwrap()
    }

    async fn session(&self, site: &str, gate: &str) -> String {
        let parts = [("site", text(site)), ("user", Value::Null), ("gate", text(gate))];
        match self.call("admin_hijack", &parts).await {
            Value::Text(sid) => format!("cookie: esprit_id={sid}"),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.panel().violations(), Vec::<String>::new());
        assert_eq!(self.panel().check(), Vec::<String>::new());
        assert_eq!(self.panel().complaints(), Vec::<String>::new());
    }
}

fn request(name: &str, parts: &[(&str, Value)]) -> String {
    let mut inner = String::new();
    parts.iter().for_each(|(name, value)| soap::write(name, value, &mut inner));
    format!(
        "<?xml version='1.0' encoding='UTF-8'?><SOAP-ENV:Envelope xmlns:SOAP-ENV='{ENVELOPE}' xmlns:ns1='{API}' \
         xmlns:xsd='{XSD}' xmlns:xsi='{XSI}' xmlns:ns2='{MAP}' xmlns:SOAP-ENC='{ENCODING}' \
         SOAP-ENV:encodingStyle='{ENCODING}'><SOAP-ENV:Body><ns1:{name}>{inner}</ns1:{name}></SOAP-ENV:Body>\
         </SOAP-ENV:Envelope>"
    )
}

/// Reads an answer by what the fake's own reader makes of a call: an answer is encoded alike.
fn got(name: &str, reply: &Reply) -> Got {
    let body = std::str::from_utf8(&reply.body).unwrap();
    if let Ok(envelope) = Node::parse(body)
        && let Some(fault) = envelope.children.first().and_then(|body| body.children.first())
        && fault.name.1 == "Fault"
    {
        assert_eq!(reply.status, 500, "{body}");
        return Got::Fault(fault.children.iter().find(|child| child.name.1 == "faultstring").unwrap().text.clone());
    }
    assert_eq!(reply.status, 200, "{body}");
    let answer = soap::read(&reply.body).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!((answer.name, answer.bugs), (format!("{name}Response"), Vec::<String>::new()), "{body}");
    let [(part, value)] = answer.parts.as_slice() else { panic!("{body}") };
    assert_eq!(part, "return");
    Got::Value(value.clone())
}

fn text(text: &str) -> Value {
    Value::text(text)
}

fn none() -> Value {
    Value::List(Vec::new())
}

fn map(members: &[(&str, Value)]) -> Value {
    Value::map(members.iter().map(|(key, value)| (*key, value.clone())))
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| text(item)).collect())
}

fn new_site(domain: &str, user: &str, invoice: &str) -> [(&'static str, Value); 4] {
    let opts = map(&[
        ("siteinfo.enabled", Value::Int(1)),
        ("siteinfo.domain", text(domain)),
        ("siteinfo.admin_user", text(user)),
        ("siteinfo.email", text("x@example.org")),
        ("siteinfo.plan", text("basic")),
        ("auth.tpasswd", text("S3cret-p&w")),
        ("billing.invoice", text(invoice)),
    ]);
    [("domain", text(domain)), ("admin", text(user)), ("opts", opts), ("flags", none())]
}

fn collected(params: &[&str], query: Value, sites: &[&str]) -> [(&'static str, Value); 3] {
    [("params", list(params)), ("query", query), ("sites", list(sites))]
}

fn keys(value: &Value) -> Vec<String> {
    value.members().map(|(key, _)| key.to_owned()).collect()
}

#[tokio::test]
async fn a_site_lives_from_its_making_to_its_end() {
    let bench = Bench::new();
    let site = bench.made().await;
    assert_eq!(
        (site.name(), site.plan, site.password, site.quota_kb),
        ("site12".into(), "basic".into(), "S3cret-p&w".into(), 5_242_880)
    );

    let reason = map(&[("reason", text("unpaid\n# mark 7"))]);
    let suspend = [("site", text("site12")), ("flags", reason)];
    assert_eq!(bench.call("admin_deactivate_site", &suspend).await, Value::Bool(true));
    let row = bench.call("admin_collect", &collected(&["siteinfo.plan"], Value::Null, &["site12"])).await;
    assert_eq!(row.get("site12").unwrap().get("active"), Some(&Value::Bool(false)));
    let as_site = bench.session("site12", "SOAP").await;
    assert_eq!(bench.try_call("auth_is_inactive", &[], &[&as_site]).await, Got::Value(Value::Bool(true)));
    assert_eq!(bench.try_call("auth_inactive_reason", &[], &[&as_site]).await, Got::Value(text("unpaid")));
    bench.call("admin_deactivate_site", &suspend).await;
    bench.call("admin_activate_site", &[("site", text("site12"))]).await;
    assert!(!bench.panel().sites()[0].suspended);

    let edit = |opts: &[(&str, Value)], flags: Value| [("site", text("site12")), ("opts", map(opts)), ("flags", flags)];
    bench.call("admin_edit_site", &edit(&[("siteinfo.plan", text("pro"))], map(&[("reset", Value::Bool(true))]))).await;
    bench.call("admin_edit_site", &edit(&[("siteinfo.domain", text("b.example"))], none())).await;
    let password = [("password", text("0ther-p<w")), ("user", text("auser")), ("domain", text("b.example"))];
    bench.call("auth_change_password", &password).await;
    let now = &bench.panel().sites()[0];
    assert_eq!((&*now.plan, now.quota_kb, &*now.domain, &*now.password), ("pro", 20_971_520, "b.example", "0ther-p<w"));

    let delete = [("site", text("site12")), ("flags", map(&[("force", Value::Bool(true))]))];
    assert_eq!(bench.call("admin_delete_site", &delete).await, Value::Bool(true));
    assert_eq!(bench.fault("admin_delete_site", &delete).await, "Unknown domain `site12'");
    assert_eq!(bench.call("admin_collect", &collected(&[], Value::Null, &[])).await, none());

    let effects: Vec<Effect> =
        bench.panel().ledger().iter().map(|call| call.effect).filter(|effect| *effect != Effect::None).collect();
    assert_eq!(
        effects,
        [
            Effect::Created(12),
            Effect::Suspended(12),
            Effect::SessionOpened(12),
            Effect::Activated(12),
            Effect::PlanChanged(12),
            Effect::DomainChanged(12),
            Effect::PasswordSet(12),
            Effect::Deleted(12)
        ]
    );
    bench.made().await;
    assert_eq!(bench.panel().sites()[0].id, 13, "no number is given twice");
    bench.assert_clean();
}

#[tokio::test]
async fn a_refusal_says_why_and_without_abort_on_is_only_false() {
    let bench = Bench::new();
    bench.made().await;
    let with = |key: &str, value: &str| {
        let mut parts = new_site("c.example", "cuser", "BSM-2");
        let Value::Map(members) = &mut parts[2].1 else { panic!("no options") };
        members.retain(|(name, _)| *name != Key::from(key));
        members.push((key.into(), text(value)));
        match key {
            "siteinfo.domain" => parts[0].1 = text(value),
            "siteinfo.admin_user" => parts[1].1 = text(value),
            _ => {}
        }
        parts
    };
    for (key, value, expected) in [
        ("siteinfo.domain", "a.example", "already exists"),
        ("siteinfo.domain", "no domain", "invalid domain"),
        ("siteinfo.admin_user", "auser", "already exists"),
        ("siteinfo.plan", "gold", "unknown plan"),
        ("siteinfo.email", "nobody", "invalid email"),
        ("auth.tpasswd", "short", "weak password disallowed"),
    ] {
        let parts = with(key, value);
        let text = bench.fault("admin_add_site", &parts).await;
        assert!(text.contains(expected), "{key} {value}: {text}");
        assert_eq!(bench.panel().sites().len(), 1);
    }
    bench.assert_clean();

    let parts = with("diskquotas.quota", "1");
    assert_eq!(bench.fault("admin_add_site", &parts).await, "unknown service `diskquotas'");
    let action = format!("soapaction: \"{ACTION}admin_add_site\"");
    let key = format!("auth-key: {}", bench.running.key());
    let headers = ["content-type: text/xml; charset=utf-8", &*action, &*key];
    let lenient = bench.post("/soap", &headers, &request("admin_add_site", &parts)).await.unwrap();
    assert_eq!(got("admin_add_site", &lenient), Got::Value(Value::Bool(false)));
    assert!(bench.panel().violations().iter().any(|text| text.contains("no Abort-On")));
}

#[tokio::test]
async fn a_key_is_taken_in_two_forms_and_written_in_any() {
    let bench = Bench::new();
    let key = bench.running.key().to_ascii_uppercase();
    let grouped = format!("{}-{}", &key[..8], &key[8..]);
    let action = format!("soapaction: \"{ACTION}common_whoami\"");
    let plain = ["content-type: text/xml; charset=utf-8", &*action, "abort-on: error"];
    let body = request("common_whoami", &[]);

    let by_query = bench.post(&format!("/soap?authkey={grouped}"), &plain, &body).await.unwrap();
    let header = format!("auth-key: {grouped}");
    let by_header = bench.post("/soap", &[&plain[..], &[&*header]].concat(), &body).await.unwrap();

    for reply in [by_query, by_header] {
        assert_eq!(got("common_whoami", &reply), Got::Value(text("admin")));
    }
    bench.assert_clean();
    assert!(bench.panel().ledger().iter().all(|call| !call.path.contains(&key[8..])), "no name holds the key");
    let wrong = bench.post("/soap", &[&plain[..], &["auth-key: 00"]].concat(), &body).await.unwrap();
    assert_eq!((wrong.status, wrong.body.len()), (401, 0));
    let bearer = format!("authorization: Bearer {key}");
    assert_eq!(bench.post("/soap", &[&plain[..], &[&*bearer]].concat(), &body).await.unwrap().status, 401);
}

#[tokio::test]
async fn who_fails_to_log_in_twenty_times_is_locked_out_until_the_window_ends() {
    let bench = Bench::new();
    let action = format!("soapaction: \"{ACTION}common_whoami\"");
    let headers = ["content-type: text/xml; charset=utf-8", &*action, "abort-on: error", "auth-key: 00"];
    for _ in 0..20 {
        assert_eq!(bench.post("/soap", &headers, &request("common_whoami", &[])).await.unwrap().status, 401);
    }

    assert_eq!(bench.send("common_whoami", &[], &[]).await.unwrap().status, 401, "the right key does not help");
    assert!(bench.panel().check()[0].contains("locked itself out"));
    bench.clock.advance(Duration::from_secs(901));
    assert_eq!(bench.call("common_whoami", &[]).await, text("admin"));
}

#[tokio::test]
async fn a_one_time_password_is_asked_for_where_it_is_enforced() {
    let bench = Bench::new();
    bench.panel().tune(|knobs| knobs.totp = Some("123456".into()));

    let refused = bench.send("common_whoami", &[], &[]).await.unwrap();

    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("www-authorization: basic realm=\"panel\", qop=\"auth-int\""), "{}", refused.head);
    let taken = bench.try_call("common_whoami", &[], &["x-extended-auth: 123456"]).await;
    assert_eq!(taken, Got::Value(text("admin")));
}

#[tokio::test]
async fn the_key_of_a_site_says_who_it_is_and_may_change_no_site() {
    let key = "a".repeat(64);
    let bench = Bench::with(|config| {
        config.keys.insert(0, ApiKey { key, owner: "auser".into(), site: Some("a.example".into()) });
    });
    bench.panel().seed_site(SiteSeed::strange("a.example", "auser"));

    assert_eq!(bench.call("common_whoami", &[]).await, text("auser"));
    assert_eq!(bench.fault("admin_list_plans", &[]).await, "admin_list_plans: command does not exist");
    bench.panel().tune(|knobs| knobs.denial = Denial::Privileges);
    assert_eq!(bench.fault("admin_list_plans", &[]).await, "admin_list_plans: insufficient privileges");
    bench.panel().tune(|knobs| knobs.denial = Denial::Forbidden);
    assert_eq!(bench.send("admin_list_plans", &[], &[]).await.unwrap().status, 403);
    assert_eq!(bench.call("site_get_account_quota", &[]).await.get("qused"), Some(&Value::Int(1_048_576)));
}

#[tokio::test]
async fn a_name_means_an_id_then_a_domain_then_an_add_on_then_an_invoice() {
    let bench = Bench::new();
    let theirs = bench
        .panel()
        .seed_site(SiteSeed { aliases: vec!["shop.example".into()], ..SiteSeed::strange("them.example", "them") });
    let master = SiteSeed { invoice: Some("M-1".into()), ours: true, ..SiteSeed::strange("m.example", "muser") };
    let master = bench.panel().seed_site(master);
    let child = bench.panel().seed_site(SiteSeed::child("n.example", "nuser", "M-1"));
    for (name, expected) in [
        (format!("site{theirs}"), vec![theirs]),
        ("them.example".into(), vec![theirs]),
        ("shop.example".into(), vec![theirs]),
        ("M-1".into(), vec![master, child]),
        ("nobody.example".into(), vec![]),
    ] {
        let found = bench.call("admin_collect", &collected(&["siteinfo.domain"], Value::Null, &[&name])).await;
        let expected: Vec<String> = expected.iter().map(|id| format!("site{id}")).collect();
        assert_eq!(keys(&found), expected, "{name}");
    }
    // The row of an add-on domain has its owner's.
    let found = bench.call("admin_collect", &collected(&[], Value::Null, &["shop.example"])).await;
    assert_eq!(found.get("site12").unwrap().get("domain"), Some(&text("them.example")));
    bench.assert_clean();

    bench.call("admin_activate_site", &[("site", text("shop.example"))]).await;
    assert!(bench.panel().check()[0].contains("may be an add-on of another's"), "{:?}", bench.panel().check());
}

#[tokio::test]
async fn a_query_is_a_conjunction_in_any_of_three_spellings() {
    let bench = Bench::new();
    let master = SiteSeed { invoice: Some("M-1".into()), ours: true, ..SiteSeed::strange("m.example", "muser") };
    bench.panel().seed_site(master);
    bench.panel().seed_site(SiteSeed::child("n.example", "nuser", "M-1"));
    let suspended = SiteSeed { suspended: Some((0, "unpaid".into())), ..SiteSeed::child("o.example", "ouser", "M-1") };
    bench.panel().seed_site(suspended);
    for (query, expected) in [
        (map(&[("billing.invoice", text("M-1"))]), &["site12"][..]),
        (map(&[("billing.parent_invoice", text("M-1"))]), &["site13", "site14"]),
        (map(&[("billing,parent_invoice", text("M-1"))]), &["site13", "site14"]),
        (map(&[("billing", map(&[("parent_invoice", text("M-1"))]))]), &["site13", "site14"]),
        (map(&[("billing.parent_invoice", text("M-1")), ("active", Value::Bool(false))]), &["site14"]),
        (map(&[("billing.invoice", text("M-2"))]), &[]),
        (none(), &["site12", "site13", "site14"]),
    ] {
        let found = bench.call("admin_collect", &collected(&["siteinfo"], query.clone(), &[])).await;
        assert_eq!(keys(&found), expected, "{query:?}");
    }
    bench.panel().tune(|knobs| knobs.collect_keys = CollectKeys::AsNamed);
    let found = bench.call("admin_collect", &collected(&[], Value::Null, &["n.example"])).await;
    assert_eq!(keys(&found), ["n.example"]);
    bench.panel().tune(|knobs| knobs.collect_refuses_strangers = true);
    let refused = bench.fault("admin_collect", &collected(&[], Value::Null, &["gone.example"])).await;
    assert_eq!(refused, "Unknown domain `gone.example'");
    bench.assert_clean();
}

#[tokio::test]
async fn a_group_is_changed_by_its_invoice_and_since_spares_the_active() {
    let bench = Bench::new();
    let panel = bench.panel();
    let master = SiteSeed { invoice: Some("M-1".into()), ours: true, ..SiteSeed::strange("m.example", "muser") };
    panel.seed_site(master);
    panel.seed_site(SiteSeed::child("n.example", "nuser", "M-1"));
    panel.seed_site(SiteSeed::strange("them.example", "them"));
    panel.expect_group("M-1");
    let on = |flags: Value| [("site", text("M-1")), ("flags", flags)];

    let quota = map(&[("diskquota.quota", Value::Int(5_000)), ("diskquota.units", text("MB"))]);
    bench.call("admin_edit_site", &[("site", text("M-1")), ("opts", quota), ("flags", none())]).await;
    assert!(panel.sites()[..2].iter().all(|site| site.quota_kb == 5_120_000));
    bench.call("admin_deactivate_site", &on(none())).await;
    bench.call("admin_activate_site", &[("site", text("site12"))]).await;
    bench.call("admin_delete_site", &on(map(&[("since", text("now")), ("dry-run", Value::Bool(true))]))).await;
    assert_eq!(panel.sites().len(), 3, "a dry run deletes nothing");
    bench.call("admin_delete_site", &on(map(&[("since", text("30 days ago"))]))).await;
    assert_eq!(panel.sites().len(), 3, "nobody is suspended so long");
    bench.call("admin_delete_site", &on(map(&[("since", text("now"))]))).await;
    assert_eq!(panel.sites().iter().map(|site| site.id).collect::<Vec<_>>(), [12, 14]);
    bench.call("admin_delete_site", &on(none())).await;
    assert_eq!(panel.sites().iter().map(|site| site.id).collect::<Vec<_>>(), [14]);

    let effects: Vec<Effect> =
        panel.ledger().iter().map(|call| call.effect).filter(|effect| *effect != Effect::None).collect();
    assert_eq!(
        effects,
        [
            Effect::GroupEdited(2),
            Effect::GroupSuspended(2),
            Effect::Activated(12),
            Effect::GroupDeleted(1),
            Effect::GroupDeleted(1)
        ]
    );
    bench.assert_clean();
}

#[tokio::test]
async fn what_hits_the_whole_server_is_a_breach() {
    for (name, parts) in [
        ("admin_delete_site", vec![("site", Value::Null), ("flags", map(&[("since", text("now"))]))]),
        ("admin_delete_site", vec![("site", text("")), ("flags", map(&[("since", text("now"))]))]),
        (
            "admin_edit_site",
            vec![
                ("site", text("site12")),
                ("opts", map(&[("ssh.enabled", Value::Int(0))])),
                ("flags", map(&[("all", Value::Bool(true))])),
            ],
        ),
        (
            "auth_change_password",
            vec![("password", text("N3w-p4ssw")), ("user", text("")), ("domain", text("a.example"))],
        ),
    ] {
        let bench = Bench::new();
        bench.made().await;
        let suspended = SiteSeed { suspended: Some((0, "unpaid".into())), ..SiteSeed::strange("them.example", "them") };
        bench.panel().seed_site(suspended);

        bench.call(name, &parts).await;

        assert!(!bench.panel().violations().is_empty(), "{name}");
        assert!(!bench.panel().check().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_purge_by_reason_takes_only_what_bears_the_mark() {
    let bench = Bench::new();
    for (domain, user, reason) in [("a.example", "auser", "# purge-7"), ("b.example", "buser", "unpaid")] {
        let seed = SiteSeed { suspended: Some((0, reason.into())), ours: true, ..SiteSeed::strange(domain, user) };
        bench.panel().seed_site(seed);
    }

    let flags = map(&[("since", text("1 day ago")), ("match", text("/^# purge-7$/"))]);
    bench.call("admin_delete_site", &[("site", Value::Null), ("flags", flags)]).await;

    assert_eq!(bench.panel().sites()[0].domain, "b.example");
}

#[tokio::test]
async fn a_session_stands_for_one_site_until_it_ends() {
    let bench = Bench::new();
    bench.made().await;
    bench.panel().seed_site(SiteSeed::strange("them.example", "them"));

    let parts = [("site", text("a.example")), ("user", text("auser")), ("gate", text("UI"))];
    let Value::Text(sid) = bench.call("admin_hijack", &parts).await else { panic!("no session") };
    assert_eq!(bench.panel().session(&sid), Some(("site12".into(), "UI".into())));
    assert!(bench.panel().secrets().contains(&sid));
    let stranger = [("site", text("a.example")), ("user", text("them")), ("gate", text("UI"))];
    assert_eq!(bench.call("admin_hijack", &stranger).await, Value::Null);
    let unknown = [("site", text("gone.example")), ("user", Value::Null), ("gate", Value::Null)];
    assert_eq!(bench.fault("admin_hijack", &unknown).await, "Unknown domain `gone.example'");

    let as_site = bench.session("site12", "SOAP").await;
    assert_eq!(bench.try_call("common_whoami", &[], &[&as_site]).await, Got::Value(text("auser")));
    let info = bench.try_call("auth_session_info", &[], &[&as_site]).await;
    assert_eq!(info, Got::Value(map(&[("username", text("auser")), ("domain", text("a.example"))])));
    bench.assert_clean();
    bench.clock.advance(Duration::from_secs(3_601));
    assert_eq!(bench.try_call("common_whoami", &[], &[&as_site]).await, Got::Value(text("admin")));
    assert_eq!(bench.panel().session(&sid), None);
    bench.assert_clean();

    // The administrator's own: by the name of the machine.
    let own = [("site", text("panel.example.net")), ("user", text("admin")), ("gate", text("UI"))];
    assert!(matches!(bench.call("admin_hijack", &own).await, Value::Text(_)));
}

#[tokio::test]
async fn a_cookie_in_the_wrong_place_is_noted() {
    let bench = Bench::new();
    bench.made().await;
    let as_site = bench.session("site12", "SOAP").await;
    let in_browser = bench.session("site12", "UI").await;
    for (name, cookie, expected) in [
        ("admin_list_plans", &*as_site, "somebody else's session"),
        ("common_whoami", &*in_browser, "a session of the gate UI"),
        ("common_whoami", "cookie: esprit_id=0", "never opened"),
        ("common_whoami", "cookie: sid=0", "the cookie"),
    ] {
        let before = bench.panel().violations().len();
        let _ = bench.try_call(name, &[], &[cookie]).await;
        let noted = bench.panel().violations().split_off(before);
        assert!(noted.iter().any(|text| text.contains(expected)), "{name} {cookie}: {noted:?}");
    }
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_and_old_panels_know_no_sites() {
    let bench = Bench::new();
    bench.made().await;
    bench.session("site12", "SOAP").await;
    let password = [("password", text("N3w-p4ssw")), ("user", text("auser")), ("domain", text("a.example"))];
    bench.call("auth_change_password", &password).await;
    assert_eq!((bench.panel().sessions(), &*bench.panel().sites()[0].password), (0, "N3w-p4ssw"));

    bench.panel().tune(|knobs| knobs.knows_only_admin_passwords = true);
    assert_eq!(bench.fault("auth_change_password", &password).await, "user `auser' does not exist");
    let edit = [("site", text("site12")), ("opts", map(&[("auth.tpasswd", text("An0ther-p"))])), ("flags", none())];
    bench.call("admin_edit_site", &edit).await;
    assert_eq!(bench.panel().sites()[0].password, "An0ther-p");
    bench.assert_clean();
}

#[tokio::test]
async fn a_ban_is_seen_and_lifted_as_the_site_or_as_the_administrator() {
    let bench = Bench::new();
    bench.made().await;
    bench.panel().ban("ssh", "203.0.113.9");
    bench.panel().ban("http", "203.0.113.9");
    let as_site = bench.session("site12", "SOAP").await;
    let meant = |ip: &str, jail: Value| [("ip", text(ip)), ("jail", jail)];
    let asked = bench.try_call("rampart_is_banned", &meant("203.0.113.9", Value::Null), &[&as_site]).await;
    assert_eq!(asked, Got::Value(Value::Bool(true)));
    bench.try_call("rampart_unban", &meant("203.0.113.9", text("ssh")), &[&as_site]).await;
    assert_eq!(bench.panel().jails("203.0.113.9"), ["http"]);
    bench.call("rampart_unban", &meant("203.0.113.9", Value::Null)).await;
    assert_eq!(bench.call("rampart_is_banned", &meant("203.0.113.9", Value::Null)).await, Value::Bool(false));
    assert!(bench.fault("rampart_unban", &meant("nobody", Value::Null)).await.contains("invalid IP address"));
    bench.assert_clean();

    bench.panel().tune(|knobs| knobs.site_may_name_addresses = false);
    let refused = bench.try_call("rampart_unban", &meant("203.0.113.9", Value::Null), &[&as_site]).await;
    assert!(matches!(refused, Got::Fault(text) if text.contains("may not be specified")));
    let _ = bench.call("rampart_unban", &meant("", Value::Null)).await;
    assert!(bench.panel().violations()[0].contains("the client's own"));
}

#[tokio::test]
async fn figures_have_the_panels_units_and_a_site_may_have_none() {
    let bench = Bench::new();
    bench.made().await;
    bench.panel().set_usage(12, Usage { bandwidth_bytes: 1.5e25, ..Usage::default() });
    let unlimited = SiteSeed::strange("them.example", "them");
    let unlimited = bench.panel().seed_site(unlimited);
    bench.panel().set_value(unlimited, "bandwidth.threshold", Value::Null);
    let usage = |field: &str, sites: &[&str]| [("field", text(field)), ("sites", list(sites))];

    let storage = bench.call("admin_get_usage", &usage("storage", &["site12"])).await;
    assert_eq!(storage.get("site12").unwrap().get("qhard"), Some(&Value::Int(5_242_880)));
    let all = bench.call("admin_get_usage", &usage("bandwidth", &[])).await;
    assert_eq!(all.get("site12").unwrap().get("sum"), Some(&Value::Float(1.5e25)));
    assert_eq!(all.get("site12").unwrap().get("threshold"), Some(&Value::Int(107_374_182_400)));
    assert_eq!(all.get("site13").unwrap().get("threshold"), Some(&Value::Int(0)));
    bench.panel().set_usage(12, Usage { is_known: false, ..Usage::default() });
    assert_eq!(bench.call("admin_get_usage", &usage("storage", &["site12"])).await, none());

    let as_site = bench.session("site13", "SOAP").await;
    let parts = [("type", Value::Null)];
    let Got::Value(own) = bench.try_call("site_get_bandwidth_usage", &parts, &[&as_site]).await else {
        panic!("a fault")
    };
    assert_eq!(own.get("total"), Some(&Value::Float(-1.0)));
    assert_eq!(
        bench.call("admin_get_domains", &[]).await,
        Value::Map(vec![(Key::Int(12), text("a.example")), (Key::Int(13), text("them.example")),])
    );
}

#[tokio::test]
async fn what_php_reads_as_null_meets_the_types_of_the_method() {
    let bench = Bench::new();
    bench.made().await;
    let array = "SOAP-ENC:arrayType=\"xsd:ur-type[0]\" xsi:type=\"SOAP-ENC:Array\"";
    let plain = request("admin_edit_site", &[("site", text("site12")), ("opts", none()), ("flags", none())]);
    let opts = format!("<opts {array}></opts>");
    assert!(plain.contains(&opts), "{plain}");
    let action = format!("soapaction: \"{ACTION}admin_edit_site\"");
    let key = format!("auth-key: {}", bench.running.key());
    let headers = ["content-type: text/xml; charset=utf-8", &*action, &*key, "abort-on: error"];
    for (instead, given, noted) in [
        ("<opts xsi:type=\"ns2:Map\"/>", "null", "empty Map"),
        ("<opts xsi:nil=\"true\"/>", "null", "opts is null"),
        ("", "null", "opts is missing"),
        ("<opts><item><key>a</key><value>b</value></item></opts>", "stdClass", "no type"),
    ] {
        let before = bench.panel().violations().len();
        let reply = bench.post("/soap", &headers, &plain.replace(&opts, instead)).await.unwrap();
        let expected = format!("admin_edit_site(): Argument #2 ($opts) must be of type array, {given} given");
        assert_eq!(got("admin_edit_site", &reply), Got::Fault(expected), "{instead}");
        let bugs = bench.panel().violations().split_off(before);
        assert!(bugs.iter().any(|text| text.contains(noted)), "{instead}: {bugs:?}");
    }
    // No part fits by name: they count by place.
    let by_place = plain.replace("<site ", "<a ").replace("</site>", "</a>");
    let by_place = by_place
        .replace("<opts ", "<b ")
        .replace("</opts>", "</b>")
        .replace("<flags ", "<c ")
        .replace("</flags>", "</c>");
    let reply = bench.post("/soap", &headers, &by_place).await.unwrap();
    assert_eq!(got("admin_edit_site", &reply), Got::Value(Value::Bool(true)));
    assert!(bench.panel().violations().iter().any(|text| text.contains("unknown part a")));
    // Flags for a panel that does not take them yet are overlooked, and no bug.
    let before = bench.panel().violations().len();
    bench.call("admin_activate_site", &[("site", text("site12")), ("flags", none())]).await;
    assert_eq!(bench.panel().violations().len(), before);
}

#[tokio::test]
async fn a_create_may_stop_halfway_and_force_takes_it_away() {
    let bench = Bench::new();
    bench.panel().break_creates(1);
    assert!(matches!(bench.add("a.example", "auser", "BSM-1001").await, Got::Fault(_)));
    assert!(bench.panel().sites()[0].is_half);

    let delete = |force: bool| {
        [("site", text("site12")), ("flags", if force { map(&[("force", Value::Bool(true))]) } else { none() })]
    };
    assert!(bench.fault("admin_delete_site", &delete(false)).await.contains("failed"));
    bench.call("admin_delete_site", &delete(true)).await;
    assert!(!bench.made().await.is_half);
    bench.assert_clean();
}

#[tokio::test]
async fn the_panel_notes_a_second_site_and_a_touched_stranger() {
    let bench = Bench::new();
    bench.made().await;
    let theirs = bench.panel().seed_site(SiteSeed::strange("them.example", "them"));
    bench.assert_clean();
    bench.add("b.example", "buser", "BSM-1001").await;
    bench.call("admin_deactivate_site", &[("site", text(&format!("site{theirs}"))), ("flags", none())]).await;

    let broken = bench.panel().check();

    for expected in ["2 sites were made, 1 wanted", "shares the billing.invoice", "of a stranger was changed"] {
        assert!(broken.iter().any(|text| text.contains(expected)), "{expected}: {broken:?}");
    }
    bench.panel().expect_sites(2);
    assert_eq!(bench.panel().check().len(), 2);
}

#[tokio::test]
async fn every_fault_strikes_with_the_effect_that_it_names() {
    for fault in ApisCp::FAULTS {
        let bench = Bench::new();
        bench.panel().arm(Plan::on("POST", "admin_add_site", *fault));
        let add = bench.add_any();
        if matches!(fault, Fault::Hang { .. }) {
            let release = async {
                bench.panel().wait_stalled().await;
                bench.panel().release();
            };
            tokio::join!(add, release);
        } else {
            add.await;
        }
        bench.clock.advance(Duration::from_secs(6));
        let expected = usize::from(fault.effect() != EffectTiming::Never);
        assert_eq!(bench.panel().sites().len(), expected, "{}", fault.name());
        assert_eq!(bench.panel().unfired(), 0, "{}", fault.name());
    }
}

impl Bench {
    /// An answer of any kind, or none.
    async fn add_any(&self) {
        let _ = self.send("admin_add_site", &new_site("a.example", "auser", "BSM-1001"), &[]).await;
    }
}

#[tokio::test]
async fn the_wsdl_names_every_operation_and_its_parts() {
    let bench = Bench::new();
    let reply = client::send(bench.running.address(), "GET", "/apnscp.wsdl", &[], "").await.unwrap();
    let document = Node::parse(std::str::from_utf8(&reply.body).unwrap()).unwrap();

    let messages = document.children.iter().filter(|node| node.name.1 == "message");
    let add = messages.clone().find(|node| node.attribute("", "name") == Some("admin_add_siteRequest")).unwrap();
    let parts: Vec<_> = add.children.iter().filter_map(|part| part.attribute("", "name")).collect();
    assert_eq!(parts, ["domain", "admin", "opts", "flags"]);
    assert_eq!(messages.count(), 2 * super::ops::OPERATIONS.len());
    bench.panel().tune(|knobs| knobs.soap = false);
    assert_eq!(bench.send("common_whoami", &[], &[]).await.unwrap().status, 404);
}

#[tokio::test]
async fn the_side_door_shows_calls_without_their_secrets() {
    let bench = Bench::with(|config| config.control = true);
    bench.made().await;

    let shown = client::send(bench.running.address(), "GET", "/_panel/ledger", &[], "").await.unwrap();

    let shown = String::from_utf8(shown.body).unwrap();
    assert!(shown.contains("auth.tpasswd") && shown.contains("(secret)"), "{shown}");
    for secret in bench.panel().secrets() {
        assert!(!shown.contains(&secret), "{secret}");
    }
}
