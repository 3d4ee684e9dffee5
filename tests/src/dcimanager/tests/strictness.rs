//! What shows a bug of the client is remembered, whatever the panel makes of it.

use super::*;

#[tokio::test]
async fn credentials_are_told_apart() {
    let bench = Bench::with(|config| {
        config.accounts.push(Account { enabled: false, ..Account::stranger(31, "off", Level::Administrator) });
        config.accounts.push(Account { second_factor: true, ..Account::stranger(32, "careful", Level::Administrator) });
    });
    let session = bench.session("whmcs", "whmcs-pass-7d1c").await;
    let user = bench.session("acme", "acme-pass-7d1c").await;
    let cases: [(&[(&str, &str)], (&str, &str), bool); 11] = [
        (&[("auth", &session)], ("", ""), false),
        (&[("authinfo", "whmcs:whmcs-pass-7d1c")], ("", ""), false),
        (&[("auth", &user)], ("access", ""), false),
        (&[("auth", &session), ("su", "acme")], ("access", ""), false),
        (&[], ("auth", "badpassword"), true),
        (&[("auth", &session), ("authinfo", "whmcs:whmcs-pass-7d1c")], ("auth", "badpassword"), true),
        (&[("auth", "none")], ("auth", "badpassword"), false),
        (&[("authinfo", "whmcs:wrong")], ("auth", "badpassword"), false),
        (&[("authinfo", "nobody:wrong")], ("auth", "badpassword"), false),
        (&[("authinfo", "off:off-pass-7d1c")], ("auth", "badpassword"), false),
        (&[("authinfo", "careful:careful-pass-7d1c")], ("extraconfirm", ""), false),
    ];
    for (credentials, expected, is_bug) in cases {
        let before = bench.panel().violations().len();
        let mut fields = vec![("func", "user"), ("out", "xml")];
        fields.extend(credentials);

        let doc = document(&bench.send(&fields).await.unwrap());

        assert_eq!(error(&doc), expected, "{credentials:?}");
        assert_eq!(bench.panel().violations().len() > before, is_bug, "{credentials:?}");
        let is_authentic = ["", "access"].contains(&expected.0);
        assert_eq!(bench.panel().ledger().pop().unwrap().is_authentic, is_authentic, "{credentials:?}");
    }
    bench.panel().tune(|knobs| knobs.takes_authinfo = false);
    assert_eq!(error(&bench.call("user", &[]).await), ("access", ""));
}

#[tokio::test]
async fn a_session_ends_by_idleness_by_another_address_and_with_the_panel() {
    let bench = Bench::new();
    let session = bench.session("whmcs", "whmcs-pass-7d1c").await;
    let call = async || bench.call_as(("auth", &session), "user", &[]).await;
    for _ in 0..3 {
        bench.pass(3_600_000);
        assert_eq!(error(&call().await), ("", ""), "a call keeps it alive");
    }

    bench.panel().move_client();
    assert_eq!(error(&call().await), ("auth", "badip"));
    let session = bench.session("whmcs", "whmcs-pass-7d1c").await;
    let call = async || bench.call_as(("auth", &session), "user", &[]).await;
    assert_eq!(error(&call().await), ("", ""));
    bench.pass(3_600_001);
    assert_eq!(error(&call().await), ("auth", "badpassword"));

    let session = bench.session("whmcs", "whmcs-pass-7d1c").await;
    bench.panel().end_sessions();
    assert_eq!(error(&bench.call_as(("auth", &session), "user", &[]).await), ("auth", "badpassword"));
    bench.assert_clean();
}

#[tokio::test]
async fn a_careless_request_is_remembered() {
    let bench = Bench::new();
    let cases: [(&str, &[(&str, &str)], (&str, &str)); 19] = [
        ("Server", &[], ("missed", "func")),
        ("server.explode", &[("elid", "42")], ("missed", "func")),
        ("", &[], ("missed", "func")),
        ("server", &[("Filter", "off")], ("", "")),
        ("server", &[("filter", "none")], ("", "")),
        ("server.enable", &[], ("value", "elid")),
        ("server.enable", &[("elid", "")], ("value", "elid")),
        ("server.enable", &[("Elid", "44")], ("value", "elid")),
        ("server.enable", &[("elid", "044")], ("value", "elid")),
        ("server.enable", &[("elid", "44"), ("sok", "ok")], ("", "")),
        ("server.edit", &[("elid", "44"), ("sok", "yes"), ("owner", "no_owner"), ("type", "7")], ("", "")),
        (
            "user.edit",
            &[("sok", "ok"), ("name", "bob"), ("passwd", "secret-1"), ("confirm", "secret-1")],
            ("value", "level"),
        ),
        (
            "user.edit",
            &[("sok", "ok"), ("name", "bob"), ("passwd", ""), ("confirm", ""), ("level", "lvUser")],
            ("value", "passwd"),
        ),
        ("session.newkey", &[("username", ""), ("key", "abcdefghijklmnop")], ("value", "username")),
        (
            "iplist.edit",
            &[("plid", "42"), ("sok", "ok"), ("family", "IPv4"), ("iptype", "public"), ("domain", "a.example")],
            ("value", "family"),
        ),
        ("server.operations", &[("elid", "42"), ("sok", "ok"), ("operation", "rescue")], ("value", "operation")),
        ("traffic", &[("period", "currentmonth")], ("missed", "func")),
        ("osmgr", &[("p_cnt", "500")], ("", "")),
        ("server.connection", &[("plid", "42")], ("value", "elid")),
    ];
    for (func, fields, expected) in cases {
        let before = bench.panel().violations().len();

        let doc = bench.call(func, fields).await;

        assert_eq!(error(&doc), expected, "{func} {fields:?}");
        assert!(bench.panel().violations().len() > before, "{func} {fields:?}");
    }
}

