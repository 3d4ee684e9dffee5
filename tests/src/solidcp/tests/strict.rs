//! What the panel takes for a bug of its client, and how it breaks.

use super::*;
use crate::panel::World as _;
use crate::solidcp::{Customer, Effect};

#[tokio::test]
async fn credentials_are_read_with_the_servers_carelessness() {
    let bench = Bench::with(|config| {
        config.accounts[1].password = "pa:ss".into();
        config.accounts[2].password = "gr\u{fc}n".into();
    });
    let sha1 = rules::digest;
    for (credentials, expected, is_bug) in [
        ("reseller:pa:ss".to_owned(), 401, true),
        (format!("reseller:{}", sha1("pa:ss")), 200, false),
        (format!("RESELLER:{}", sha1("pa:ss")), 200, false),
        ("neighbour:gr\u{fc}n".to_owned(), 401, false),
        (format!("neighbour:{}", sha1("gr\u{fc}n")), 200, false),
        ("reseller:".to_owned(), 401, false),
        ("nobody:x".to_owned(), 401, false),
        ("serveradmin:serveradmin-Pass-51c0".to_owned(), 200, false),
    ] {
        let before = bench.panel().violations().len();
        let body = envelope("UserExists", "<username>x</username>");

        let reply = bench.post("UserExists", &credentials, &body).await.unwrap();

        assert_eq!(reply.status, expected, "{credentials}");
        assert_eq!(bench.panel().violations().len() > before, is_bug, "{credentials}");
        if expected == 401 {
            assert!(reply.head.contains("www-authenticate: basic realm=\"solidcp enterprise server\""));
            assert_eq!(reply.body, b"401 Access Denied");
        }
        assert_eq!(bench.panel().ledger().last().unwrap().is_authentic, expected == 200);
    }
}

#[tokio::test]
async fn what_the_server_drops_or_fills_in_is_a_bug_of_the_client() {
    let bench = Bench::new();
    for (operation, parameters, expected) in [
        ("GetPackage", "<packageid>5</packageid>", "packageid is unknown, and dropped in silence"),
        ("GetPackage", "<packageid>5</packageid>", "packageId is missing, and read as nothing"),
        ("GetPackage", "<packageId>5</packageId><packageId>6</packageId>", "packageId was given twice"),
        ("GetPackage", "<packageId xmlns=\"\">5</packageId>", "packageId is unknown, and dropped in silence"),
        ("GetPackage", "5", "has text beside its members"),
        ("GetPackage", "<packageId>five</packageId>", "packageId is \"five\""),
        ("ChangePackageStatus", "<status>Active</status><packageId>5</packageId>", "packageId is out of order"),
        ("ChangePackageStatus", "<packageId>5</packageId><status>active</status>", "status is \"active\""),
        (
            "DeallocatePackageIPAddresses",
            "<packageId>5</packageId><addressId><string>1</string></addressId>",
            "is no int",
        ),
        (
            "GetVirtualMachines",
            &page(5, false).replace("<filterColumn />", "<filterColumn>x</filterColumn>"),
            "query unread",
        ),
        ("GetVirtualMachines", &page(5, false).replace(">100<", ">10<"), "pages overlap"),
        ("GetPackageIPAddresses", &addresses(1), "every address of the installation"),
        ("AddUser", &user("a").replace("<Role>User", "<Role>Reseller"), "RoleId and Role do not agree"),
        ("AddUser", &user(&"a".repeat(51)), "Username is longer than 50"),
        ("CreateNewVirtualMachine", &order(5, "a-label-that-is-too-long.example.test", 0), "1 to 15 characters"),
    ] {
        let before = bench.panel().violations().len();

        bench.try_call(operation, parameters).await.unwrap();

        let found = bench.panel().violations().split_off(before);
        assert!(found.iter().any(|text| text.contains(expected)), "{operation} {parameters}: {found:?}");
    }
    // Bugs are noted, and what can be understood is done, as the server does it: a name is cut, and a role that comes
    // last is the one that counts, which a reseller may not give.
    let made = bench.panel().made_users();
    assert_eq!(made.iter().map(|user| user.username.len()).collect::<Vec<_>>(), [50]);
}

