//! `reinstall`: another installation, in the customer's name, and a new password with it.

use crate::install::{self, Install};
use crate::machine::Row;
use crate::panel::{Doing, Owned};
use crate::random;
use billhook_plugin_api::{Change, Cx, Fault, Secret};
use serde_json::json;
use std::sync::Mutex;

/// Installs the product's system, once, and waits until it is installed.
pub async fn run(cx: &Cx, owned: Owned<'_>, password: Option<Secret<String>>) -> Result<Change, Fault> {
    let (panel, id, product) = (owned.panel, &owned.id()?, owned.product);
    let template = product.template()?;
    let password = &password;
    let password: Secret<String> = cx
        .step("password")
        .sealed()
        .record(|| async move {
            Ok(match password {
                Some(password) if !password.expose().is_empty() => password.clone(),
                _ => Secret::new(random::password()?),
            })
        })
        .await?;
    cx.secret(password.expose()).await?;
    let known = owned.known(cx).await?;
    let account = Owned::account(&known)?.to_owned();

    cx.progress(10, "starting the installation");
    let install = Install {
        panel,
        machine: id,
        template,
        recipe: product.recipe(),
        password: &password,
        account: Some(&account),
        check: &|| -> Doing<'_, Row> {
            Box::pin(async move {
                let (row, _, _) = owned.read(cx).await?;
                if row.is_suspended() {
                    return Err(Fault::invalid_input(format!("server {id} is suspended: unsuspend it first")));
                }
                Ok(row)
            })
        },
    };
    let started = install.start(cx, 1).await?;
    let mut change = Change::done();
    change.properties.insert("os".to_owned(), json!(template));
    change.secrets.insert("root_password".to_owned(), password.clone());
    let is_fresh = Mutex::new(false);
    let is_good = if product.dont_wait {
        change.message.staff =
            Some("the installation has begun and was not waited for: status tells how it goes".into());
        install::verdict(cx, panel, id, 1, &is_fresh).await?
    } else {
        cx.progress(20, "the system is being installed");
        install::finished(cx, panel, id, &started, 1, &is_fresh).await?
    };
    if is_good { Ok(change) } else { Err(install::failed(id, "look at it on the panel, then reinstall it anew")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Break, Machine, Stage, class, fault, ok_of, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{FaultClass, Provider, Reinstall};
    use serde_json::Value;

    fn run(host: &ScriptedHost, more: Value, password: Option<&str>) -> Ended<Change> {
        let password = password.map(|text| Secret::new(text.to_owned()));
        let request = Reinstall { service: stage::service(), product: stage::product(more), password };
        host.run(async |cx| stage::provider().reinstall(cx, request).await)
    }

    #[test]
    fn a_system_is_installed_once_in_the_customers_name() {
        for (slowness, chosen) in [(0, Some("chosen-password")), (4, None)] {
            let stage = Stage::with(Machine::sold());
            stage.world().slowness = slowness;
            let host = stage.host();

            let change = ok_of(run(&host, json!({ "ostemplate": "ISP__Alma-9" }), chosen));

            let installs = stage.world().machines[&42].installs.clone();
            assert_eq!(installs.len(), 1);
            assert_eq!((installs[0].0.as_str(), installs[0].1.as_str()), ("ISP__Alma-9", "client42"));
            assert_eq!(&installs[0].2, change.secrets["root_password"].expose());
            assert_eq!(chosen.unwrap_or(&installs[0].2), installs[0].2);
            assert_eq!(ok_of(run(&host, json!({ "ostemplate": "ISP__Alma-9" }), chosen)), change);
            assert!(host.steps().iter().any(|step| step.name == "password" && step.sealed));
        }
    }

    #[test]
    fn a_lost_answer_is_settled_by_the_machines_state() {
        for how in BREAKS {
            if matches!(how, Break::Says { done: false, .. }) {
                continue;
            }
            let stage = Stage::with(Machine::sold());
            stage.world().slowness = 3;
            stage.breaks("server.operations ok", how);
            let host = stage.host();
            ok_of(to_end(|| run(&host, json!({}), None)));
            assert_eq!(stage.world().machines[&42].installs.len(), 1, "{how:?}");
        }
    }

    #[test]
    fn what_cannot_be_installed_is_refused_before_anything_is_lost() {
        let busy = |flag: &'static str| Machine { flags: [flag].into(), ..Machine::sold() };
        for (machine, more, expected) in [
            (Machine { disabled: true, ..Machine::sold() }, json!({}), FaultClass::InvalidInput),
            (busy("blocked"), json!({}), FaultClass::InvalidInput),
            (busy("install_in_progress"), json!({}), FaultClass::ConflictBusy),
            (Machine::sold(), json!({ "os": "none" }), FaultClass::InvalidInput),
            (Machine::sold(), json!({ "os": null }), FaultClass::InvalidInput),
            (Machine { owner: Some("60".into()), ..Machine::sold() }, json!({}), FaultClass::NotFound),
        ] {
            let stage = Stage::with(machine);
            assert_eq!(class(run(&stage.host(), more, None)), expected);
            assert!(stage.world().machines[&42].installs.is_empty());
        }
    }

    #[test]
    fn a_failed_installation_says_so_and_an_older_failure_does_not() {
        let stage = Stage::with(Machine::sold());
        stage.world().install_fails = true;
        let failed = fault(run(&stage.host(), json!({}), None));
        assert_eq!(failed.code.as_deref(), Some(install::FAILED));

        let stage = Stage::with(Machine { flags: ["operation_failed"].into(), ..Machine::sold() });
        ok_of(run(&stage.host(), json!({}), None));
    }
}
