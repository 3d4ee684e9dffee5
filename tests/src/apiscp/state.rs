//! What the panel holds, and how it finds a site by what a call names it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::config::{ApiKey, Config, Knobs, Plan, base};
use super::value::Value;

/// Sites are numbered from here, and no number is ever given again.
const FIRST_SITE: u64 = 12;

/// The login throttle: so many failures within so long, and nobody from there is let in until the time is over.
pub(super) const MOST_FAILURES: usize = 20;
const FAILURE_WINDOW_MS: u64 = 900_000;

#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) id: u64,
    /// By `service.variable`, without passwords.
    pub(super) values: BTreeMap<String, Value>,
    /// What a call has set, and a plan has not.
    pub(super) customised: BTreeSet<String>,
    pub(super) password: String,
    pub(super) suspension: Option<Suspension>,
    pub(super) usage: Usage,
    /// Its creation did not come to its end.
    pub(super) is_half: bool,
    pub(super) is_deleted: bool,
    /// The number of the call that made it, 0 for a seeded one.
    pub(super) created_at_call: u64,
    /// What a site of somebody else looked like when the test put it there: it must stay so.
    pub(super) stranger: Option<Box<Site>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suspension {
    pub(super) at_ms: u64,
    pub(super) reason: String,
}

/// What a site uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// Of its quota.
    pub storage_kb: i64,
    /// How many.
    pub files: i64,
    /// In this period; a float on the wire.
    pub bandwidth_bytes: f64,
    /// Whether the panel has figures of it at all.
    pub is_known: bool,
}

impl Default for Usage {
    fn default() -> Self {
        Self { storage_kb: 1_048_576, files: 1_200, bandwidth_bytes: 15e9, is_known: true }
    }
}

/// A session that stands for somebody else than the key.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) sid: String,
    pub(super) identity: Identity,
    pub(super) gate: String,
    pub(super) ends_ms: u64,
}

/// Whom a call runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Admin { owner: String },
    Site { id: u64, user: String },
}

/// By what a call named a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Id,
    Domain,
    Alias,
    Invoice,
}

/// An ApisCP panel's whole state.
#[derive(Clone, Debug)]
pub struct World {
    /// Panel time of the look or call that is under way.
    pub(super) now_ms: u64,
    pub(super) knobs: Knobs,
    pub(super) keys: Vec<ApiKey>,
    pub(super) plans: Vec<Plan>,
    pub(super) hostname: String,
    pub(super) sites: Vec<Site>,
    pub(super) sessions: Vec<Session>,
    /// Jail and address.
    pub(super) bans: BTreeSet<(String, String)>,
    /// Where calls come from; what an unnamed address means.
    pub(super) own_address: String,
    /// When somebody failed to log in. Failing is no effect of a call, and is noted while calls are looked at.
    failures: RefCell<Vec<u64>>,
    /// How many sites are wanted in all; one where nothing is said.
    pub(super) expected_sites: usize,
    /// Invoices by which groups may be changed.
    pub(super) expected_groups: BTreeSet<String>,
    /// Creations that shall stop halfway.
    pub(super) half_creates: u32,
    /// What calls have done that none may.
    pub(super) breaches: Vec<String>,
    /// Everything that a call or an answer held and a log must not.
    pub(super) secrets: Vec<String>,
    serial: u64,
}

