//! The contract's samples, replayed: each request is read as it is meant, and each answer is what the panel writes.

use super::*;

/// The contract's pair of messages of this name; `None` where the contracts are not at hand.
fn sample(name: &str) -> Option<(String, String)> {
    let folder = crate::outside::contracts()?.join("apiscp/samples");
    let read = |kind: &str| {
        let path = folder.join(format!("{name}.{kind}.xml"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    Some((read("request"), read("response")))
}

/// A document without prefixes: types by their meaning, attributes in order.
#[derive(Debug, PartialEq)]
struct Plain {
    name: (String, String),
    attributes: Vec<((String, String), String)>,
    text: String,
    children: Vec<Plain>,
}

impl Plain {
    fn of(text: &str) -> Self {
        Self::node(&Node::parse(text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    fn node(node: &Node) -> Self {
        let attributes = node.attributes.iter().map(|(name, value)| {
            let is_type = matches!(name.1.as_str(), "type" | "arrayType");
            let value = match (is_type, value.split_once('[')) {
                (true, Some((kind, rest))) => format!("{:?}[{rest}", node.meaning(kind).unwrap()),
                (true, None) => format!("{:?}", node.meaning(value).unwrap()),
                (false, _) => value.clone(),
            };
            (name.clone(), value)
        });
        // A fault says nothing of how it is encoded in one server and does in another; it is not encoded.
        let attributes = attributes.filter(|(name, _)| name.1 != "encodingStyle").collect();
        let text = node.text.clone();
        Self { name: node.name.clone(), attributes, text, children: node.children.iter().map(Self::node).collect() }
    }
}

/// A panel with the samples' sites.
fn seeded() -> Bench {
    let bench = Bench::with(|config| config.plans.truncate(2));
    let ours = |seed: SiteSeed| SiteSeed { ours: true, ..seed };
    let first = SiteSeed { invoice: Some("BSM-1001".into()), ..SiteSeed::strange("a.example", "auser") };
    bench.panel().seed_site(ours(first));
    let second = SiteSeed::child("b.example", "buser", "BSM-1001");
    bench.panel().seed_site(SiteSeed { suspended: Some((0, String::new())), ..second });
    for (id, email, plan, ctime) in
        [(12, "x@example.org", "basic", 1_767_225_600), (13, "y@example.org", "pro", 1_767_312_000)]
    {
        bench.panel().set_value(id, "siteinfo.email", text(email));
        bench.panel().set_value(id, "siteinfo.plan", text(plan));
        bench.panel().set_value(id, "billing.ctime", Value::Int(ctime));
    }
    bench
}

/// Sends a request as it stands; gives the answer.
async fn replayed(bench: &Bench, name: &str, request: &str) -> String {
    let action = format!("soapaction: \"{ACTION}{name}\"");
    let key = format!("auth-key: {}", bench.running.key());
    let headers = ["content-type: text/xml; charset=utf-8", &*action, &*key, "abort-on: error"];
    let reply = bench.post("/soap", &headers, request).await.unwrap();
    String::from_utf8(reply.body).unwrap()
}

#[tokio::test]
async fn the_samples_requests_get_the_samples_answers() {
    for (sample_name, operation) in [
        ("collect_empty", "admin_collect"),
        ("delete_site_fault", "admin_delete_site"),
        ("list_plans", "admin_list_plans"),
        ("usage_bandwidth", "admin_get_usage"),
        ("usage_storage", "admin_get_usage"),
    ] {
        let Some((request, answer)) = sample(sample_name) else { return };
        let bench = seeded();

        let replied = replayed(&bench, operation, &request).await;

        assert_eq!(Plain::of(&replied), Plain::of(&answer), "{sample_name}");
        bench.assert_clean();
    }
}

#[tokio::test]
async fn the_sample_of_a_new_site_makes_one() {
    let Some((request, answer)) = sample("add_site") else { return };
    let bench = Bench::new();

    let replied = replayed(&bench, "admin_add_site", &request).await;

    assert_eq!(Plain::of(&replied), Plain::of(&answer));
    let site = &bench.panel().sites()[0];
    let made = (&*site.domain, &*site.user, &*site.email, &*site.plan, &*site.password, site.invoice.as_deref());
    assert_eq!(made, ("a.example", "auser", "x@example.org", "basic", "S3cret-p&w", Some("BSM-1001")));
    bench.assert_clean();
}

#[tokio::test]
async fn the_sample_of_a_session_opens_one() {
    let Some((request, answer)) = sample("hijack_ui") else { return };
    let bench = seeded();

    let replied = replayed(&bench, "admin_hijack", &request).await;

    let (ours, theirs) = (Plain::of(&replied), Plain::of(&answer));
    let returned = |plain: &Plain| plain.children[0].children[0].children[0].text.clone();
    assert_eq!((returned(&ours).len(), returned(&theirs).len()), (32, 32));
    assert_eq!(bench.panel().session(&returned(&ours)), Some(("site12".into(), "UI".into())));
}

#[tokio::test]
async fn the_sample_rows_are_written_like_ours() {
    let Some((request, answer)) = sample("collect_by_invoice") else { return };
    let bench = seeded();

    // By the text of the contract a query for an invoice finds its master alone; the sample shows its child as well.
    let master = replayed(&bench, "admin_collect", &request).await;
    let of_parent = request.replace("billing.invoice</key>", "billing.parent_invoice</key>");
    let children = replayed(&bench, "admin_collect", &of_parent).await;

    let rows = |text: &str| {
        let mut plain = Plain::of(text);
        plain.children.remove(0).children.remove(0).children.remove(0).children
    };
    let mut ours = rows(&master);
    ours.extend(rows(&children));
    assert_eq!(ours, rows(&answer));
}

#[tokio::test]
async fn the_samples_of_odd_answers_are_what_faults_send() {
    for (sample_name, operation, fault) in [
        ("activate_site_null", "admin_activate_site", "null_before_effect"),
        ("edit_site_returns_false", "admin_edit_site", "false_before_effect"),
    ] {
        let Some((request, answer)) = sample(sample_name) else { return };
        let bench = seeded();
        let fault = ApisCp::FAULTS.iter().find(|known| known.name() == fault).unwrap();
        bench.panel().arm(Plan::on("POST", operation, *fault));

        let replied = replayed(&bench, operation, &request).await;

        assert_eq!(Plain::of(&replied), Plain::of(&answer), "{sample_name}");
        bench.assert_clean();
    }
}
