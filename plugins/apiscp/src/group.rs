//! Groups of sites: a master, whose invoice others name as their parent's.
//!
//! The panel takes an invoice wherever it takes a site, and then does the thing to the master and to all others of its
//! group. So each change says how many sites it may touch, and names them first.

use crate::lifecycle::Switch;
use crate::names;
use crate::panel::Doing;
use crate::site::{LIMITS, Site};
use crate::{ApisCp, api, call, package, panel};
use billhook_plugin_api::{Cx, Fault, Request, SendHandle, Time, every, within};
use billhook_soap::Param;
use serde_json::{Value, json};

/// How many names of sites a note shows.
const MAX_SHOWN: usize = 50;

/// The group of one invoice.
pub struct Group<'a> {
    panel: &'a ApisCp,
    invoice: &'a str,
}

/// What is done to a group.
pub enum Deed<'a> {
    Switch(Switch<'a>),
    /// A plan, or none, and limits.
    Edit {
        plan: Option<&'a str>,
        limits: api::Options,
    },
    /// Only those that have been suspended for so long, or all.
    Delete {
        since: Option<&'a str>,
    },
}

impl<'a> Group<'a> {
    /// # Errors
    ///
    /// `invalid_input` for an invoice that the panel could take for a site or a domain.
    pub fn new(panel: &'a ApisCp, invoice: &'a str) -> Result<Self, Fault> {
        Ok(Self { panel, invoice: names::checked_invoice(invoice)? })
    }

    /// The master, then the others.
    pub fn sites<'f>(&'f self, cx: &'f Cx, more: &'f [&'f str]) -> Doing<'f, Vec<Site>> {
        Box::pin(async move {
            let mut all: Vec<Site> = Vec::new();
            for field in ["billing.invoice", "billing.parent_invoice"] {
                let query = [(field, Param::text(self.invoice))];
                for site in self.panel.collect(cx, more, &query, &[]).await? {
                    let is_ours =
                        [&site.invoice, &site.parent_invoice].iter().any(|i| i.as_deref() == Some(self.invoice));
                    if is_ours && all.iter().all(|known| known.key != site.key) {
                        all.push(site);
                    }
                }
            }
            Ok(all)
        })
    }

    /// Does it, if it touches no more than `max` sites. What was done, as data for the action.
    pub async fn change(&self, cx: &Cx, deed: &Deed<'_>, max: u64) -> Result<(Value, bool), Fault> {
        let is_new = self.step(cx, deed, max).await?;
        if let Deed::Delete { since: None | Some("now") } = deed {
            cx.wait_until("gone", every(5.secs()), within(30.mins()), || async move {
                Ok(self.sites(cx, &[]).await?.iter().all(|site| deed.is_done(site)))
            })
            .await?;
        }
        let left = self.sites(cx, LIMITS).await?;
        // How long a site has been suspended is not shown, so that of an older date nothing can be said.
        let is_told = !matches!(deed, Deed::Delete { since: Some(since) } if *since != "now");
        if let Some(site) = left.iter().find(|site| is_told && !deed.is_done(site)) {
            return Err(Fault::panel_bug(format!("the panel accepted it, and {} is as before", site.label())));
        }
        Ok((json!({ "changed": is_new, "sites": shown(&left) }), is_new))
    }

    fn step<'f>(&'f self, cx: &'f Cx, deed: &'f Deed<'f>, max: u64) -> Doing<'f, bool> {
        Box::pin(async move { panel::effect(cx, "group", &|send| Box::pin(self.once(cx, deed, max, send))).await })
    }

    async fn once(&self, cx: &Cx, deed: &Deed<'_>, max: u64, send: SendHandle) -> Result<bool, Fault> {
        let sites = self.sites(cx, LIMITS).await?;
        if sites.is_empty() && !matches!(deed, Deed::Delete { .. }) {
            return Err(Fault::not_found(format!("the panel has no site of the group {}", self.invoice)));
        }
        let touched: Vec<&Site> = sites.iter().filter(|site| deed.touches(site)).collect();
        if touched.iter().all(|site| deed.is_done(site)) {
            return Ok(false);
        }
        let names: Vec<String> = touched.iter().take(MAX_SHOWN).map(|site| site.label()).collect();
        cx.note(format!("touches {} sites: {}", touched.len(), names.join(", ")));
        if touched.len() as u64 > max {
            return Err(Fault::invalid_input(format!(
                "the group {} has {} sites, and max_sites is {max}: see the action group_sites",
                self.invoice,
                touched.len(),
            ))
            .refused());
        }
        let (operation, request) = deed.request(self.panel, self.invoice)?;
        call::accepted(&send.call(request).await?, operation)?;
        Ok(true)
    }
}

impl Deed<'_> {
    /// Whether it is about this site of the group.
    fn touches(&self, site: &Site) -> bool {
        match self {
            Self::Delete { since: Some(_) } => site.active == Some(false),
            _ => true,
        }
    }

    fn is_done(&self, site: &Site) -> bool {
        match self {
            Self::Switch(to) => to.is_so(site),
            Self::Edit { plan, limits } => {
                plan.is_none_or(|plan| site.plan.as_deref() == Some(plan)) && package::has(site, limits)
            }
            Self::Delete { .. } => !self.touches(site),
        }
    }

    fn request(&self, panel: &ApisCp, invoice: &str) -> Result<(&'static str, Request), Fault> {
        let is_set = |name: &str| (name.to_owned(), Param::Bool(true));
        Ok(match self {
            Self::Switch(to) => return to.request(panel, invoice),
            Self::Edit { plan, limits } => {
                let mut options = limits.clone();
                let mut flags = Vec::new();
                if let Some(plan) = plan {
                    options.push(("siteinfo.plan".to_owned(), Param::text(*plan)));
                    flags.push(is_set("reset"));
                }
                (api::EDIT, panel.caller.edit(invoice, options, flags)?)
            }
            Self::Delete { since } => {
                let mut flags = vec![is_set("force")];
                if let Some(since) = since {
                    flags.push(("since".to_owned(), Param::text(*since)));
                }
                (api::DELETE, panel.caller.delete(invoice, flags)?)
            }
        })
    }
}

/// Sites as data.
pub fn shown(sites: &[Site]) -> Value {
    let one = |site: &Site| {
        json!({
            "site": site.key, "domain": site.domain, "plan": site.plan, "invoice": site.invoice,
            "parent_invoice": site.parent_invoice, "active": site.active,
        })
    };
    sites.iter().map(one).collect()
}
