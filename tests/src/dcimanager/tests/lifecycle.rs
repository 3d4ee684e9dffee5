//! What the panel accepts comes true as time passes, and not before.

use super::*;

/// The marks of the row of 42.
async fn marks(bench: &Bench) -> Vec<String> {
    let list = bench.call("server", &[("filter", "off")]).await;
    let row = row(&list, "42");
    let empty = row.children.iter().filter(|child| child.text.is_empty() && child.name != "owner");
    empty.map(|child| child.name.clone()).collect()
}

async fn powered_on(bench: &Bench) {
    bench.claimed().await;
    bench.done("server.poweron", &[("elid", "42")]).await;
    bench.pass(20_000);
}

#[tokio::test]
async fn power_follows_its_command_after_a_while() {
    let bench = Bench::new();
    bench.claimed().await;
    assert_eq!(marks(&bench).await, ["poweroff"]);

    bench.done("server.poweron", &[("elid", "42")]).await;
    bench.pass(19_999);
    assert_eq!(marks(&bench).await, ["poweroff"]);
    bench.pass(1);
    assert_eq!(marks(&bench).await, ["poweron"]);

    for (outcome, expected) in [(PowerOutcome::Ignored, "poweron"), (PowerOutcome::Fails, "powererror")] {
        bench.panel().tune(|knobs| knobs.power_outcome = outcome);
        bench.done("server.poweroff", &[("elid", "42")]).await;
        bench.pass(20_000);
        assert_eq!(marks(&bench).await, [expected]);
    }
    bench.assert_clean();
}

#[tokio::test]
async fn blocking_works_on_the_ports_for_a_while() {
    let bench = Bench::new();
    bench.claimed().await;
    let busy = async || {
        let ports = bench.call("server.connection", &[("elid", "42")]).await;
        ports.children.iter().any(|port| port.child("func_in_progress").is_some())
    };

    bench.done("server.disable", &[("elid", "42")]).await;
    assert!(busy().await && !bench.panel().server(42).is_connected);
    bench.pass(2_000);
    assert_eq!(marks(&bench).await, ["poweroff", "disabled"]);
    assert!(busy().await);
    bench.pass(6_000);
    assert!(!busy().await);

    let port = [("elid", "421"), ("plid", "42")];
    assert_eq!(error(&bench.call("server.connection.on", &port).await).0, "access");
    bench.done("server.enable", &[("elid", "42")]).await;
    bench.pass(8_000);
    assert!(!bench.panel().server(42).is_disabled && bench.panel().server(42).is_connected);
    bench.assert_clean();
}

#[tokio::test]
async fn an_installation_shows_itself_late_and_ends_well_or_with_a_mark() {
    for (outcome, expected) in [
        (InstallOutcome::Succeeds, &["poweron"][..]),
        (InstallOutcome::Fails, &["poweron", "operation_failed"]),
        (InstallOutcome::NeverEnds, &["poweron", "install_in_progress"]),
    ] {
        let bench = Bench::new();
        bench.panel().tune(|knobs| knobs.install_outcome = outcome);
        powered_on(&bench).await;

        assert_eq!(error(&bench.install().await), ("", ""));
        assert_eq!(marks(&bench).await, ["poweron"], "the gap before the mark");
        bench.pass(5_000);
        assert_eq!(marks(&bench).await, ["poweron", "install_in_progress"]);
        bench.pass(900_000);

        assert_eq!(marks(&bench).await, expected);
        let server = bench.panel().server(42);
        let is_there = outcome == InstallOutcome::Succeeds;
        assert_eq!(server.system.as_deref(), is_there.then_some(DEBIAN));
        let form = bench.call("server.operations", &[("elid", "42")]).await;
        assert_eq!(form.of("ostemplate"), if is_there { DEBIAN } else { "" });
        bench.assert_clean();
    }
}

#[tokio::test]
async fn an_installation_on_a_machine_that_cannot_boot_fails_late() {
    let bench = Bench::new();
    bench.claimed().await;

    assert_eq!(error(&bench.install().await), ("", ""));
    bench.pass(905_000);

    assert!(bench.panel().server(42).is_failed);
    bench.assert_clean();
}

#[tokio::test]
async fn a_template_that_the_machine_cannot_have_fails_late_and_is_remembered() {
    for template in ["ISPsystem__VMware-7-amd64", "ISPsystem__Ubuntu-24.04-amd64", "nothing"] {
        let bench = Bench::new();
        powered_on(&bench).await;
        let mut fields = INSTALL.to_vec();
        fields[3] = ("ostemplate", template);

        assert_eq!(error(&bench.call("server.operations", &fields).await), ("", ""));
        bench.pass(905_000);

        assert!(bench.panel().server(42).is_failed, "{template}");
        assert_eq!(bench.panel().check().len(), 1, "{template}");
    }
}

