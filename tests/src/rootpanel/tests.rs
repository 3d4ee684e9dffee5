use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::panel::client::{self, Reply};

const FORM: &str = "content-type: application/x-www-form-urlencoded";

/// A panel, its clock, and a client that does everything right unless told otherwise.
struct Bench {
    running: Running,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::default();
        let mut config = Config::at(&clock);
        change(&mut config);
        Self { running: RootPanel::start(config).unwrap(), clock }
    }

    fn panel(&self) -> &Panel {
        self.running.panel()
    }

    fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    async fn send(&self, fields: &[(&str, &str)]) -> io::Result<Reply> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish();
        client::send(self.running.address(), "POST", "/apih.php", &[FORM], &body).await
    }

    async fn try_call(&self, command: &str, fields: &[(&str, &str)]) -> io::Result<Reply> {
        let user = self.running.user();
        let mut all =
            vec![("command", command), ("login", user.login.as_str()), ("apikey", user.apikey.as_str()), ("json", "1")];
        all.extend(fields);
        self.send(&all).await
    }

    async fn call(&self, command: &str, fields: &[(&str, &str)]) -> Value {
        let reply = self.try_call(command, fields).await.unwrap();
        assert_eq!(reply.status, 200, "{command}");
        reply.json()
    }

    async fn on(&self, command: &str, id: u64, fields: &[(&str, &str)]) -> Value {
        let id = id.to_string();
        let mut all = vec![("orderid", id.as_str())];
        all.extend(fields);
        self.call(command, &all).await
    }

    async fn ordered(&self) -> u64 {
        id(&self.call("createOrder", ORDER).await)
    }

    /// An order whose machine is there.
    async fn installed(&self) -> u64 {
        let id = self.ordered().await;
        self.pass(62_000);
        id
    }

    fn order(&self) -> OrderView {
        self.panel().orders().pop().unwrap()
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.panel().violations(), Vec::<String>::new());
        assert_eq!(self.panel().check(), Vec::<String>::new());
    }
}

const ORDER: &[(&str, &str)] = &[("vid", "vds"), ("tarifid", "12"), ("period", "1"), ("addons", "7")];

fn id(answer: &Value) -> u64 {
    answer["orderid"].as_str().unwrap_or_else(|| panic!("no orderid in {answer}")).parse().unwrap()
}

fn code(answer: &Value) -> u16 {
    answer["errorCode"].as_str().map_or(0, |code| code.parse().unwrap())
}

/// Refused with this code, or done when it is 0.
#[track_caller]
fn assert_code(answer: &Value, expected: u16) {
    assert_eq!(code(answer), expected, "{answer}");
    let status = if expected == 0 || expected == 30 || expected == 31 { "SUCCESS" } else { "ERROR" };
    assert_eq!(answer["status"], status, "{answer}");
}

#[tokio::test]
async fn an_order_walks_from_new_over_in_process_to_active() {
    let bench = Bench::new();

    let made = bench
        .call(
            "createOrder",
            &[
                ("vid", "vds"),
                ("tarifid", "12"),
                ("locationid", "3"),
                ("period", "12"),
                ("addons", "7,9"),
                ("autorenew", "0"),
            ],
        )
        .await;

    // 12 x (9.99 + 2.00) less 10 %.
    assert_eq!((&made["cost"], &made["balance"]), (&json!("129.49"), &json!("370.51")));
    assert_eq!(made["addons"], "7,9");
    assert!(made["serverpassword"].is_string());
    let id = id(&made).to_string();
    let mut seen = Vec::new();
    for wait_ms in [0, 2_000, 60_000] {
        bench.pass(wait_ms);
        let row = bench.call("getOrders", &[("orderid", &id)]).await["orders"][0].clone();
        seen.push((row["status"].clone(), row["todate"].clone(), row["serverpassword"] == made["serverpassword"]));
    }
    assert_eq!(
        seen,
        [(json!("0"), json!(""), false), (json!("3"), json!(""), false), (json!("1"), json!("2027-01-15"), true)]
    );
    assert_eq!(bench.panel().count_effects(|effect| matches!(effect, Effect::Ordered(_))), 1);
    assert_eq!(bench.panel().charges().len(), 1);
    bench.assert_clean();
}