#[tokio::test]
async fn a_request_of_another_shape_is_refused() {
    let bench = Bench::new();
    let good = envelope("GetPackage", "<packageId>5</packageId>");
    let basic = format!("authorization: Basic {}", BASE64_STANDARD.encode(bench.credentials()));
    let action = format!("soapaction: \"{NAMESPACE}/GetPackage\"");
    let xml = "content-type: text/xml; charset=utf-8";
    let wrong = format!("soapaction: \"{NAMESPACE}/GetPackages\"");
    let unquoted = format!("soapaction: {NAMESPACE}/GetPackage");
    let header = good.replace("<s:Body>", "<s:Header><Authentication xmlns=\"urn:x\"/></s:Header><s:Body>");
    let doctype = good.replace("<s:Env", "<!DOCTYPE a><s:Env");
    let cases: [(&str, &str, &[&str], &str, u16, bool); 12] = [
        ("POST", "/esPackages.asmx", &[xml, &action, &basic], &good, 200, false),
        ("POST", "/espackages.asmx", &[xml, &action, &basic], &good, 404, false),
        ("POST", "/esUsers.asmx", &[xml, &action, &basic], &good, 500, true),
        ("POST", "/esPackages.asmx", &[xml, &basic], &good, 500, true),
        ("POST", "/esPackages.asmx", &[xml, &unquoted, &basic], &good, 500, true),
        ("POST", "/esPackages.asmx", &[xml, &wrong, &basic], &good, 500, true),
        ("POST", "/esPackages.asmx", &[xml, &action], &good, 401, false),
        ("POST", "/esPackages.asmx", &[&action, &basic], &good, 415, true),
        ("POST", "/esPackages.asmx", &[xml, &action, &basic], &doctype, 500, true),
        ("POST", "/esPackages.asmx", &[xml, &action, &basic], &header, 200, true),
        ("GET", "/esPackages.asmx", &[&basic], "", 404, false),
        ("GET", "/esPackages.asmx?WSDL", &[], "", 200, false),
    ];
    for (method, path, headers, body, expected, is_bug) in cases {
        let before = bench.panel().violations().len();

        let reply = client::send(bench.running.address(), method, path, headers, body).await.unwrap();

        assert_eq!(reply.status, expected, "{method} {path} {headers:?}");
        assert_eq!(bench.panel().violations().len() > before, is_bug, "{method} {path} {headers:?}");
    }
}

#[tokio::test]
async fn soap_1_2_is_answered_in_kind() {
    let bench = Bench::new();
    let kind = format!("content-type: application/soap+xml; charset=utf-8; action=\"{NAMESPACE}/UserExists\"");
    let basic = format!("authorization: Basic {}", BASE64_STANDARD.encode(bench.credentials()));
    let body = envelope("UserExists", "<username>x</username>").replace(write::SOAP_1_1, write::SOAP_1_2);

    let reply = client::send(bench.running.address(), "POST", "/esUsers.asmx", &[&kind, &basic], &body).await.unwrap();

    assert_eq!(reply.status, 200);
    assert_eq!(xml::read(&reply.body).unwrap().space, write::SOAP_1_2);
    bench.assert_clean();
}

#[tokio::test]
async fn manners_change_the_letters_and_not_the_meaning() {
    let bench = Bench::with(|config| {
        config.knobs.manners = Manners { is_prefixed: true, says_nil: true, reply_headers: false, has_zones: false };
    });
    let (user, space, _) = bench.machine().await;

    let found = bench.call("GetMyPackages", &format!("<userId>{user}</userId>")).await.unwrap();
    assert_eq!(text(&found.children[0], "PackageId"), space.to_string());
    assert!(found.children[0].child(NAMESPACE, "PackageComments").unwrap().is_nil());
    let none = bench.call("GetUserByUsername", "<username>nobody</username>").await.unwrap();
    assert!(none.is_nil());
    bench.assert_clean();
}

#[tokio::test]
async fn a_description_tells_the_version() {
    for (version, path, words) in [
        (
            Version::V1_4_9,
            "/esVirtualizationServer2012.asmx?WSDL",
            [("dmzAddressesNumber", false), ("osTemplateFile", true)],
        ),
        (
            Version::V1_5_0,
            "/esVirtualizationServer2012.asmx?WSDL",
            [("dmzAddressesNumber", true), ("osTemplateFile", true)],
        ),
        (
            Version::V1_5_1,
            "/esServers.asmx?WSDL",
            [("GetSystemMemoryInfoPackageId", false), ("GetMemoryPackageId", true)],
        ),
        (
            Version::V1_5_2,
            "/esServers.asmx?WSDL",
            [("GetSystemMemoryInfoPackageId", true), ("GetMemoryPackageId", false)],
        ),
        (Version::V2_0, "/esUsers?wsdl", [("UserExists", true), ("enterpriseserver/\"", true)]),
    ] {
        let bench = Bench::with(|config| config.version = version);

        let reply = client::send(bench.running.address(), "GET", path, &[], "").await.unwrap();

        assert_eq!(reply.status, 200);
        let text = String::from_utf8(reply.body).unwrap();
        assert!(xml::read(text.as_bytes()).is_ok());
        for (word, is_there) in words {
            assert_eq!(text.contains(word), is_there, "{version:?} {path} {word}");
        }
    }
}

