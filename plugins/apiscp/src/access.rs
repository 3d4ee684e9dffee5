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
