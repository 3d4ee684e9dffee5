//! `test`: whether this is a SolidCP that we can drive, with an account that may sell.

use crate::SolidCp;
use crate::api::{machines, packages, users};
use crate::codes::OTHER_PROTOCOL;
use crate::panel::{self, Doing};
use crate::settings::Version;
use billhook_plugin_api::{Cx, Fault, FaultClass, Finding, Request, TestReport};

/// Tries address, credentials, rights, and what there is to sell.
pub fn test<'f>(cx: &'f Cx, panel: &'f SolidCp) -> Doing<'f, TestReport> {
    Box::pin(async move {
        let reseller = match panel::reseller(cx, panel).await {
            Err(fault) if fault.class == FaultClass::InDoubt => return Err(explained(cx, fault).await?),
            found => found?,
        };
        let mut findings = Vec::new();
        let mut add = |name: &str, ok: bool, text: String| {
            findings.push(Finding { name: name.to_owned(), ok, text });
        };
        add("login", true, format!("the panel accepts the login; its account is user {}", reseller.id));
        if reseller.role == users::ADMINISTRATOR {
            add("role", false, "the account is an administrator: a reseller is enough, and safer".to_owned());
        } else {
            add("role", true, "the account is a reseller".to_owned());
        }
        let (is_right, text) = version(cx, panel.version).await?;
        add("version", is_right, text);

        let spaces = panel::packages_of(cx, reseller.id).await?;
        let active = spaces.iter().filter(|space| space.status == packages::ACTIVE).count();
        add(
            "hosting spaces",
            active > 0,
            match active {
                0 => {
                    "the reseller has no active hosting space to sell from: make one for each hosting server".to_owned()
                }
                count => format!("the reseller has {count} active hosting spaces"),
            },
        );
        let plans = packages::plans_reply(&panel::ask(cx, packages::plans(reseller.id)).await?)?;
        let sold = plans.iter().filter(|plan| spaces.iter().any(|space| space.id == plan.space)).count();
        add(
            "hosting plans",
            sold > 0,
            match sold {
                0 => "the reseller has no hosting plan of its spaces: make one with Hyper-V (VPS2012) and one machine"
                    .to_owned(),
                count => format!("the reseller has {count} hosting plans of its spaces"),
            },
        );
        for space in spaces.iter().filter(|space| space.status == packages::ACTIVE).take(10) {
            let name = format!("templates of space {}", space.id);
            match machines::templates_reply(&panel::ask(cx, machines::templates(space.id)).await?) {
                Ok(templates) if templates.is_empty() => {
                    add(&name, false, "its library is empty: set it up on the panel".to_owned());
                }
                Ok(templates) => add(&name, true, format!("{} templates", templates.len())),
                Err(fault) if fault.class == FaultClass::Auth => return Err(fault),
                Err(fault) => add(&name, false, format!("they cannot be read: {}", fault.staff)),
            }
        }
        Ok(TestReport { findings })
    })
}

/// A WSDL of the panel, which it gives without a look at the credentials.
fn wsdl(path: &str) -> Request {
    Request::get(path).query("WSDL", "")
}

/// Tells 2.x, which has no addresses of that kind, from a wrong address.
async fn explained(cx: &Cx, fault: Fault) -> Result<Fault, Fault> {
    for path in ["/esUsers", "/basic/esUsers"] {
        if panel::ask(cx, Ok(wsdl(path))).await?.status == 200 {
            return Ok(Fault::invalid_input(OTHER_PROTOCOL).with_code("2.x"));
        }
    }
    Ok(Fault::invalid_input(format!(
        "no Enterprise Server is at this address (usually port 9002, and not the portal's 9001): {}",
        fault.staff
    )))
}

