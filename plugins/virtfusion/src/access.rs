//! `console` and `login`: ways in that are good once. Both are asked for anew each time and kept nowhere.

use crate::VirtFusion;
use crate::api::{access, guest};
use crate::owner::Relation;
use crate::panel::Owned;
use crate::settings::Product;
use billhook_plugin_api::{Console, ConsoleAccess, Cx, Fault, FaultClass, Login, LoginLink, Secret};

/// Opens the machine's screen over VNC. Enabling it makes a new key, and the old one ends.
pub async fn console(panel: &VirtFusion, cx: &Cx, request: Console<Product>) -> Result<ConsoleAccess, Fault> {
    let Console { service, product } = request;
    let owned = Owned::new(panel, &service, &product)?;
    let origin = panel.origin("a console")?;
    let (server, _) = owned.read_with_power(cx).await?;
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
pub async fn login(panel: &VirtFusion, cx: &Cx, request: Login<Product>) -> Result<LoginLink, Fault> {
    let Login { service, product } = request;
    let owned = Owned::new(panel, &service, &product)?;
    let relation = owned.relation("a login link")?;
    let origin = panel.origin("a login link")?;
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
