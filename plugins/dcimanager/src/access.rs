//! Ways in that are good once: `login`, `console`, and the administrator's own login.
//!
//! A link holds a key, never a session: a session is bound to the address that asked for it, and whoever has it is in for
//! as long as it is used.

use crate::form::Form;
use crate::mark;
use crate::panel::{Owned, Panel};
use billhook_plugin_api::{ConsoleAccess, Cx, Fault, LoginLink, Secret, segment};

/// Makes a link that signs the customer in.
pub async fn login(cx: &Cx, owned: Owned<'_>) -> Result<LoginLink, Fault> {
    if owned.product.account.is_some() {
        return Err(Fault::unsupported("a login link for an account that the product names: customers may share it"));
    }
    let url = address(owned.panel, "a login link")?;
    let (_, _, known) = owned.read(cx).await?;
    let link = link(owned.panel, cx, url, Owned::account(&known)?, "").await?;
    Ok(LoginLink { url: link, expires_at: None })
}

/// Makes a link that signs us in, for staff.
pub async fn admin(panel: &Panel, cx: &Cx) -> Result<Secret<String>, Fault> {
    let url = address(panel, "a login link")?;
    link(panel, cx, url, &panel.login, "").await
}

/// Asks for the machine's IPMI console.
///
/// The panel's own answer is for the session that asked. A whole address is given on; for a page of the panel's there is a
/// key instead, with that page as the first to be shown.
pub async fn console(cx: &Cx, owned: Owned<'_>) -> Result<ConsoleAccess, Fault> {
    if owned.product.account.is_some() {
        return Err(Fault::unsupported("a console for an account that the product names: customers may share it"));
    }
    let panel = owned.panel;
    let url = address(panel, "a console")?;
    let (row, view, known) = owned.read(cx).await?;
    if row.is_suspended() {
        return Err(Fault::invalid_input(format!("server {} is suspended: unsuspend it first", row.id)));
    }
    let label = row.ipmi.as_deref().ok_or_else(|| {
        Fault::unsupported(&format!("a console of server {}: the panel has no IPMI connection for it", row.id))
    })?;
    let account = Owned::account(&known)?;
    let session = panel.session_as(cx, account).await?;
    let form = Form::view_of("ipmiredirect", &view.id).with("value", label).with("newwindow", "yes").slow();
    let reply = cx.sign_in(form.request(Some(&session)).reply_secret("doc.ok")).await?;
    let doc = crate::answer::accepted(&reply)?;
    let target = doc.text("ok").unwrap_or_default();
    let url = match target {
        target if is_whole(target) && mark::position(target, session.expose()).is_none() => {
            cx.secret(target).await?;
            Secret::new(target.to_owned())
        }
        _ => {
            let page = format!("&startform=ipmiredirect&elid={}&value={}", segment(view.id.as_str()), segment(label));
            link(panel, cx, url, account, &page).await?
        }
    };
    Ok(ConsoleAccess { url, password: None, username: None, kind: "web".to_owned(), expires_at: None })
}

fn address<'p>(panel: &'p Panel, what: &str) -> Result<&'p str, Fault> {
    panel.url.as_deref().ok_or_else(|| {
        Fault::invalid_input(format!("{what} needs the address of the panel's pages: set panel_url at the server"))
    })
}

async fn link(panel: &Panel, cx: &Cx, url: &str, account: &str, more: &str) -> Result<Secret<String>, Fault> {
    let key = panel.new_key(cx, account).await?;
    let key = segment(key.expose());
    Ok(Secret::new(format!("{url}/dcimgr?func=auth&username={}&key={key}&checkcookie=no{more}", segment(account))))
}

/// Whether it can be opened as it stands.
fn is_whole(target: &str) -> bool {
    let Some(rest) = target.strip_prefix("https://") else { return false };
    !rest.is_empty() && target.len() <= 2_048 && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Machine, Stage, changes, class, fault, ok_of};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{ActionCall, ActionResult, Console, FaultClass, Login, Provider, Service};
    use serde_json::{Map, Value, json};

    fn sign_in(host: &ScriptedHost, service: Service, more: Value) -> Ended<LoginLink> {
        let request = Login { service, product: stage::product(more) };
        host.run(async |cx| stage::provider().login(cx, request).await)
    }

    fn screen(host: &ScriptedHost) -> Ended<ConsoleAccess> {
        let request = Console { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| stage::provider().console(cx, request).await)
    }

    fn key_of(stage: &Stage) -> String {
        stage.world().keys.keys().next().unwrap().clone()
    }

    #[test]
    fn a_link_has_a_key_that_is_good_once() {
        let stage = Stage::with(Machine::sold());
        let host = stage.host();
        let link = ok_of(sign_in(&host, stage::service(), json!({})));
        let key = key_of(&stage);
        assert_eq!(
            link.url.expose(),
            &format!("https://dci.example.com:1500/dcimgr?func=auth&username=client42&key={key}&checkcookie=no")
        );
        assert!(host.secrets().contains(&key));
        assert!((changes(&host).len(), host.steps().len()) == (0, 0));
    }

    #[test]
    fn a_link_for_nobody_asks_for_no_key() {
        let stage = Stage::with(Machine::sold());
        let nobody = Service { properties: Map::new(), username: Some(String::new()), ..stage::service() };
        assert_eq!(class(sign_in(&stage.host(), nobody, json!({}))), FaultClass::InvalidInput);
        assert_eq!(class(sign_in(&stage.host(), stage::service(), json!({ "account": "x" }))), FaultClass::Unsupported);
        assert!(stage.world().keys.is_empty());
        let bare = stage::provider_with(json!({ "panel_url": null }));
        let request = Login { service: stage::service(), product: stage::product(json!({})) };
        let fault = fault(stage.host().run(async |cx| bare.login(cx, request).await));
        assert!(fault.staff.contains("panel_url"));
    }

    #[test]
    fn a_console_is_the_panels_address_or_a_key_and_never_a_session() {
        let stage = Stage::with(Machine::sold());
        let host = stage.host();
        let access = ok_of(screen(&host));
        let url = access.url.expose();
        assert!(url.ends_with("&startform=ipmiredirect&elid=42&value=ipmi1") && url.contains(&key_of(&stage)), "{url}");
        assert!(!url.contains("session"));

        stage
            .breaks("ipmiredirect", Break::Says { done: false, body: "<doc><ok>https://kvm.example/x?t=1</ok></doc>" });
        assert_eq!(ok_of(screen(&host)).url.expose(), "https://kvm.example/x?t=1");

        for (machine, expected) in [
            (Machine { ipmi: None, ..Machine::sold() }, FaultClass::Unsupported),
            (Machine { disabled: true, ..Machine::sold() }, FaultClass::InvalidInput),
            (Machine { owner: Some("60".into()), ..Machine::sold() }, FaultClass::NotFound),
        ] {
            let stage = Stage::with(machine);
            assert_eq!(class(screen(&stage.host())), expected);
            assert!(stage.world().keys.is_empty());
        }
    }

    #[test]
    fn the_administrators_own_link_is_a_secret_of_the_answer() {
        let stage = Stage::new();
        let request = ActionCall { name: "admin_login".into(), service: None, product: None, params: Value::Null };
        let result: ActionResult = ok_of(stage.host().run(async |cx| stage::provider().action(cx, request).await));
        let url = result.change.secrets["url"].expose();
        assert!(url.contains("username=billhook") && url.contains(&key_of(&stage)));
        assert!(!result.data.to_string().contains("key"));
    }
}
