//! What the hooks share: reads of the panel, and the site that a hook is about.

use crate::ApisCp;
use crate::names;
use crate::settings::Product;
use crate::site::{self, Site};
use crate::{api, call};
use billhook_plugin_api::{Cx, Fault, FaultClass, Request, Secret, SendHandle, Service};
use billhook_soap::{Node, Param, ReadError};
use std::pin::Pin;

/// How often a read is sent in all when the panel answers it with null, as it does now and then.
const MAX_ASKED: usize = 5;

/// Shorter than any name of a session, and longer than the words that are none.
const MIN_SESSION: usize = 8;

/// Something under way that hides what it is. What many hooks await is compiled once this way, and not into each of
/// them.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Reads by a call. One that is answered with null is sent again.
pub fn ask<'f, T: Send + 'f>(
    cx: &'f Cx,
    operation: &'static str,
    request: Result<Request, Fault>,
    reader: fn(Node<'_>) -> Result<T, ReadError>,
) -> Doing<'f, T> {
    Box::pin(async move {
        let request = request?;
        for _ in 0..MAX_ASKED {
            if let Some(value) = call::read(&cx.http(request.clone()).await?, operation, reader)? {
                return Ok(value);
            }
        }
        Err(Fault::panel_bug(format!("the panel answered {operation} with null, {MAX_ASKED} times")))
    })
}

impl ApisCp {
    /// Sites that match the filter, or that are named, or all. What the panel does not know is none.
    pub fn collect<'f>(
        &'f self,
        cx: &'f Cx,
        more: &[&str],
        query: &[(&str, Param)],
        sites: &[&str],
    ) -> Doing<'f, Vec<Site>> {
        let fields = [site::FIELDS, more].concat();
        let request = self.caller.collect(&fields, query, sites);
        Box::pin(async move {
            match ask(cx, api::COLLECT, request, site::sites).await {
                Err(fault) if is_gone(&fault) => Ok(Vec::new()),
                other => other,
            }
        })
    }

    /// Sites whose `field` (`billing.invoice` or `billing.parent_invoice`) is this invoice.
    pub fn billed<'f>(&'f self, cx: &'f Cx, field: &'static str, invoice: &'f str) -> Doing<'f, Vec<Site>> {
        Box::pin(async move {
            let mut sites = self.collect(cx, &[], &[(field, Param::text(invoice))], &[]).await?;
            // A filter that a panel does not understand must not make strangers ours.
            sites.retain(|site| {
                let billed = if field == "billing.invoice" { &site.invoice } else { &site.parent_invoice };
                billed.as_deref() == Some(invoice)
            });
            Ok(sites)
        })
    }

    /// The id of a site. Rows may have another key, and then the panel is asked by the domain.
    pub fn id_of<'f>(&'f self, cx: &'f Cx, site: &'f Site) -> Doing<'f, String> {
        Box::pin(async move {
            if names::is_site_id(&site.key) {
                return Ok(site.key.clone());
            }
            let number = ask(cx, api::SITE_ID, self.caller.site_id(&site.domain), api::number).await?;
            Ok(format!("site{number}"))
        })
    }

    /// The invoice that a service's site has, or is to have.
    pub fn invoice(&self, service: &Service) -> String {
        let kept = service.properties.get("invoice").and_then(serde_json::Value::as_str);
        kept.map_or_else(|| names::invoice(&self.invoice_prefix, service), str::to_owned)
    }

    /// Opens a session as a site's administrator. It is secret from here on, and good for one request that names it.
    pub fn session<'f>(&'f self, cx: &'f Cx, site: &'f Site, gate: &'static str) -> Doing<'f, Secret<String>> {
        Box::pin(async move {
            let request = self.caller.hijack(&site.key, site.admin_user.as_deref(), gate)?;
            let id = call::read(&cx.sign_in(request).await?, api::HIJACK, api::text)?.unwrap_or_default();
            // An error that nobody tells of comes as `false`, which is a text as well.
            if id.len() < MIN_SESSION || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(Fault::panel_bug(format!(
                    "the panel opened no session (admin_hijack) for {}",
                    site.label()
                )));
            }
            cx.secret(&id).await?;
            Ok(Secret::new(id))
        })
    }
}

