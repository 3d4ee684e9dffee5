//! The provider's own actions: what staff want now and then, and billing has no word for.

use crate::form::Form;
use crate::panel::{Owned, Panel};
use crate::readings;
use crate::{access, switch};
use billhook_plugin_api::schemars::{Schema, json_schema};
use billhook_plugin_api::{ActionFacts, ActionResult, Change, Cx, Fault};
use serde_json::json;

/// `admin_login` is about a server, the others are about a service.
pub const ACTIONS: &[ActionFacts] = &[
    action("admin_login", "Log in to the panel as its administrator", false),
    action("progress", "How far the installation is", false),
    action("network_on", "Switch the machine's network ports on", true),
    action("network_off", "Switch the machine's network ports off", true),
    action("cancel_operation", "Cancel what the panel is doing with the machine", true),
];

const fn action(name: &'static str, title: &'static str, changes: bool) -> ActionFacts {
    ActionFacts { name, title, changes, params: no_params }
}

fn no_params() -> Schema {
    json_schema!({ "type": ["object", "null"], "additionalProperties": false })
}

/// Makes a link for staff. It is among the secrets of the answer, since whoever has it is in.
pub async fn admin_login(panel: &Panel, cx: &Cx) -> Result<ActionResult, Fault> {
    let url = access::admin(panel, cx).await?;
    let mut change = Change::done();
    change.secrets.insert("url".to_owned(), url);
    Ok(ActionResult { data: json!({ "username": panel.login }), change })
}

/// Runs an action on a service's machine.
pub async fn run(cx: &Cx, owned: Owned<'_>, name: &str) -> Result<ActionResult, Fault> {
    match name {
        "progress" => progress(cx, owned).await,
        "network_on" | "network_off" => {
            let has_ports = switch::network(cx, owned, name == "network_on").await?;
            let mut change = Change::done();
            if !has_ports {
                change.message.staff = Some("the panel knows no port of a switch for this machine".to_owned());
            }
            Ok(ActionResult { data: json!({ "changed": has_ports }), change })
        }
        "cancel_operation" => cancel(cx, owned).await,
        other => Err(Fault::unsupported(&format!("the action {other}"))),
    }
}

async fn progress(cx: &Cx, owned: Owned<'_>) -> Result<ActionResult, Fault> {
    let (row, view, _) = owned.read(cx).await?;
    let mut data = readings::shown(&row);
    if row.installing {
        let form =
            Form::view_of("server", &view.id).with("clickstat", "title").with("hint_field", "install_in_progress");
        let doc = owned.panel.read(cx, form).await?;
        data["text"] = json!(doc.text("value"));
    }
    Ok(ActionResult { data, change: Change::done() })
}

async fn cancel(cx: &Cx, owned: Owned<'_>) -> Result<ActionResult, Fault> {
    let id = &owned.id()?;
    let is_new = owned
        .panel
        .ensure(cx, "cancel", &|| {
            Box::pin(async move {
                let (row, _, _) = owned.read(cx).await?;
                Ok(row.installing.then(|| Form::order("server.opercancel", id).slow()))
            })
        })
        .await?;
    // Read once more: a run whose step was done by an earlier one has not read anything yet.
    owned.read(cx).await?;
    let change = if is_new { Change::done() } else { Change::noop() };
    Ok(ActionResult { data: json!({ "changed": is_new }), change })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Machine, Stage, changes, class, ok_of, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{ActionCall, FaultClass, Provider};

    fn act(host: &ScriptedHost, name: &str) -> Ended<ActionResult> {
        let (service, product) = (Some(stage::service()), Some(stage::product(json!({}))));
        let request = ActionCall { name: name.into(), service, product, params: json!({}) };
        host.run(async |cx| stage::provider().action(cx, request).await)
    }

    #[test]
    fn ports_are_switched_each_and_never_on_for_a_suspended_machine() {
        for how in BREAKS {
            let stage = Stage::with(Machine::sold());
            stage.breaks("server.connection.off", how);
            let host = stage.host();
            ok_of(to_end(|| act(&host, "network_off")));
            assert!(!stage.world().machines[&42].ports[&4200], "{how:?}");
            host.next_operation();
            ok_of(act(&host, "network_on"));
            assert!(stage.world().machines[&42].ports[&4200]);
        }
        let host = Stage::with(Machine { disabled: true, ..Machine::sold() }).host();
        assert_eq!(class(act(&host, "network_on")), FaultClass::InvalidInput);
        assert!(changes(&host).is_empty());
    }

    #[test]
    fn an_operation_is_cancelled_only_while_there_is_one() {
        let stage = Stage::with(Machine { install_left: Some(90), ..Machine::sold() });
        stage.world().slowness = 100;
        let host = stage.host();
        let shown = ok_of(act(&host, "progress"));
        assert_eq!(shown.data["text"], json!("54%"));
        host.next_operation();
        assert_eq!(ok_of(act(&host, "cancel_operation")).data, json!({ "changed": true }));
        host.next_operation();
        assert!(ok_of(act(&host, "cancel_operation")).change.noop);
        assert_eq!(changes(&host), ["server.opercancel 42"]);
    }

    #[test]
    fn every_action_is_known_and_takes_nothing() {
        for facts in ACTIONS {
            assert_eq!((facts.params)().get("additionalProperties"), Some(&json!(false)), "{}", facts.name);
            let ended = act(&Stage::with(Machine::sold()).host(), facts.name);
            assert!(matches!(ended, Ended::Ok(_)), "{}: {ended:?}", facts.name);
        }
        assert_eq!(class(act(&Stage::new().host(), "other")), FaultClass::Unsupported);
    }
}