#[tokio::test]
async fn a_second_installation_is_remembered() {
    let bench = Bench::new();
    powered_on(&bench).await;

    bench.install().await;
    bench.install().await;

    let check = bench.panel().check();
    assert!(check.iter().any(|text| text.contains("while an installation ran")), "{check:?}");
    assert!(check.iter().any(|text| text.contains("2 times")), "{check:?}");
}

#[tokio::test]
async fn the_mark_of_an_earlier_failure_stays_until_the_next_begins_or_succeeds() {
    for (keeps, in_between) in [(false, false), (true, true)] {
        let bench = Bench::new();
        bench.panel().tune(|knobs| knobs.keeps_failed_mark = keeps);
        powered_on(&bench).await;
        bench.panel().mark(42, Flag::OperationFailed, true);

        bench.install().await;
        assert!(bench.panel().server(42).is_failed, "in the gap");
        bench.pass(5_000);
        assert_eq!(bench.panel().server(42).is_failed, in_between);
        bench.pass(900_000);

        assert!(!bench.panel().server(42).is_failed);
    }
}

#[tokio::test]
async fn addresses_come_from_the_pool_until_it_is_empty_and_go_back() {
    let bench = Bench::new();
    bench.claimed().await;
    let all = bench.panel().free_addresses();
    let fields =
        [("plid", "42"), ("sok", "ok"), ("family", "ipv6"), ("iptype", "public"), ("ip", ""), ("domain", "a.example")];
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(bench.done("iplist.edit", &fields).await.of("id").to_owned());
    }

    assert_eq!(error(&bench.call("iplist.edit", &fields).await), ("limit", "ip"));
    let mut wrong = fields;
    wrong[3] = ("iptype", "secret");
    assert_eq!(error(&bench.call("iplist.edit", &wrong).await), ("value", "iptype"));
    assert_eq!(bench.panel().server(42).further(Family::Ipv6), 8);
    for id in &ids {
        bench.done("iplist.delete", &[("elid", id), ("plid", "42")]).await;
    }

    assert_eq!(bench.panel().free_addresses(), all);
    let list = bench.call("iplist", &[("elid", "42")]).await;
    let kinds: Vec<&str> = list.children.iter().filter(|row| row.name == "elem").map(|row| row.of("type")).collect();
    assert_eq!(kinds, ["group", "public"]);
    bench.assert_clean();
}

#[tokio::test]
async fn a_key_lets_one_in_once() {
    let bench = Bench::new();
    let key = "a1b2c3d4e5f6g7h8";
    assert_eq!(error(&bench.call("session.newkey", &[("username", "acme"), ("key", "short")]).await).0, "value");
    assert_eq!(error(&bench.call("session.newkey", &[("username", "nobody"), ("key", key)]).await).0, "missed");
    bench.done("session.newkey", &[("username", "acme"), ("key", key)]).await;
    let fields = [("func", "auth"), ("out", "xml"), ("username", "acme"), ("key", key)];

    let first = document(&bench.send(&fields).await.unwrap());
    let second = document(&bench.send(&fields).await.unwrap());

    assert_eq!(first.child("auth").unwrap().attribute("level"), Some("16"));
    assert_eq!(error(&second), ("auth", "badpassword"));
    bench.done("session.newkey", &[("username", "acme"), ("key", key)]).await;
    let link = format!("{}/dcimgr?func=auth&username=acme&key={key}&checkcookie=no", bench.running.base_url());
    assert_eq!(bench.panel().visit(&link), Ok("acme".to_owned()));
    assert!(bench.panel().visit(&link).is_err());
    bench.assert_clean();
}

#[tokio::test]
async fn an_account_has_a_name_of_its_own_and_stays_while_it_owns() {
    let bench = Bench::new();
    let id = bench.done("user.edit", ACCOUNT).await.of("id").to_owned();
    assert_eq!(error(&bench.call("user.edit", ACCOUNT).await), ("exists", "user"));
    bench.claimed().await;
    bench.edit(&id, "").await;

    assert_eq!(error(&bench.call("user.delete", &[("elid", &id)]).await).0, "in_use");
    bench.edit("no_owner", "disk 2 swapped <2025-11> & tested").await;
    bench.done("user.delete", &[("elid", &id)]).await;

    assert!(bench.panel().made_accounts().iter().all(|account| account.id.to_string() != id));
    assert!(bench.panel().accounts().iter().all(|account| account.name != "acme01"));
    bench.assert_clean();
}

