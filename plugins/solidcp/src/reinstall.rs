//! `reinstall`: the machine's system anew, from the product's template.

use crate::api::machines::{self, Stage};
use crate::create;
use crate::panel::{self, Look, Owned};
use crate::secrets;
use crate::settings::OnFailure;
use billhook_plugin_api::{Change, Cx, Fault, Find, Secret};

/// The machine before it was installed anew, and the hypervisor's id of it: that makes a new one.
type Before = (i64, String);

/// Installs the system, once, and waits until the machine is made.
pub async fn run(cx: &Cx, owned: Owned<'_>, chosen: Option<&Secret<String>>) -> Result<Change, Fault> {
    let product = owned.product;
    product.check()?;
    if let Some(chosen) = chosen {
        secrets::check(chosen)?;
    }
    let new: Secret<String> = cx
        .step("password")
        .sealed()
        .record(|| async move { chosen.cloned().map_or_else(secrets::password, Ok) })
        .await?;
    cx.secret(new.expose()).await?;
    let password = new.expose().as_str();

    cx.progress(5, "starting the installation");
    let item: i64 = cx
        .step("reinstall")
        .given(move || async move {
            owned.active(cx).await?;
            let id = owned.item_id(cx).await?;
            let missing = || Fault::not_found(format!("the panel has no machine {id} any more"));
            let item = panel::find_item(cx, id).await?.ok_or_else(missing)?;
            panel::idle(&item)?;
            if !item.may_reinstall {
                return Err(Fault::invalid_input("the plan or the product does not allow this machine a reinstallation"));
            }
            if item.template_path.is_empty() {
                return Err(Fault::panel_bug(
                    "the panel has lost the path of the machine's template, and would install the old one: reinstall it there",
                ));
            }
            // The panel refuses a template that it does not have without a word; so ask before anything is lost.
            let templates = machines::templates_reply(&panel::ask(cx, machines::templates(owned.id)).await?)?;
            if !templates.iter().any(|template| template.file.eq_ignore_ascii_case(&product.os_template)) {
                return Err(Fault::invalid_input(format!("the panel's library has no template {}", product.os_template)));
            }
            Ok((id, item.guid))
        })
        .find(move |(id, guid): Before| async move {
            Ok(match panel::find_item(cx, id).await? {
                // In between there may be none.
                None => Find::Found(id),
                Some(item) if item.stage != Stage::Ready || item.guid != guid => Find::Found(id),
                Some(_) => Find::Unknown(format!(
                    "nothing shows that the machine {} was installed anew: if it was, say that it exists; if not, give up \
                     and send the hook again",
                    id
                )),
            })
        })
        .adopt(move |_| async move { owned.item_id(cx).await.map(Find::Found) })
        .run(move |(id, _): Before, send| async move {
            let (reply, _) = panel::read_item(cx, id).await?;
            let request = machines::reinstall(&reply, id, &product.os_template, password)?;
            machines::reinstall_reply(&panel::sent(&send, Ok(request)).await?)?;
            Ok(id)
        })
        .await?;

    cx.progress(20, "the system is being installed");
    let look: Look<'_> = Box::new(move || {
        Box::pin(async move {
            if panel::find_item(cx, item).await?.is_none_or(|item| item.stage == Stage::Deleting) {
                return Ok(false);
            }
            create::made(cx, item, "reinstall", OnFailure::Keep).await
        })
    });
    panel::wait(cx, "reinstalled", 15, product.provisioning_limit_min.into(), look).await?;
    let mut change = Change::done();
    change.secrets.insert("root_password".to_owned(), new);
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Stage, changes, fault, ok};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{FaultClass, Provider, Reinstall};
    use serde_json::{Value, json};

    fn run(host: &ScriptedHost, more: Value) -> Ended<Change> {
        let request = Reinstall { service: stage::owned(), product: stage::product(more), password: None };
        host.run(async |cx| stage::provider().reinstall(cx, request).await)
    }

    #[test]
    fn a_reinstallation_happens_once_and_tells_the_new_password() {
        for slowness in [0, 4] {
            let stage = Stage::with_machine();
            stage.world().slowness = slowness;
            let host = stage.host();
            let change = ok(run(&host, json!({})));
            assert_eq!(ok(run(&host, json!({}))), change, "the same operation again");
            assert_eq!(changes(&host), ["ReinstallVirtualMachine"]);
            let world = stage.world();
            assert_eq!(world.machines[&753].password, *change.secrets["root_password"].expose());
            assert_eq!((world.machines[&753].guid, world.machines[&753].template.as_str()), (2, "win2022.vhdx"));
        }
    }

    #[test]
    fn a_lost_one_is_told_by_the_new_machine_or_left_to_a_person() {
        for (done, slowness) in [(true, 0), (true, 5), (false, 0)] {
            let stage = Stage::with_machine();
            stage.world().slowness = slowness;
            stage.breaks("ReinstallVirtualMachine", Break::Lost { done });
            let host = stage.host();
            assert_eq!(run(&host, json!({})), Ended::Settling("reinstall".into()));
            match (run(&host, json!({})), done) {
                (Ended::Ok(_), true) => assert_eq!(stage.world().machines[&753].guid, 2),
                (Ended::Attention(step), false) => assert_eq!(step, "reinstall"),
                (other, done) => panic!("{done}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_would_only_be_refused_is_not_sent() {
        type Change = fn(&mut stage::World);
        let cases: [(Change, Value, FaultClass); 4] = [
            (|world| world.spaces.get_mut(&801).unwrap().status = 2, json!({}), FaultClass::InvalidInput),
            (|world| world.machines.get_mut(&753).unwrap().may_reinstall = false, json!({}), FaultClass::InvalidInput),
            (|world| world.machines.get_mut(&753).unwrap().busy = 9, json!({}), FaultClass::ConflictBusy),
            (|_| {}, json!({ "os_template": "none.vhdx" }), FaultClass::InvalidInput),
        ];
        for (number, (change, more, class)) in cases.into_iter().enumerate() {
            let stage = Stage::with_machine();
            change(&mut stage.world());
            let host = stage.host();
            assert_eq!(fault(run(&host, more)).class, class, "{number}");
            assert!(changes(&host).is_empty(), "{number}");
        }
    }

    #[test]
    fn one_that_fails_says_so() {
        let stage = Stage::with_machine();
        stage.world().slowness = 3;
        stage.world().outcome = "Error";
        let failed = fault(run(&stage.host(), json!({})));
        assert_eq!(failed.code.as_deref(), Some(create::PROVISIONING_FAILED));
    }
}