/// Whether the panel says in its own words that it does not have the thing.
pub fn is_gone(fault: &Fault) -> bool {
    fault.class == FaultClass::NotFound && fault.refused
}

/// A service whose site a hook is about.
#[derive(Clone, Copy)]
pub struct Owned<'a> {
    pub panel: &'a ApisCp,
    pub service: &'a Service,
    pub product: &'a Product,
    /// The id of its site. Never a domain: that may be attached to another site by now, or to none.
    remote: &'a str,
}

impl<'a> Owned<'a> {
    /// Nothing is read yet.
    pub fn new(panel: &'a ApisCp, service: &'a Service, product: &'a Product) -> Result<Self, Fault> {
        product.check()?;
        let remote = service.remote_id.as_deref().map(str::trim).ok_or_else(|| {
            Fault::not_found("the service has no site: look for it on the panel, and enter its id, such as site12")
        })?;
        if !names::is_site_id(remote) {
            return Err(Fault::invalid_input(
                "the service's site is no id of the panel: enter the one that the panel shows, such as site12",
            ));
        }
        Ok(Self { panel, service, product, remote })
    }

    /// The site with its id as key; `None` when the panel has none.
    ///
    /// The id may have been given again. So nothing is ever done to a site that does not carry the service's invoice.
    pub fn find<'f>(self, cx: &'f Cx, more: &'f [&'f str]) -> Doing<'f, Option<Site>>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let mut sites = self.panel.collect(cx, more, &[], &[self.remote]).await?;
            // Rows may be keyed by something else; but one with the id of another site is that site.
            sites.retain(|site| site.key == self.remote || !names::is_site_id(&site.key));
            let mut site = match (sites.pop(), sites.is_empty()) {
                (None, _) => return Ok(None),
                (Some(site), true) => site,
                (Some(_), false) => {
                    return Err(Fault::panel_bug(format!("the panel has several sites for {}", self.remote)));
                }
            };
            let invoice = self.panel.invoice(self.service);
            if site.invoice.as_deref() != Some(&invoice) {
                return Err(Fault::not_found(format!(
                    "{} is not this service's: its invoice is {}, and should be {invoice}; nothing was changed",
                    site.label(),
                    site.invoice.as_deref().unwrap_or("none"),
                )));
            }
            site.key = self.remote.to_owned();
            Ok(Some(site))
        })
    }

    /// The site, read now, which must be there and be the service's.
    pub fn read<'f>(self, cx: &'f Cx) -> Doing<'f, Site>
    where
        'a: 'f,
    {
        self.read_with(cx, &[])
    }

    /// As [`Owned::read`], with more of its settings.
    pub fn read_with<'f>(self, cx: &'f Cx, more: &'f [&'f str]) -> Doing<'f, Site>
    where
        'a: 'f,
    {
        Box::pin(async move {
            self.find(cx, more)
                .await?
                .ok_or_else(|| Fault::not_found(format!("the panel has no {} any more", self.remote)))
        })
    }
}

/// What a look at the site says is to be sent; nothing, if it is so already.
pub type Next<'a> = &'a (dyn Fn(&Site) -> Result<Option<Request>, Fault> + Send + Sync);

/// What a step does: looks, and sends what is needed. Whether it sent anything.
pub type Work<'a> = &'a (dyn Fn(SendHandle) -> Doing<'a, bool> + Send + Sync);

/// A step that looks before it sends, and in doubt looks again. All of them are one here: a step's conversation with the
/// host is long, and would be there once for each of them.
pub fn effect<'f>(cx: &'f Cx, step: &'static str, work: Work<'f>) -> Doing<'f, bool> {
    Box::pin(cx.step(step).ensure(work))
}

/// The step of a change that sets a state of the site: it looks, and sends what is needed for it. In doubt it looks
/// again, and what is sent a second time sets the same. Whether anything was sent.
pub fn adjust<'f>(
    cx: &'f Cx,
    step: &'static str,
    operation: &'static str,
    owned: Owned<'f>,
    more: &'f [&'f str],
    next: Next<'f>,
) -> Doing<'f, bool> {
    Box::pin(async move {
        effect(cx, step, &|send| {
            Box::pin(async move {
                let Some(request) = next(&owned.read_with(cx, more).await?)? else { return Ok(false) };
                call::accepted(&send.call(request).await?, operation)?;
                Ok(true)
            })
        })
        .await
    })
}