#[tokio::test]
async fn version_2_is_another_protocol_at_other_addresses() {
    let bench = Bench::with(|config| config.version = Version::V2_0);
    let body = envelope("UserExists", "<username>x</username>");

    assert_eq!(bench.post("UserExists", &bench.credentials(), &body).await.unwrap().status, 404);
    let headers =
        ["content-type: text/xml", "soapaction: \"http://smbsaas/solidcp/enterpriseserver/IesUsers/UserExists\""];
    let reply = client::send(bench.running.address(), "POST", "/basic/esUsers", &headers, &body).await.unwrap();
    assert_eq!(reply.status, 500);
    assert!(String::from_utf8(reply.body).unwrap().contains("No anonymous access allowed."));
}

#[tokio::test]
async fn every_fault_breaks_the_answer_and_keeps_to_its_word_on_the_effect() {
    for fault in SolidCp::FAULTS.iter().filter(|fault| !matches!(fault, Fault::Hang { .. })) {
        let bench = Bench::new();
        bench.panel().arm(Plan::on("POST", "AddUser", *fault));

        let reply = bench.try_call("AddUser", &user("svc1007")).await;

        let is_whole = reply.is_ok_and(|reply| {
            let answer = reply.status == 200 && xml::read(&reply.body).is_ok();
            answer && String::from_utf8_lossy(&reply.body).contains("AddUserResult>66<")
        });
        // An answer in the other SOAP's envelope is whole, and not one to believe.
        assert_eq!(is_whole, fault.name() == "other_envelope", "{}", fault.name());
        bench.pass(6_000);
        let expected = usize::from(fault.effect() != EffectTiming::Never);
        assert_eq!(bench.panel().made_users().len(), expected, "{}", fault.name());
        assert_eq!(bench.panel().unfired(), 0);
        bench.assert_clean();
    }
}

#[tokio::test]
async fn what_must_never_happen_is_reported() {
    let bench = Bench::new();
    let seed = |name: &str, ours| Customer {
        username: name.into(),
        owner_id: 2,
        plan_id: Some(11),
        space_name: "svc-1".into(),
        machine: Some(format!("{name}.example.test")),
        ours,
    };
    let (_, theirs, machine) = bench.panel().seed_customer(seed("theirs", false));
    let (_, ours, _) = bench.panel().seed_customer(seed("ours", true));
    bench.assert_clean();

    bench.number("ChangePackageStatus", &status(ours, "Suspended")).await;
    assert_eq!(bench.panel().check(), Vec::<String>::new());
    bench.number("ChangePackageStatus", &status(theirs, "Suspended")).await;
    bench.number("ChangePackageStatus", &status(theirs, "Active")).await;
    bench.result("DeleteVirtualMachineAsynchronous", &deletion(machine)).await;
    bench.number("DeleteUser", "<userId>9999</userId>").await;
    bench.number("AddUser", &user("one").replace("<sendLetter>false", "<sendLetter>true")).await;
    let two = bench.number("AddUser", &user("two")).await;
    bench.space_of(two, 11).await;
    bench.space_of(two, 11).await;

    let broken = bench.panel().check();
    for expected in [
        "ChangePackageStatus on what is a stranger's",
        "DeleteVirtualMachineAsynchronous on what is a stranger's",
        "takes the whole server down",
        "2 users were made, 1 wanted",
        "has 2 spaces",
        "1 letters were sent",
    ] {
        assert!(broken.iter().any(|text| text.contains(expected)), "{expected}: {broken:?}");
    }
}

#[tokio::test]
async fn no_password_is_in_the_ledger_and_all_are_among_the_secrets() {
    let bench = Bench::new();
    let (user, _, machine) = bench.machine().await;
    bench.number("ChangeUserPassword", &format!("<userId>{user}</userId><password>N3w-panel</password>")).await;
    bench
        .result("ChangeAdministratorPassword", &format!("<itemId>{machine}</itemId><password>N3w-vm</password>"))
        .await;

    let secrets = bench.panel().secrets();
    for secret in ["S3cret-panel", "S3cret-vm!", "N3w-panel", "N3w-vm", "reseller-Pass-51c0"] {
        assert!(secrets.iter().any(|known| known == secret), "{secret}");
    }
    let ledger = serde_json::to_string(&bench.panel().ledger()).unwrap();
    assert_eq!(secrets.iter().filter(|secret| ledger.contains(*secret)).count(), 0);
    assert_eq!(bench.panel().count_effects(|effect| effect == Effect::GuestPassword(machine)), 1);
    assert!(World::FAULTS.len() > Fault::ALL.len());
}