impl World {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            now_ms: config.clock.now_ms(),
            knobs: config.knobs.clone(),
            keys: config.keys.clone(),
            plans: config.plans.clone(),
            hostname: config.hostname.clone(),
            sites: Vec::new(),
            sessions: Vec::new(),
            bans: BTreeSet::new(),
            own_address: "198.51.100.4".into(),
            failures: RefCell::default(),
            expected_sites: 1,
            expected_groups: BTreeSet::new(),
            half_creates: 0,
            breaches: Vec::new(),
            secrets: Vec::new(),
            serial: 0,
        }
    }

    /// A secret of 32 letters and digits that is the same in every run and remembered.
    pub(super) fn secret(&mut self) -> String {
        self.serial += 1;
        let half = |factor: u64| self.serial.wrapping_mul(factor).rotate_left(23);
        let secret = format!("{:016x}{:016x}", half(0xD6E8_FEB8_6659_FD93), half(0x9E37_79B9_7F4A_7C15));
        self.secrets.push(secret.clone());
        secret
    }

    pub(super) fn next_site_id(&self) -> u64 {
        FIRST_SITE + self.sites.len() as u64
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(|site| !site.is_deleted)
    }

    pub(super) fn site(&self, id: u64) -> Option<&Site> {
        self.live().find(|site| site.id == id)
    }

    pub(super) fn site_mut(&mut self, id: u64) -> Option<&mut Site> {
        self.sites.iter_mut().find(|site| site.id == id && !site.is_deleted)
    }

    pub(super) fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name == name)
    }

    /// What the panel understands by a name of a site, in its order: id, primary domain, add-on domain, invoice. An invoice
    /// means all sites that have it, as their own or as their parent's.
    pub(super) fn resolve(&self, name: &str) -> Option<(Named, Vec<u64>)> {
        let one = |named, found: Option<&Site>| found.map(|site| (named, vec![site.id]));
        if let Some(number) = name.strip_prefix("site").and_then(|number| number.parse::<u64>().ok()) {
            return one(Named::Id, self.site(number));
        }
        let by_domain = one(Named::Domain, self.live().find(|site| site.text("siteinfo.domain") == Some(name)));
        let by_alias = || one(Named::Alias, self.live().find(|site| site.aliases().contains(&name)));
        let by_invoice = || {
            let group: Vec<u64> = self.live().filter(|site| site.is_in_group(name)).map(|site| site.id).collect();
            (!group.is_empty()).then_some((Named::Invoice, group))
        };
        by_domain.or_else(by_alias).or_else(by_invoice)
    }

    /// Whether somebody on this server has the domain, besides this site.
    pub(super) fn has_domain(&self, domain: &str, but: Option<u64>) -> bool {
        let mut others = self.live().filter(|site| Some(site.id) != but);
        others.any(|site| site.text("siteinfo.domain") == Some(domain) || site.aliases().contains(&domain))
    }

    /// Whether somebody on this server has the user name, besides this site.
    pub(super) fn has_user(&self, user: &str, but: Option<u64>) -> bool {
        self.live().any(|site| Some(site.id) != but && site.text("siteinfo.admin_user") == Some(user))
    }

    pub(super) fn progress(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    pub(super) fn note_failure(&self) {
        self.failures.borrow_mut().push(self.now_ms);
    }

    /// Failures of the last while.
    pub(super) fn failures(&self) -> usize {
        let since_ms = self.now_ms.saturating_sub(FAILURE_WINDOW_MS);
        self.failures.borrow().iter().filter(|at_ms| **at_ms > since_ms).count()
    }

    /// Failures in all.
    pub(super) fn all_failures(&self) -> usize {
        self.failures.borrow().len()
    }
}

impl Site {
    /// A site with what the default plan says.
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            values: base().into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            customised: BTreeSet::new(),
            password: String::new(),
            suspension: None,
            usage: Usage::default(),
            is_half: false,
            is_deleted: false,
            created_at_call: 0,
            stranger: None,
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str)
    }

    pub(super) fn aliases(&self) -> Vec<&str> {
        self.values.get("aliases.aliases").into_iter().flat_map(Value::items).filter_map(Value::as_str).collect()
    }

    pub(super) fn is_in_group(&self, invoice: &str) -> bool {
        [self.text("billing.invoice"), self.text("billing.parent_invoice")].contains(&Some(invoice))
    }

    /// Gives it what a plan says where nobody has said otherwise; with a reset, that is forgotten first.
    pub(super) fn put_on(&mut self, plan: &Plan, reset: bool) {
        if reset {
            // Neither passwords nor add-on domains nor invoices, nor who the site is.
            let stays =
                |key: &str| ["siteinfo.", "auth.", "aliases.", "billing."].iter().any(|own| key.starts_with(own));
            self.customised.retain(|key| stays(key));
        }
        let base = base().into_iter().map(|(key, value)| (key.to_owned(), value));
        let said = base.chain(plan.values.clone());
        let said: BTreeMap<String, Value> = said.collect();
        for (key, value) in said {
            let is_of_a_plan = !["siteinfo.", "auth.", "aliases.", "billing."].iter().any(|own| key.starts_with(own));
            if is_of_a_plan && !self.customised.contains(&key) {
                self.values.insert(key, value);
            }
        }
        self.values.insert("siteinfo.plan".into(), Value::text(&plan.name));
    }

    /// The quota in KB; 0 for none.
    pub(super) fn quota_kb(&self) -> i64 {
        let kb = self.bytes("diskquota.quota", "diskquota.units") / 1024.0;
        // A quota is far from where a float would lose whole numbers.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        let kb = kb as i64;
        kb
    }

    /// The threshold in bytes; 0 for none.
    pub(super) fn threshold(&self) -> i64 {
        let bytes = self.bytes("bandwidth.threshold", "bandwidth.units");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a threshold is far from where a float loses whole numbers"
        )]
        let bytes = bytes as i64;
        bytes
    }

    fn bytes(&self, amount: &str, units: &str) -> f64 {
        let amount = self.values.get(amount).and_then(Value::printed).and_then(|text| text.parse::<f64>().ok());
        let unit = match self.text(units) {
            Some("KB") => 1_024.0,
            Some("MB") => 1_048_576.0,
            Some("GB") => 1_073_741_824.0,
            Some("TB") => 1_099_511_627_776.0,
            _ => 1.0,
        };
        amount.unwrap_or(0.0).max(0.0) * unit
    }
}