/// Which version it is, by what its descriptions have, and whether that is the one that is set.
async fn version(cx: &Cx, set: Version) -> Result<(bool, String), Fault> {
    let (servers, machines) = (
        panel::ask(cx, Ok(wsdl("/esServers.asmx"))).await?,
        panel::ask(cx, Ok(wsdl("/esVirtualizationServer2012.asmx"))).await?,
    );
    if servers.status != 200 || machines.status != 200 {
        return Ok((
            set != Version::Auto,
            "the panel hides its descriptions, so that its version is not known".to_owned(),
        ));
    }
    let has = |body: &[u8], word: &str| body.windows(word.len()).any(|part| part == word.as_bytes());
    let (found, fits): (&str, &[Version]) = if has(&servers.body, "GetSystemMemoryInfoPackageId") {
        ("1.5.2", &[Version::V152])
    } else if has(&machines.body, "dmzAddressesNumber") {
        ("1.5.0 or 1.5.1", &[Version::V150, Version::V151])
    } else {
        ("1.4.9 or older", &[Version::V149])
    };
    let is_right = set == Version::Auto || fits.contains(&set);
    let remedy = if is_right { "" } else { ", and the setting says another: correct it, or set auto" };
    Ok((is_right, format!("the panel is SolidCP {found}{remedy}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Stage, fault, ok};
    use billhook_plugin_api::Provider;
    use billhook_plugin_api::testing::Ended;
    use serde_json::{Value, json};

    fn tested(stage: &Stage, more: Value) -> Ended<TestReport> {
        stage.host().run(async |cx| stage::provider_with(more).test(cx).await)
    }

    #[test]
    fn a_good_panel_has_nothing_to_remark() {
        let report = ok(tested(&Stage::new(), json!({})));
        let bad: Vec<&Finding> = report.findings.iter().filter(|finding| !finding.ok).collect();
        assert!(bad.is_empty(), "{bad:?}");
        assert!(report.findings.iter().any(|finding| finding.text.contains("1.5.0 or 1.5.1")));
    }

    #[test]
    fn the_version_is_told_and_a_wrong_setting_is_remarked() {
        for (is_152, set, is_right) in [
            (true, "auto", true),
            (true, "1.5.2", true),
            (true, "1.5.1", false),
            (false, "1.5.0", true),
            (false, "1.4.9", false),
        ] {
            let stage = Stage::new();
            stage.world().is_152 = is_152;
            let report = ok(tested(&stage, json!({ "version": set })));
            let found = report.findings.iter().find(|finding| finding.name == "version").unwrap();
            assert_eq!(found.ok, is_right, "{is_152} {set}: {}", found.text);
        }
    }

    #[test]
    fn the_newer_generation_is_recognised_and_said() {
        let stage = Stage::new();
        stage.world().is_2x = true;
        let refused = fault(tested(&stage, json!({})));
        assert_eq!((refused.class, refused.code.as_deref()), (FaultClass::InvalidInput, Some("2.x")));
        assert!(refused.staff.contains("another protocol"), "{refused}");
    }

    #[test]
    fn a_wrong_address_and_wrong_credentials_are_told_apart() {
        for (how, class, part) in [
            (Break::Says { done: false, status: 404, body: "" }, FaultClass::InvalidInput, "port 9002"),
            (Break::Says { done: false, status: 200, body: "<html/>" }, FaultClass::InvalidInput, "port 9002"),
            (Break::Says { done: false, status: 401, body: "401 Access Denied" }, FaultClass::Auth, "SHA-1"),
        ] {
            let stage = Stage::new();
            stage.breaks("GetUserByUsername", how);
            let refused = fault(tested(&stage, json!({})));
            assert_eq!(refused.class, class, "{how:?}");
            assert!(refused.staff.contains(part), "{refused}");
        }
    }

    #[test]
    fn an_account_that_may_not_sell_is_refused() {
        type Change = fn(&mut stage::User);
        let cases: [(Change, &str); 5] = [
            (|user| user.is_peer = true, "peer"),
            (|user| user.status = 3, "cancelled"),
            (|user| user.status = 2, "suspended"),
            (|user| user.role = 3, "no reseller"),
            (|user| user.name = "other".into(), "its own account"),
        ];
        for (change, part) in cases {
            let stage = Stage::new();
            change(stage.world().users.get_mut(&2).unwrap());
            assert!(fault(tested(&stage, json!({}))).staff.contains(part), "{part}");
        }
        let stage = Stage::new();
        stage.world().users.get_mut(&2).unwrap().role = 1;
        let report = ok(tested(&stage, json!({})));
        assert!(report.findings.iter().any(|finding| !finding.ok && finding.text.contains("administrator")));
    }

    #[test]
    fn an_account_with_nothing_to_sell_is_remarked() {
        let stage = Stage::new();
        stage.world().spaces.retain(|id, _| *id == 7);
        let report = ok(tested(&stage, json!({})));
        assert_eq!(report.findings.iter().filter(|finding| !finding.ok).count(), 2);
    }
}