#[tokio::test]
async fn both_formats_carry_one_tree_in_every_manner() {
    let bench = Bench::new();
    let id = bench.installed().await;
    let user = bench.running.user().clone();
    let php = [("command", "getBalance"), ("login", user.login.as_str()), ("apikey", user.apikey.as_str())];
    let text = String::from_utf8(bench.send(&php).await.unwrap().body).unwrap();
    assert_eq!(text, r#"a:3:{s:6:"status";s:7:"SUCCESS";s:7:"balance";s:6:"490.51";s:8:"currency";s:3:"EUR";}"#);

    bench.panel().tune(|knobs| knobs.manners.scalars = Scalars::Numbers);
    assert_eq!(bench.call("getBalance", &[]).await["balance"], json!(490.51));
    bench.panel().tune(|knobs| knobs.manners.keyed_lists = true);
    let keyed = bench.call("getOrders", &[]).await;
    assert_eq!(keyed["orders"][id.to_string()]["tarifid"], json!(12));
    assert_eq!(keyed["orders"][id.to_string()]["extraips"], json!([]));
    for (dates, expected) in [
        (Dates::IsoTime, json!("2026-01-15 12:01:02")),
        (Dates::Dotted, json!("15.01.2026")),
        (Dates::Unix, json!(1_768_478_462)),
    ] {
        bench.panel().tune(|knobs| knobs.manners.dates = dates);
        let shown = bench.call("getOrders", &[]).await["orders"][id.to_string()]["startdate"].clone();
        assert_eq!(shown, expected);
    }
    bench.panel().tune(|knobs| knobs.manners.is_wrapped = true);
    let wrapped = bench.try_call("getBalance", &[]).await.unwrap().body;
    assert!(wrapped.starts_with(b"\xef\xbb\xbf{") && wrapped.ends_with(b"}\n"));
    bench.assert_clean();
}

#[tokio::test]
async fn credentials_are_told_apart_as_the_contract_does() {
    let bench = Bench::with(|config| {
        config.users.push(User { api_on: false, ..User::named("off") });
        config.users.push(User { address_allowed: false, ..User::named("elsewhere") });
    });
    let user = bench.running.user();
    let (login, pass, key) = (user.login.as_str(), user.pass.as_str(), user.apikey.as_str());
    let cases: [(&[(&str, &str)], u16, bool); 11] = [
        (&[("login", login), ("pass", pass)], 0, false),
        (&[("login", login), ("apikey", key)], 0, false),
        (&[("login", login), ("pass", pass), ("apikey", key)], 9, true),
        (&[("login", login)], 6, true),
        (&[("pass", pass)], 3, true),
        (&[("login", "nobody"), ("pass", pass)], 4, false),
        (&[("login", "off"), ("pass", "off-pass-7d1c")], 5, false),
        (&[("login", "elsewhere"), ("pass", "elsewhere-pass-7d1c")], 54, false),
        (&[("login", login), ("pass", "wrong")], 7, false),
        (&[("login", login), ("apikey", pass)], 7, false),
        (&[("login", "test"), ("pass", "test")], 0, false),
    ];
    for (credentials, expected, is_bug) in cases {
        let before = bench.panel().violations().len();
        let mut fields = vec![("command", "getBalance"), ("json", "1")];
        fields.extend(credentials);

        let answer = bench.send(&fields).await.unwrap().json();

        assert_code(&answer, expected);
        assert_eq!(bench.panel().violations().len() > before, is_bug, "{credentials:?}");
        assert_eq!(bench.panel().ledger().pop().unwrap().is_authentic, expected == 0, "{credentials:?}");
    }
}

#[tokio::test]
async fn a_careless_request_is_remembered_and_answered_as_php_would() {
    let bench = Bench::new();
    let id = bench.installed().await.to_string();
    let cases: [(&str, &[(&str, &str)], u16); 16] = [
        ("unsuspendOrder", &[("orderid", &id)], 8),
        ("restartOrder", &[("orderid", &id)], 8),
        ("", &[], 8),
        ("suspendOrder", &[], 18),
        ("suspendOrder", &[("orderid", "")], 18),
        ("suspendOrder", &[("OrderId", &id)], 18),
        ("renewOrder", &[("orderid", &id)], 15),
        ("createOrder", &[("vid", "vds"), ("period", "1")], 11),
        ("createOrder", &[("tarifid", "12"), ("period", "1")], 24),
        ("getTarifs", &[("vid", "hosting")], 24),
        ("addonsOrder", &[("orderid", &id)], 52),
        ("reinstallOrder", &[("orderid", &id)], 48),
        ("addonsOrder", &[("orderid", &id), ("addons", "9, 9,")], 17),
        ("getBalance", &[("colour", "red")], 0),
        ("getOrders", &[("orderid", "007")], 19),
        ("getBalance", &[("json", "true")], 0),
    ];
    for (command, fields, expected) in cases {
        let before = bench.panel().violations().len();

        let reply = bench.try_call(command, fields).await.unwrap();

        if let Ok(answer) = serde_json::from_slice::<Value>(&reply.body) {
            assert_code(&answer, expected);
        }
        assert!(bench.panel().violations().len() > before, "{command} {fields:?}");
    }
    assert_eq!(bench.order().renewals + bench.order().addon_orders, 0);
}

#[tokio::test]
async fn only_a_form_in_the_body_is_without_reproach() {
    let bench = Bench::new();
    let user = bench.running.user();
    let form = format!("command=getBalance&login={}&pass={}&json=1", user.login, user.pass);
    let at = bench.running.address();
    let cases: [(&str, String, &[&str], &str, bool, bool); 4] = [
        ("POST", "/apih.php".into(), &[FORM], &form, true, false),
        ("GET", format!("/apih.php?{form}"), &[], "", true, true),
        ("POST", "/apih.php".into(), &[], &form, false, true),
        ("POST", format!("/apih.php?{form}"), &[FORM], "", true, true),
    ];
    for (method, path, headers, body, is_read, is_bug) in cases {
        let before = bench.panel().violations().len();

        let reply = client::send(at, method, &path, headers, body).await.unwrap();

        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(text.contains("SUCCESS"), is_read, "{method} {path} {text}");
        assert_eq!(bench.panel().violations().len() > before, is_bug, "{method} {path}");
    }
    let lost = client::send(at, "POST", "/api.php", &[FORM], &form).await.unwrap();
    assert_eq!((lost.status, lost.head.contains("text/html")), (404, true));
}

#[tokio::test]
async fn what_cannot_be_ordered_is_refused_with_its_code() {
    let bench = Bench::new();
    let cases: [(&[(&str, &str)], u16); 17] = [
        (&[("tarifid", "99"), ("period", "1")], 12),
        (&[("tarifid", "12"), ("period", "2"), ("addons", "7")], 16),
        (&[("tarifid", "12"), ("period", "1")], 29),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "99")], 17),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7,21")], 17),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7,10,10")], 28),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7,8")], 28),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7,10,15")], 51),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7,11")], 47),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7"), ("locationid", "9")], 40),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7"), ("locationid", "4")], 50),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7"), ("autorenew", "1")], 42),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "7"), ("autorenew", "1"), ("autorenewperiod", "12")], 43),
        (&[("tarifid", "13"), ("period", "1"), ("addons", "17")], 13),
        (&[("tarifid", "13"), ("period", "1"), ("addons", "17"), ("domain", "a.example")], 0),
        (&[("tarifid", "13"), ("period", "1"), ("addons", "17"), ("domain", "a.example")], 14),
        (&[("tarifid", "12"), ("period", "1"), ("addons", "8,11")], 0),
    ];
    for (fields, expected) in cases {
        let mut all = vec![("vid", "vds")];
        all.extend(fields);
        assert_code(&bench.call("createOrder", &all).await, expected);
    }
    let promo: &[(&str, &str)] = &[("vid", "vds"), ("tarifid", "14"), ("period", "1")];
    assert_code(&bench.call("createOrder", promo).await, 0);
    assert_code(&bench.call("createOrder", promo).await, 27);
    assert_eq!(bench.panel().orders().len(), 3);
    assert_eq!(bench.panel().violations(), Vec::<String>::new());
}

