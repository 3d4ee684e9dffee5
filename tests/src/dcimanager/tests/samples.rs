//! The panel's documents held against those that its contract shows.

use super::*;

/// What differs between a document and the sample of it: everything that the sample has must be there, in any order. What
/// a row does not have in the sample must not be a mark of it.
fn differences(sample: &Element, found: &Element, place: &str) -> Vec<String> {
    const MARKS: [&str; 5] = ["poweron", "poweroff", "powererror", "disabled", "install_in_progress"];
    let place = format!("{place}/{}", sample.name);
    let mut all = Vec::new();
    for (name, value) in &sample.attributes {
        if found.attribute(name) != Some(value) {
            all.push(format!("{place}@{name}: {:?} instead of {value:?}", found.attribute(name)));
        }
    }
    if sample.children.is_empty() && sample.text != found.text {
        all.push(format!("{place}: {:?} instead of {:?}", found.text, sample.text));
    }
    for child in &sample.children {
        let best = found.children.iter().filter(|other| other.name == child.name);
        let best = best.map(|other| differences(child, other, &place)).min_by_key(Vec::len);
        all.extend(best.unwrap_or_else(|| vec![format!("{place}: no {}", child.name)]));
    }
    if sample.name == "elem" {
        let unasked = MARKS.iter().filter(|mark| found.child(mark).is_some() && sample.child(mark).is_none());
        all.extend(unasked.map(|mark| format!("{place}: {mark}")));
    }
    all
}

#[track_caller]
fn assert_like(sample: &str, found: &Element) {
    let sample = read::document(sample).unwrap();
    assert_eq!(differences(&sample, found, ""), Vec::<String>::new(), "{found:?}");
}

#[tokio::test]
async fn a_list_of_machines_looks_like_the_sample() {
    let bench = Bench::with(|config| {
        config.servers[1] = ServerSeed { rack: "R2 14".into(), ..ServerSeed::free(42) };
        config.servers[2] = ServerSeed {
            owner: Some("acme".into()),
            hostname: "svc1007.example.net".into(),
            powered_on: true,
            ..ServerSeed::free(43)
        };
    });
    // An installation by the owner of 43.
    let session = bench.session("acme", "acme-pass-7d1c").await;
    let mut fields = INSTALL.to_vec();
    fields[0] = ("elid", "43");
    bench.call_as(("auth", &session), "server.operations", &fields).await;
    bench.pass(5_000);

    let list = bench.call("server", &[("filter", "off")]).await;

    assert_like(
        r#"<?xml version="1.0" encoding="UTF-8"?>
        <doc lang="en" func="server">
          <elem>
            <id>42</id>
            <name>R2U14</name>
            <hostname>free.ds</hostname>
            <ip>192.0.2.42</ip>
            <owner/>
            <type>E3-1230 16G 2x1T</type>
            <chassis_templ>E3-1230v6-16-2x1000SATA</chassis_templ>
            <rack>R2 14</rack>
            <poweroff/>
          </elem>
          <elem>
            <id>43</id>
            <hostname>svc1007.example.net</hostname>
            <ip>192.0.2.43</ip>
            <owner>acme</owner>
            <type>E3-1230 16G 2x1T</type>
            <poweron/>
            <install_in_progress/>
          </elem>
        </doc>"#,
        &list,
    );
}

#[tokio::test]
async fn a_form_looks_like_the_sample() {
    let bench = Bench::with(|config| config.servers[1] = ServerSeed::free(42));

    let form = bench.call("server.edit", &[("elid", "42")]).await;

    assert_like(
        r#"<doc func="server.edit">
          <elid>42</elid>
          <name>R2U14</name>
          <mac>52:54:00:aa:00:2a</mac>
          <type>7</type>
          <owner>no_owner</owner>
          <notes/>
          <disabled>off</disabled>
          <slist name="owner"><val key="no_owner">-- without owner --</val><val key="5">whmcs</val></slist>
        </doc>"#,
        &form,
    );
}

#[tokio::test]
async fn successes_look_like_the_samples() {
    let bench = Bench::new();
    bench.claimed().await;

    assert_like("<doc><id>77</id><ok/></doc>", &bench.call("user.edit", ACCOUNT).await);
    let address =
        [("plid", "42"), ("sok", "ok"), ("family", "ipv4"), ("iptype", "public"), ("ip", ""), ("domain", "a.example")];
    let added = bench.call("iplist.edit", &address).await;
    assert_like("<doc><ip>198.51.100.100</ip><ok/></doc>", &added);
    assert!(added.of("id").parse::<u64>().is_ok());
    assert_like("<doc><ok/></doc>", &bench.call("server.enable", &[("elid", "42")]).await);
}