#[tokio::test]
async fn a_released_machine_is_looked_at_before_it_is_sold_again() {
    let bench = Bench::new();
    bench.panel().tune(|knobs| knobs.diagnostics_ms = Some(1_800_000));
    bench.claimed().await;

    bench.edit("no_owner", "disk 2 swapped <2025-11> & tested").await;

    assert_eq!(marks(&bench).await, ["poweroff", "diag_in_progress"]);
    assert!(!bench.panel().server(42).is_free);
    bench.pass(1_800_000);
    assert!(bench.panel().server(42).is_free);
    bench.assert_clean();
}

#[tokio::test]
async fn a_dirty_release_is_found() {
    let bench = Bench::new();
    bench.claimed().await;
    let fields = [("plid", "42"), ("sok", "ok"), ("family", "ipv4"), ("iptype", "public"), ("domain", "a.example")];
    bench.done("iplist.edit", &fields).await;
    let list = bench.call("iplist", &[("elid", "42")]).await;
    let main = list.children.iter().find(|row| row.of("ip") == "192.0.2.42").unwrap().of("id").to_owned();
    bench.done("iplist.edit", &[("elid", &main), ("plid", "42"), ("sok", "ok"), ("domain", "a.example")]).await;
    bench.done("server.disable", &[("elid", "42")]).await;

    bench.edit("no_owner", "[svc:1007]").await;

    let check = bench.panel().check().join("\n");
    for part in ["is not called free", "is blocked", "keeps further addresses", "its notes"] {
        assert!(check.contains(part), "{part} in {check}");
    }
}

#[tokio::test]
async fn a_thief_acts_right_after_the_call_and_is_seen_by_the_next_look() {
    let bench = Bench::new();
    bench.panel().steal(Theft::after("server.edit/ok", 1).by("whmcs").noting("[svc:9]"));

    bench.claimed().await;

    let form = bench.call("server.edit", &[("elid", "42")]).await;
    assert_eq!((form.of("owner"), form.of("notes")), ("5", "[svc:9]"));
    assert!(bench.panel().held().is_empty(), "it is the other client's");
    bench.assert_clean();
    bench.done("server.poweron", &[("elid", "42")]).await;
    assert_eq!(bench.panel().check().len(), 1);
}

#[tokio::test]
async fn what_was_stolen_after_the_last_look_is_overwritten_without_blame() {
    let bench = Bench::new();
    bench.panel().steal(Theft::after("server.edit", 1));

    bench.claimed().await;

    assert_eq!(bench.panel().unstolen(), 0);
    assert_eq!(bench.panel().server(42).owner.as_deref(), Some("whmcs"));
    bench.assert_clean();
}

#[tokio::test]
async fn a_machine_that_was_stolen_after_the_list_is_to_be_left_alone() {
    let bench = Bench::new();
    bench.panel().steal(Theft::after("server", 1).of(42));

    bench.call("server", &[]).await;
    let form = bench.call("server.edit", &[("elid", "42")]).await;
    assert_eq!(form.of("owner"), "22");
    bench.assert_clean();

    bench.claimed().await;
    assert!(!bench.panel().check().is_empty());
}

#[tokio::test]
async fn a_list_shows_what_the_account_has_saved_and_as_much_as_a_page_holds() {
    let bench = Bench::new();
    let rows = |doc: &Element| doc.children.iter().filter(|row| row.name == "elem").count();
    bench.panel().tune(|knobs| knobs.manners.saved_filter = Some("R3".to_owned()));
    assert_eq!(rows(&bench.call("server", &[]).await), 1);
    assert_eq!(rows(&bench.call("server", &[("filter", "off")]).await), 11);

    bench.panel().tune(|knobs| knobs.manners.page_rows = Some(4));
    let page = bench.call("server", &[("filter", "off")]).await;
    assert_eq!((rows(&page), page.of("p_elems")), (4, "11"));
    bench.assert_clean();
}

#[tokio::test]
async fn names_and_owners_are_shown_in_every_manner() {
    let bench = Bench::new();
    for (owner, dots, expected) in
        [(OwnerAs::Name, false, ("acme", "web.acme.example")), (OwnerAs::Id, true, ("21", "web.acme.example."))]
    {
        bench.panel().tune(|knobs| (knobs.manners.owner, knobs.manners.trailing_dots) = (owner, dots));
        let list = bench.call("server", &[]).await;
        assert_eq!((row(&list, "41").of("owner"), row(&list, "41").of("hostname")), expected);
        assert_eq!(bench.call("server.edit", &[("elid", "41")]).await.of("owner"), "21");
    }
    bench.panel().tune(|knobs| knobs.manners.empty_owner_key = true);
    assert_eq!(bench.call("server.edit", &[("elid", "42")]).await.of("owner"), "");
}