#[tokio::test]
async fn an_order_without_money_waits_for_it_and_takes_no_second_one() {
    let bench = Bench::with(|config| config.users[0].balance = Money::cents(900));

    let made = bench.call("createOrder", ORDER).await;

    assert_code(&made, 31);
    assert!(made.get("serverpassword").is_none());
    let id = id(&made);
    bench.pass(86_400_000);
    assert_eq!((bench.order().status, bench.order().unpaid), (0, Money::cents(949)));
    assert_code(&bench.on("renewOrder", id, &[("period", "1")]).await, 20);
    assert_code(&bench.on("suspendOrder", id, &[]).await, 20);
    assert!(bench.panel().charges().is_empty());

    bench.panel().top_up("reseller", Money::cents(100));
    bench.pass(62_000);
    assert_eq!((bench.order().status, bench.order().unpaid), (1, Money::ZERO));
    assert_eq!(bench.panel().balance("reseller"), Money::cents(51));
    bench.assert_clean();
}

#[tokio::test]
async fn an_order_that_staff_handle_waits_for_them() {
    let bench = Bench::new();
    bench.panel().tune(|knobs| {
        knobs.by_hand = true;
        knobs.names_put_off_orders = false;
        knobs.lists_put_off_orders = false;
    });

    let made = bench.call("createOrder", ORDER).await;

    assert_code(&made, 30);
    assert!(made.get("orderid").is_none() && made.get("serverlogin").is_none());
    assert_eq!(bench.panel().charges().len(), 1, "it is paid all the same");
    assert_code(&bench.call("getOrders", &[]).await, 26);
    let id = bench.order().id;
    bench.panel().handle(id);
    bench.pass(62_000);
    assert_code(&bench.on("getOrders", id, &[]).await, 0);
    assert_eq!(bench.order().status, 1);
    bench.assert_clean();
}