#[tokio::test]
async fn a_session_stands_where_the_panel_puts_it() {
    let bench = Bench::new();
    let admin = bench.running.admin();
    let fields = [("func", "auth"), ("out", "xml"), ("username", &*admin.name), ("password", &*admin.password)];
    for (manner, has_attribute, has_text) in
        [(SessionAs::Both, true, true), (SessionAs::Attribute, true, false), (SessionAs::Text, false, true)]
    {
        bench.panel().tune(|knobs| knobs.manners.session = manner);

        let doc = document(&bench.send(&fields).await.unwrap());

        let auth = doc.child("auth").unwrap();
        assert_eq!((auth.attribute("id").is_some(), !auth.text.is_empty()), (has_attribute, has_text), "{auth:?}");
        assert_eq!(auth.attribute("level"), Some("29"));
    }
}

#[tokio::test]
async fn an_error_looks_like_the_sample() {
    let bench = Bench::new();

    let doc = bench.call("server.edit", &[("elid", "99")]).await;

    assert_like(
        r#"<doc>
          <error type="missed" object="server" lang="en" report="no">
            <param name="object" type="msg" msg="There is no server '99'">server</param>
            <param name="value">99</param>
            <stack><action level="29" user="whmcs">server.edit</action></stack>
            <group>__missed__</group>
            <msg>There is no server '99'</msg>
          </error>
        </doc>"#,
        &doc,
    );
}

#[tokio::test]
async fn reports_hold_their_rows_at_any_depth_and_in_both_units() {
    let bench = Bench::new();
    for (deep, exact) in [(false, true), (true, false)] {
        bench.panel().tune(|knobs| (knobs.manners.deep_reports, knobs.manners.exact_volumes) = (deep, exact));

        let report = bench.call("traffic", &[("sok", "ok"), ("period", "currentmonth")]).await;

        let mut holder = report.child("reportdata").unwrap();
        if deep {
            holder = holder.child("report").and_then(|report| report.child("rows")).unwrap();
        }
        let row = row(holder, "41");
        let rx = row.child("rx").unwrap();
        assert_eq!(rx.text, "20.50");
        assert_eq!(rx.attribute("orig"), exact.then_some("22011707392"));
        assert_eq!(bench.panel().volume(41), 66_035_122_176);
    }
    let burst = bench.call("trafficburstable", &[]).await;
    assert_eq!(
        row(
            burst
                .child("reportdata")
                .and_then(|data| data.child("report"))
                .and_then(|report| report.child("rows"))
                .unwrap(),
            "41"
        )
        .of("burst"),
        "41.5"
    );
    bench.assert_clean();
}

/// The sample of a whole order: each request passes, and the machine ends with the client.
#[tokio::test]
async fn the_samples_of_requests_pass() {
    let bench = Bench::new();
    let session = bench.session("whmcs", "whmcs-pass-7d1c").await;
    let call = async |func: &str, fields: &[(&str, &str)]| {
        let doc = bench.call_as(("auth", &session), func, fields).await;
        assert!(doc.child("error").is_none(), "{func}: {doc:?}");
        doc
    };
    let write = async |owner: &str| {
        let fields = [
            ("elid", "42"),
            ("sok", "ok"),
            ("mac", "52:54:00:aa:00:2a"),
            ("name", "R2U14"),
            ("notes", "[svc:1007 op:9f3c]"),
            ("type", "7"),
            ("owner", owner),
        ];
        call("server.edit", &fields).await
    };
    let domain = ("domain", "svc1007.example.net");

    call("user", &[]).await;
    let client = call("user.edit", ACCOUNT).await.of("id").to_owned();
    call("server", &[("filter", "off")]).await;
    call("server.edit", &[("elid", "42")]).await;
    write("5").await;
    let form = call("server.edit", &[("elid", "42")]).await;
    assert_eq!((form.of("owner"), form.of("notes")), ("5", "[svc:1007 op:9f3c]"));
    call("server.enable", &[("elid", "42")]).await;
    call("server.poweron", &[("elid", "42")]).await;
    bench.pass(20_000);
    let addresses = call("iplist", &[("elid", "42")]).await;
    let main = addresses.children.iter().find(|row| row.of("ip") == "192.0.2.42").unwrap().of("id").to_owned();
    call("iplist.edit", &[("elid", &main), ("plid", "42"), ("sok", "ok"), domain]).await;
    let address = [("plid", "42"), ("sok", "ok"), ("family", "ipv4"), ("iptype", "public"), ("ip", ""), domain];
    let added = call("iplist.edit", &address).await.of("ip").to_owned();
    call("server.operations", INSTALL).await;
    bench.pass(905_000);
    write(&client).await;

    let sold = bench.panel().sold().pop().unwrap();
    assert_eq!((sold.id, sold.owner.as_deref(), &*sold.hostname), (42, Some("acme01"), "svc1007.example.net"));
    assert_eq!((sold.system.as_deref(), sold.root_password.as_deref()), (Some(DEBIAN), Some("Root-pass-1")));
    assert_eq!(sold.configured, ["192.0.2.42", &added]);
    bench.assert_clean();
}
