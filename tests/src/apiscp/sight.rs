//! Sites as a test sees them, and sites that a test puts there.

use serde::Serialize;

use super::state::{Site, Suspension, World};
use super::value::Value;

/// A site as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteView {
    /// The N of `siteN`.
    pub id: u64,
    /// The primary domain.
    pub domain: String,
    /// The administrator's name.
    pub user: String,
    /// The administrator's password.
    pub password: String,
    /// Where the panel writes to.
    pub email: String,
    /// The plan.
    pub plan: String,
    /// Its own invoice.
    pub invoice: Option<String>,
    /// The invoice that it stands below.
    pub parent_invoice: Option<String>,
    /// Add-on domains.
    pub aliases: Vec<String>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// What the customer is told of that.
    pub reason: Option<String>,
    /// The quota in KB; 0 for none.
    pub quota_kb: i64,
    /// Whether its creation did not come to its end.
    pub is_half: bool,
    /// The number of the call that made it, 0 for a seeded one.
    pub created_at_call: u64,
}

impl SiteView {
    pub(super) fn of(site: &Site) -> Self {
        let text = |key: &str| site.text(key).map(str::to_owned);
        Self {
            id: site.id,
            domain: text("siteinfo.domain").unwrap_or_default(),
            user: text("siteinfo.admin_user").unwrap_or_default(),
            password: site.password.clone(),
            email: text("siteinfo.email").unwrap_or_default(),
            plan: text("siteinfo.plan").unwrap_or_default(),
            invoice: text("billing.invoice"),
            parent_invoice: text("billing.parent_invoice"),
            aliases: site.aliases().into_iter().map(str::to_owned).collect(),
            suspended: site.suspension.is_some(),
            reason: site.suspension.as_ref().map(|suspension| suspension.reason.clone()),
            quota_kb: site.quota_kb(),
            is_half: site.is_half,
            created_at_call: site.created_at_call,
        }
    }

    /// As calls name it.
    pub fn name(&self) -> String {
        format!("site{}", self.id)
    }
}

/// A site to put on the panel.
#[derive(Clone, Debug)]
pub struct SiteSeed {
    /// The primary domain.
    pub domain: String,
    /// The administrator's name.
    pub user: String,
    /// Its own invoice.
    pub invoice: Option<String>,
    /// The invoice that it stands below.
    pub parent_invoice: Option<String>,
    /// Add-on domains.
    pub aliases: Vec<String>,
    /// Since when it is suspended, and why.
    pub suspended: Option<(u64, String)>,
    /// Whether the client under test may change it.
    pub ours: bool,
}

impl SiteSeed {
    /// Somebody else's site with this domain and this administrator.
    pub fn strange(domain: &str, user: &str) -> Self {
        Self {
            domain: domain.into(),
            user: user.into(),
            invoice: None,
            parent_invoice: None,
            aliases: Vec::new(),
            suspended: None,
            ours: false,
        }
    }

    /// A site that stands below an invoice, and may be changed with its group.
    pub fn child(domain: &str, user: &str, parent_invoice: &str) -> Self {
        Self { parent_invoice: Some(parent_invoice.into()), ours: true, ..Self::strange(domain, user) }
    }
}

impl World {
    pub(super) fn seed_site(&mut self, seed: SiteSeed) -> u64 {
        let id = self.next_site_id();
        let mut site = Site::new(id);
        let ctime = i64::try_from(self.now_ms / 1_000).unwrap_or(i64::MAX);
        let values = [
            ("siteinfo.domain", Value::text(seed.domain)),
            ("siteinfo.admin_user", Value::text(seed.user)),
            ("billing.invoice", Value::maybe(seed.invoice.as_deref())),
            ("billing.parent_invoice", Value::maybe(seed.parent_invoice.as_deref())),
            ("billing.ctime", Value::Int(ctime)),
            ("aliases.aliases", Value::List(seed.aliases.into_iter().map(Value::Text).collect())),
        ];
        site.values.extend(values.map(|(key, value)| (key.to_owned(), value)));
        site.password = self.secret();
        site.suspension = seed.suspended.map(|(at_ms, reason)| Suspension { at_ms, reason });
        if !seed.ours {
            site.stranger = Some(Box::new(site.clone()));
        }
        self.sites.push(site);
        id
    }
}