#[tokio::test]
async fn a_renewal_moves_the_end_and_is_paid_once() {
    let bench = Bench::new();
    let id = bench.installed().await;
    let before = bench.order().paid_until.unwrap();

    let done = bench.on("renewOrder", id, &[("period", "3")]).await;
    assert_code(&bench.on("renewOrder", id, &[("period", "12")]).await, 16);

    // 3 x 9.49 less 5 %.
    assert_eq!((&done["cost"], &done["period"]), (&json!("27.05"), &json!("3")));
    assert_eq!(bench.order().paid_until.unwrap() - before, (28 + 31 + 30) * 86_400_000);
    assert_eq!(bench.panel().balance("reseller"), Money::cents(50_000 - 949 - 2_705));
    bench.assert_clean();

    bench.on("renewOrder", id, &[("period", "1")]).await;
    assert_eq!(bench.panel().check().len(), 1);
    bench.panel().expect_renewals(id, 2);
    bench.assert_clean();
}

#[tokio::test]
async fn add_ons_cost_what_is_left_of_the_paid_time() {
    let bench = Bench::new();
    let id = bench.installed().await;
    bench.pass(16 * 86_400_000);

    let done = bench.on("addonsOrder", id, &[("addons", "9,9,21")]).await;

    // 15 whole days are left: half of 2 x 2.00 + 1.25, half a cent up.
    assert_eq!((&done["cost"], &done["addons"]), (&json!("2.63"), &json!("9,9,21")));
    assert_eq!(bench.order().addons, [7, 9, 9, 21]);
    assert_eq!(bench.order().addresses.len(), 3);
    assert_code(&bench.on("addonsOrder", id, &[("addons", "21,21,21,21")]).await, 28);
    bench.assert_clean();
}