#[tokio::test]
async fn only_a_form_in_the_body_that_asks_for_xml_is_without_reproach() {
    let bench = Bench::new();
    let at = bench.running.address();
    let open = "func=user&out=xml";
    let secret = "authinfo=whmcs:whmcs-pass-7d1c";
    let cases = [
        ("POST", "/dcimgr".to_owned(), format!("{open}&{secret}"), "<elem>", false),
        ("POST", "/manager/dcimgr".to_owned(), format!("{open}&{secret}"), "<elem>", false),
        ("POST", format!("/dcimgr?{open}"), secret.to_owned(), "<elem>", false),
        ("POST", format!("/dcimgr?{secret}"), open.to_owned(), "<elem>", true),
        ("GET", format!("/dcimgr?{open}&{secret}"), String::new(), "<elem>", true),
        ("POST", "/dcimgr".to_owned(), format!("func=user&{secret}"), "<html>", true),
        ("POST", "/dcimgr".to_owned(), format!("func=user&out=json&{secret}"), "<html>", true),
        ("POST", "/dcimgr".to_owned(), format!("{open}&{open}&{secret}"), "<elem>", true),
    ];
    for (method, path, body, expected, is_bug) in cases {
        let before = bench.panel().violations().len();

        let reply = client::send(at, method, &path, &[FORM], &body).await.unwrap();

        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(text.contains(expected), "{method} {path} {text}");
        assert_eq!(bench.panel().violations().len() > before, is_bug, "{method} {path}");
    }
    assert_eq!(client::send(at, "POST", "/ispmgr", &[FORM], open).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_form_that_is_committed_for_nothing_makes_a_machine_and_is_remembered() {
    for elid in [None, Some(("elid", ""))] {
        let bench = Bench::new();
        let mut fields =
            vec![("sok", "ok"), ("mac", ""), ("name", "R9U1"), ("notes", ""), ("type", "7"), ("owner", "5")];
        fields.extend(elid);

        let doc = bench.call("server.edit", &fields).await;

        assert_eq!(doc.of("id"), "61");
        assert_eq!(bench.panel().ledger()[0].path, "server.edit/new");
        assert_eq!(bench.panel().check().len(), 1);
        assert_eq!(bench.panel().violations().len(), elid.iter().count());
    }
}

#[tokio::test]
async fn what_a_form_does_not_repeat_is_cleared_and_remembered() {
    let bench = Bench::new();

    bench.done("server.edit", &[("elid", "42"), ("sok", "ok"), ("type", "7"), ("owner", "5")]).await;

    let form = bench.call("server.edit", &[("elid", "42")]).await;
    assert_eq!((form.of("mac"), form.of("name"), form.of("notes")), ("", "", ""));
    assert_eq!(bench.panel().violations().len(), 3);
    assert_eq!(bench.panel().check(), ["call 1: the MAC address of machine 42 was cleared"]);
}

#[tokio::test]
async fn users_have_their_own_machines_and_nothing_else() {
    let bench = Bench::new();
    let session = bench.session("acme", "acme-pass-7d1c").await;
    let call = async |func: &str, fields: &[(&str, &str)]| {
        error(&bench.call_as(("auth", &session), func, fields).await).0.to_owned()
    };

    let list = bench.call_as(("auth", &session), "server", &[]).await;
    assert_eq!(list.children.iter().filter(|row| row.name == "elem").count(), 1);
    assert_eq!(call("server.poweron", &[("elid", "42")]).await, "access");
    assert_eq!(call("server.operations", &[("elid", "42")]).await, "access");
    assert_eq!(call("server.disable", &[("elid", "41")]).await, "access");
    bench.panel().mark(41, Flag::Disabled, true);
    assert_eq!(call("server.reboot", &[("elid", "41")]).await, "access");
    bench.panel().mark(41, Flag::Disabled, false);
    assert_eq!(call("server.operations", &[("elid", "41")]).await, "");
    bench.assert_clean();
}

#[tokio::test]
async fn what_belongs_to_others_is_touched_only_to_be_remembered() {
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("server.poweroff", &[("elid", "41")]),
        ("server.disable", &[("elid", "43")]),
        (
            "iplist.edit",
            &[
                ("plid", "41"),
                ("sok", "ok"),
                ("family", "ipv4"),
                ("iptype", "public"),
                ("ip", ""),
                ("domain", "a.example"),
            ],
        ),
        ("iplist.delete", &[("elid", "314"), ("plid", "41")]),
        (
            "user.edit",
            &[
                ("elid", "21"),
                ("sok", "ok"),
                ("name", "acme"),
                ("passwd", "secret-1"),
                ("confirm", "secret-1"),
                ("level", "lvUser"),
            ],
        ),
        ("user.suspend", &[("elid", "21")]),
    ];
    for (func, fields) in cases {
        let bench = Bench::new();

        bench.done(func, fields).await;

        assert!(!bench.panel().check().is_empty(), "{func}");
        assert_eq!(bench.panel().violations(), Vec::<String>::new(), "{func}");
    }
}

#[tokio::test]
async fn a_machine_that_is_not_for_sale_is_taken_only_to_be_remembered() {
    for id in [43, 45, 46, 47] {
        let bench = Bench::new();
        let elid = id.to_string();
        let form = bench.call("server.edit", &[("elid", &elid)]).await;
        let fields = [("mac", form.of("mac")), ("name", "x"), ("notes", ""), ("type", "7"), ("owner", "5")];
        let fields: Vec<_> = [("elid", &*elid), ("sok", "ok")].into_iter().chain(fields).collect();

        bench.done("server.edit", &fields).await;

        assert!(bench.panel().check().iter().any(|text| text.contains("was not free")), "{id}");
    }
}

#[tokio::test]
async fn messages_follow_the_language_and_the_rest_does_not() {
    let bench = Bench::new();
    let admin = bench.running.admin();
    let authinfo = format!("{}:{}", admin.name, admin.password);
    let fields = [("func", "server.edit"), ("out", "xml"), ("authinfo", &*authinfo), ("elid", "99")];

    let russian = document(&bench.send(&fields).await.unwrap());
    let english = bench.call("server.edit", &[("elid", "99")]).await;

    assert_eq!(error(&russian), error(&english));
    assert_ne!(russian.child("error").unwrap().of("msg"), english.child("error").unwrap().of("msg"));
}

#[tokio::test]
async fn the_next_generation_and_the_last_one_show_themselves() {
    let six = Bench::with(|config| config.version = Version::Six);
    let page = six.send(&[("func", "whoami"), ("out", "xml")]).await.unwrap();
    assert!(page.head.contains("text/html") && page.body.starts_with(b"<!DOCTYPE html>"));
    let api = client::send(six.running.address(), "GET", "/api/dci/v3/server", &[], "").await.unwrap();
    assert_eq!((api.status, api.json()["error"]["code"].is_number()), (401, true));
    six.assert_clean();

    let old = Bench::with(|config| config.version = Version::Old);
    let doc = old.call("whoami", &[]).await;
    assert_eq!(doc.child("error").unwrap().attribute("code"), Some("3"));
}

#[tokio::test]
async fn every_fault_does_to_the_panel_what_it_says() {
    for fault in DciManager::FAULTS.iter().filter(|fault| !matches!(fault, Fault::Hang { .. })) {
        let bench = Bench::new();
        bench.panel().arm(Plan::on("POST", "server.enable", *fault));
        let admin = bench.running.admin();
        let authinfo = format!("{}:{}", admin.name, admin.password);
        let fields = [("func", "server.enable"), ("out", "xml"), ("authinfo", &*authinfo), ("elid", "42")];

        let reply = bench.send(&fields).await;

        let count = || bench.panel().count_effects(|effect| effect == Effect::Enabled(42));
        match fault.effect() {
            EffectTiming::Never => assert_eq!(count(), 0, "{}", fault.name()),
            EffectTiming::Done => assert_eq!(count(), 1, "{}", fault.name()),
            EffectTiming::Later => {
                assert_eq!(count(), 0, "{}", fault.name());
                bench.pass(5_000);
                assert_eq!(count(), 1, "{}", fault.name());
            }
        }
        let is_ok = reply.is_ok_and(|reply| reply.status == 200 && reply.body.windows(5).any(|part| part == b"<ok/>"));
        let may_look_good = ["rows_twice", "wrong_charset", "wrong_shape"].contains(&fault.name());
        assert!(!is_ok || may_look_good, "{}", fault.name());
        assert_eq!(bench.panel().unfired(), 0);
        bench.assert_clean();
    }
}

#[tokio::test]
async fn rows_come_twice_where_a_fault_says_so() {
    let bench = Bench::new();
    let rows = |doc: &Element| doc.children.iter().filter(|row| row.name == "elem").count();
    let once = rows(&bench.call("server", &[]).await);

    bench.panel().arm(Plan::on(
        "POST",
        "server",
        DciManager::FAULTS.iter().copied().find(|fault| fault.name() == "rows_twice").unwrap(),
    ));

    assert_eq!(rows(&bench.call("server", &[]).await), 2 * once);
}
