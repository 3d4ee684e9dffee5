//! `console` and `login`: ways in that are good once. Both are asked for anew each time and kept nowhere.

use crate::VirtFusion;
use crate::api::{access, guest};
use crate::owner::Relation;
use crate::panel::Owned;
use billhook_plugin_api::{ConsoleAccess, Cx, Fault, FaultClass, LoginLink, Secret};

/// Opens the machine's screen over VNC. Enabling it makes a new key, and the old one ends.
pub async fn console(cx: &Cx, owned: Owned<'_>) -> Result<ConsoleAccess, Fault> {
    let origin = owned.panel.origin("a console")?;
    let server = owned.read(cx).await?;
    if server.suspended {
        return Err(Fault::invalid_input(format!("server {} is suspended: unsuspend it first", owned.id)));
    }
    let screen = guest::vnc_reply(&cx.sign_in(guest::vnc(owned.id, true)).await?)?;
    // `https` becomes `wss`; the settings allow no other scheme.
    let url = format!("wss{}{}", origin.trim_start_matches("https"), screen.path);
    Ok(ConsoleAccess {
        url: Secret::new(url),
        password: screen.password,
        username: None,
        kind: "vnc_websocket".into(),
        expires_at: None,
    })
}

/// Makes a link that signs the customer in and leads to the server's page.
pub async fn login(cx: &Cx, owned: Owned<'_>) -> Result<LoginLink, Fault> {
    let relation = owned.relation("a login link")?;
    let origin = owned.panel.origin("a login link")?;
    let server = owned.read(cx).await?;
    if let (Relation::Id(id), None) = (&relation, server.owner_relation) {
        return Err(Fault::new(
            FaultClass::NotFound,
            format!(
                "panel user {}, who owns the server, has no external relation id: set it to {id} there, if it is the \
                 customer's",
                server.owner_id
            ),
        ));
    }
    let link = access::login_reply(&cx.sign_in(access::login(&relation, owned.id)).await?)?;
    let now = cx.now().await?;
    Ok(LoginLink {
        url: Secret::new(format!("{origin}{}", link.path)),
        expires_at: link.ttl_s.map(|ttl_s| now.saturating_add(ttl_s.saturating_mul(1_000))),
    })
}

impl VirtFusion {
    /// Where the panel's pages are.
    fn origin(&self, what: &str) -> Result<&str, Fault> {
        let url = self.panel_url.as_deref().map(|url| url.trim_end_matches('/'));
        url.ok_or_else(|| {
            Fault::invalid_input(format!("{what} needs the address of the panel's pages: set panel_url at the server"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, Break, Machine, Stage, fault, ok};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{Console, Login, Provider};
    use serde_json::{Value, json};

    fn provider(relation: Value) -> VirtFusion {
        let mut settings = json!({ "token": "t", "panel_url": "https://cp.example.com/" });
        settings.as_object_mut().unwrap().extend(relation.as_object().unwrap().clone());
        stage::provider_with(settings)
    }

    fn sign_in(host: &ScriptedHost, provider: &VirtFusion, more: Value) -> Ended<LoginLink> {
        let request = Login { service: stage::service(), product: stage::product(more) };
        host.run(async |cx| provider.login(cx, request).await)
    }

    fn screen(host: &ScriptedHost, provider: &VirtFusion) -> Ended<ConsoleAccess> {
        let request = Console { service: stage::service(), product: stage::product(json!({})) };
        host.run(async |cx| provider.console(cx, request).await)
    }

    fn stage() -> Stage {
        let stage = Stage::with(Machine::running(300));
        stage.world().users.insert("42".into(), 300);
        stage.world().users.insert("shop-42".into(), 300);
        stage
    }

    #[test]
    fn a_login_link_leads_to_the_panels_pages() {
        let by_text = json!({ "user_relation": "rel_str", "relation_prefix": "shop-" });
        for (relation, query) in [(json!({}), vec![]), (by_text, vec![("relStr".to_owned(), "true".to_owned())])] {
            let host = stage().host();

            let link = ok(sign_in(&host, &provider(relation), json!({})));

            assert_eq!(link.url.expose(), "https://cp.example.com/token_authenticate/?1=a&2=b");
            assert!(link.expires_at.is_some());
            let (request, is_change) = host.exchanges().pop().unwrap();
            assert_eq!((request.method.as_str(), request.query, is_change), ("POST", query, false));
        }
    }

    #[test]
    fn a_console_is_a_socket_on_the_panels_host() {
        let host = stage().host();
        let access = ok(screen(&host, &provider(json!({}))));
        assert_eq!(access.url.expose(), "wss://cp.example.com/vnc/?token=t");
        assert_eq!(access.password.unwrap().expose(), "vnc-password");
        assert_eq!(access.kind, "vnc_websocket");
    }

    #[test]
    fn a_link_to_another_host_is_refused() {
        for url in ["//evil.example/x", "https://evil.example/x", "x", "/a\\\\b", "/a b", ""] {
            let body: &'static str = Box::leak(
                format!(
                    r#"{{"data":{{"authentication":{{"endpoint_complete":"{url}"}},"vnc":{{"wss":{{"url":"{url}"}}}}}}}}"#
                )
                .into_boxed_str(),
            );
            let stage = stage();
            for call in ["POST /users/42/serverAuthenticationTokens/7000", "POST /servers/7000/vnc"] {
                stage.breaks(call, Break::Says { done: false, status: 200, body });
            }
            let host = stage.host();
            assert_eq!(fault(sign_in(&host, &provider(json!({})), json!({}))).class, FaultClass::PanelBug, "{url}");
            assert_eq!(fault(screen(&host, &provider(json!({})))).class, FaultClass::PanelBug, "{url}");
        }
    }

    #[test]
    fn a_way_in_that_there_is_not_says_what_is_missing() {
        let host = stage().host();
        let bare = stage::provider();
        for fault in [fault(sign_in(&host, &bare, json!({}))), fault(screen(&host, &bare))] {
            assert_eq!(fault.class, FaultClass::InvalidInput);
            assert!(fault.staff.contains("panel_url"), "{fault}");
        }
        let shared = fault(sign_in(&host, &provider(json!({})), json!({ "virtfusion_user_id": 300 })));
        assert_eq!(shared.class, FaultClass::Unsupported);

        let unlinked =
            Stage::with(Machine { more: json!({ "owner": { "extRelationId": null } }), ..Machine::running(300) });
        let missing = fault(sign_in(&unlinked.host(), &provider(json!({})), json!({})));
        assert!(missing.staff.contains("set it to 42"), "{missing}");

        let stranger = Stage::with(Machine {
            owner: 301,
            more: json!({ "owner": { "extRelationId": 43 } }),
            ..Machine::running(301)
        });
        let host = stranger.host();
        assert_eq!(fault(screen(&host, &provider(json!({})))).class, FaultClass::NotFound);
        assert!(host.exchanges().iter().all(|(request, _)| request.method == "GET"));
    }
}