#[tokio::test]
async fn suspending_is_told_from_being_suspended() {
    let bench = Bench::new();
    let id = bench.ordered().await;
    assert_code(&bench.on("suspendOrder", id, &[]).await, 20);
    bench.pass(2_000);
    assert_code(&bench.on("suspendOrder", id, &[]).await, 44);
    bench.pass(60_000);

    for (command, expected, status) in [
        ("unSuspendOrder", 22, 1),
        ("suspendOrder", 0, 2),
        ("suspendOrder", 21, 2),
        ("startServer", 21, 2),
        ("unSuspendOrder", 0, 1),
        ("shutdownServer", 0, 1),
        ("rebootServer", 55, 1),
        ("startServer", 0, 1),
        ("rebootServer", 0, 1),
        ("resetServer", 0, 1),
        ("getVnc", 0, 1),
    ] {
        assert_code(&bench.on(command, id, &[]).await, expected);
        assert_eq!(bench.order().status, status, "{command}");
    }

    // The paid month and the grace are over.
    bench.pass(35 * 86_400_000);
    assert_eq!(bench.order().status, 2);
    let row = bench.on("getOrders", id, &[]).await["orders"][0].clone();
    assert_eq!(row["leftdays"], "-4");
    for (command, expected) in [("unSuspendOrder", 53), ("startServer", 23), ("getVnc", 23), ("suspendOrder", 21)] {
        assert_code(&bench.on(command, id, &[]).await, expected);
    }
    assert_code(&bench.on("renewOrder", id, &[("period", "1")]).await, 0);
    assert_eq!(bench.order().status, 1);
    bench.assert_clean();
}

#[tokio::test]
async fn a_reinstall_takes_its_time_and_changes_the_password_at_once() {
    let bench = Bench::new();
    let id = bench.installed().await;
    let old = bench.order().password;

    let done = bench.on("reinstallOrder", id, &[("osid", "8"), ("panelid", "11")]).await;

    assert_eq!(done["serverpassword"], bench.order().password);
    assert_ne!(bench.order().password, old);
    assert_eq!(bench.order().status, 3);
    assert_code(&bench.on("reinstallOrder", id, &[("osid", "8")]).await, 44);
    bench.pass(60_000);
    assert_eq!(bench.order().status, 1);
    for (fields, expected) in [
        (&[("osid", "9")][..], 48),
        (&[("osid", "8"), ("panelid", "9")], 49),
        (&[("osid", "7"), ("panelid", "11")], 47),
    ] {
        assert_code(&bench.on("reinstallOrder", id, fields).await, expected);
    }
    bench.panel().tune(|knobs| knobs.demands_panel = true);
    assert_code(&bench.on("reinstallOrder", id, &[("osid", "7")]).await, 49);
    assert!(bench.panel().secrets().contains(&old));
    bench.assert_clean();
}

#[tokio::test]
async fn another_user_s_orders_are_not_there() {
    let bench = Bench::new();
    let seed = OrderSeed { login: "neighbour".into(), plan_id: 12, ours: false };
    let theirs = bench.panel().seed_order(seed);

    assert_code(&bench.call("getOrders", &[]).await, 26);
    for command in ["getOrders", "suspendOrder", "getVnc"] {
        assert_code(&bench.on(command, theirs, &[]).await, 19);
    }

    bench.assert_clean();
}

#[tokio::test]
async fn the_books_are_kept_in_the_user_s_currency() {
    let bench = Bench::with(|config| {
        config.users[0].currency = "USD".into();
        config.users[0].rate = 110;
    });

    let made = bench.call("createOrder", ORDER).await;

    assert_eq!((&made["cost"], &made["currency"]), (&json!("10.44"), &json!("USD")));
    assert_eq!(bench.call("getTarifs", &[("vid", "vds")]).await["tarifs"][0]["currency"], "EUR");
    bench.assert_clean();
}

#[tokio::test]
async fn the_account_for_trying_out_does_nothing() {
    let bench = Bench::new();
    let common = [("login", "test"), ("pass", "test"), ("json", "1")];
    let call = async |command, fields: &[(&'static str, &'static str)]| {
        let mut all = vec![("command", command)];
        all.extend(common);
        all.extend(fields);
        bench.send(&all).await.unwrap().json()
    };

    assert_code(&call("createOrder", ORDER).await, 0);
    assert_code(&call("getOrders", &[]).await, 26);
    assert_code(&call("suspendOrder", &[("orderid", "1")]).await, 0);

    assert!(bench.panel().orders().is_empty());
    assert_eq!(bench.panel().count_effects(|effect| effect != Effect::None), 0);
    bench.assert_clean();
}

