//! `login`: a page of the panel, signed in as the site's administrator. Asked for anew each time and kept nowhere.

use crate::api;
use crate::names;
use crate::panel::{Doing, Owned};
use crate::site::Site;
use billhook_plugin_api::{Cx, Fault, LoginLink, Secret, segment};

/// Opens a session for a browser. The panel does not say how long it is good for.
pub async fn login(cx: &Cx, owned: Owned<'_>) -> Result<LoginLink, Fault> {
    let origin = owned.panel.panel_url.as_deref().map(|url| url.trim_end_matches('/')).ok_or_else(|| {
        Fault::invalid_input("a login link needs the address of the panel's pages: set panel_url at the server")
    })?;
    let own = owned.read(cx).await?;
    let site = match &owned.product.login_site {
        Some(domain) => subordinate(cx, owned, &own, domain).await?,
        None => own,
    };
    let session = owned.panel.session(cx, &site, "UI").await?;
    let app = owned.product.login_app.as_str();
    let url = format!("{origin}/apps/{app}?{}={}", api::SESSION, segment(session.expose()));
    Ok(LoginLink { url: Secret::new(url), expires_at: None })
}

/// A site of the group that the service's own site is the master of. Only a master may go there, as on the panel.
fn subordinate<'f>(cx: &'f Cx, owned: Owned<'f>, own: &'f Site, domain: &'f str) -> Doing<'f, Site> {
    Box::pin(async move {
        let domain = names::domain(domain)?;
        let sites = owned.panel.collect(cx, &[], &[], &[&domain]).await?;
        // A further domain of somebody's site would be found too.
        let found = sites.into_iter().find(|site| site.domain == domain && site.parent_invoice == own.invoice);
        let mut site = found.ok_or_else(|| {
            Fault::not_found(format!("{domain} is no site of the group of {}: see the action group_sites", own.label()))
        })?;
        site.key = owned.panel.id_of(cx, &site).await?;
        Ok(site)
    })
}

#[cfg(test)]
mod tests {
    use crate::stage::{self, Break, Site, Stage, changes, fault, ok};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{FaultClass, Login, LoginLink, Provider};
    use serde_json::{Value, json};

    fn link(host: &ScriptedHost, more: Value) -> Ended<LoginLink> {
        let request = Login { service: stage::service(), product: stage::product(more) };
        host.run(async |cx| stage::provider().login(cx, request).await)
    }

    fn group() -> Stage {
        let stage = Stage::with_site();
        let child = Site {
            aliases: vec!["alias.example".into()],
            ..Site::of("child.example", "child", None, Some("billhook-p-1007"))
        };
        stage.world().sites.insert(20, child);
        stage
    }

    #[test]
    fn a_link_opens_a_session_for_a_browser_at_the_page() {
        for (more, site, expected) in [
            (json!({}), 12, "https://panel.example:2083/apps/dashboard?esprit_id=SESSION12n0x"),
            (json!({ "login_app": "webapps" }), 12, "https://panel.example:2083/apps/webapps?esprit_id=SESSION12n0x"),
            (
                json!({ "login_site": "Child.example" }),
                20,
                "https://panel.example:2083/apps/dashboard?esprit_id=SESSION20n0x",
            ),
        ] {
            let stage = group();
            let host = stage.host();

            let link = ok(link(&host, more));

            assert_eq!(link.url.expose(), expected);
            let session = format!("SESSION{site}n0x");
            assert_eq!(stage.world().sessions[&session], (site, "UI".to_owned()));
            assert!(host.secrets().contains(&session));
            assert!(changes(&host).is_empty());
            assert!(host.exchanges().iter().all(|(request, _)| request.cookies.is_empty()));
        }
    }

    #[test]
    fn only_a_site_of_the_own_group_can_be_signed_in_to() {
        for domain in ["stranger.example", "alias.example", "none.example"] {
            let stage = group();
            assert_eq!(
                fault(link(&stage.host(), json!({ "login_site": domain }))).class,
                FaultClass::NotFound,
                "{domain}"
            );
            assert!(stage.world().sessions.is_empty());
        }
    }

    #[test]
    fn no_session_is_no_link() {
        for how in [Break::Null { done: false }, Break::False { done: false }] {
            let stage = Stage::with_site();
            stage.breaks("admin_hijack", how);
            assert_eq!(fault(link(&stage.host(), json!({}))).class, FaultClass::PanelBug, "{how:?}");
        }
        let stage = Stage::with_site();

        let request = Login { service: stage::service(), product: stage::product(json!({})) };
        let bare = stage::provider_with(json!({ "api_key": "k" }));
        let refused = fault(stage.host().run(async |cx| bare.login(cx, request).await));
        assert!(refused.staff.contains("panel_url"), "{refused}");
    }
}