#[tokio::test]
async fn every_fault_has_its_effect_when_it_says() {
    for fault in RootPanel::FAULTS.iter().filter(|fault| !matches!(fault, Fault::Hang { .. })) {
        let name = fault.name();
        for php in [false, true] {
            let bench = Bench::new();
            bench.panel().arm(Plan::on("POST", "createOrder", *fault));
            let user = bench.running.user();
            let mut fields = vec![("command", "createOrder"), ("login", &user.login), ("pass", &user.pass)];
            fields.extend(ORDER);
            if !php {
                fields.push(("json", "1"));
            }

            let reply = bench.send(&fields).await;

            let made = bench.panel().orders().len();
            assert_eq!(made, usize::from(fault.effect() == EffectTiming::Done), "{name}");
            let usable = reply.as_ref().is_ok_and(|reply| {
                let text = String::from_utf8_lossy(&reply.body);
                reply.status == 200 && text.contains("SUCCESS") && text.contains("50123")
            });
            assert_eq!(usable, name == "bom_and_line_break", "{name} gave a usable answer");
            assert_eq!(bench.panel().ledger().pop().unwrap().fault, Some(name));
            bench.pass(5_000);
            let made = bench.panel().orders().len();
            assert_eq!(made, usize::from(fault.effect() != EffectTiming::Never), "{name} later");
            assert_eq!(bench.panel().charges().len(), made, "{name}");
            assert_eq!(bench.panel().unfired(), 0);
            bench.assert_clean();
        }
    }
}

#[tokio::test]
async fn a_code_is_sent_in_the_form_that_was_asked_for() {
    let bench = Bench::new();
    let user = bench.running.user();
    let fault = RootPanel::FAULTS.iter().find(|fault| fault.name() == "code_55_before_effect").unwrap();
    bench.panel().arm(Plan::nth_call(1, *fault).repeat(2));

    let json = bench.call("getBalance", &[]).await;
    let php = bench.send(&[("command", "getBalance"), ("login", &user.login), ("pass", &user.pass)]).await.unwrap();

    assert_code(&json, 55);
    assert!(php.body.starts_with(br#"a:3:{s:6:"status";s:5:"ERROR";s:9:"errorCode";s:2:"55";"#));
}

#[tokio::test]
async fn a_double_order_is_found_unless_it_was_expected() {
    let bench = Bench::new();
    for _ in 0..2 {
        bench.ordered().await;
    }

    assert_eq!(bench.panel().check().len(), 1);
    bench.panel().expect_orders("reseller", 2);
    bench.assert_clean();
}

#[tokio::test]
async fn an_order_that_renews_itself_and_a_stranger_s_order_are_found() {
    let bench = Bench::new();
    let seed = OrderSeed { login: "reseller".into(), plan_id: 12, ours: false };
    let theirs = bench.panel().seed_order(seed);
    bench.assert_clean();

    let mut order = ORDER.to_vec();
    order.extend([("autorenew", "1"), ("autorenewperiod", "1")]);
    assert_code(&bench.call("createOrder", &order).await, 0);
    bench.on("suspendOrder", theirs, &[]).await;

    let broken = bench.panel().check();
    assert_eq!(broken.len(), 2, "{broken:?}");
}

#[tokio::test]
async fn every_secret_of_an_answer_is_known() {
    let bench = Bench::new();
    let id = bench.installed().await;
    let vnc = bench.on("getVnc", id, &[]).await;
    let row = bench.on("getOrders", id, &[]).await["orders"][0].clone();

    for secret in [&vnc["wss_url"], &vnc["password"], &row["serverpassword"]] {
        assert!(bench.panel().secrets().contains(&secret.as_str().unwrap().to_owned()), "{secret}");
    }
    assert!(bench.panel().secrets().contains(&bench.running.user().apikey));
}

#[tokio::test]
async fn the_side_door_shows_orders_and_brings_money() {
    let bench = Bench::with(|config| {
        config.control = true;
        config.users[0].balance = Money::ZERO;
    });
    let at = bench.running.address();
    bench.ordered().await;

    let money = json!({ "login": "reseller", "amount": "20.00" }).to_string();
    let paid = client::send(at, "POST", "/_panel/top_up", &[], &money).await.unwrap();
    let orders = client::send(at, "GET", "/_panel/orders", &[], "").await.unwrap().json();

    assert_eq!(paid.status, 200);
    assert_eq!(orders[0]["unpaid"], "0.00");
    assert_eq!(bench.panel().balance("reseller"), Money::cents(1_051));
    assert_eq!(bench.panel().ledger().len(), 1);
}
