//! What a test asks an ApisCP panel, and the panel as a world.

use serde::Deserialize;
use serde_json::json;

use super::config::{ApiKey, Config, Knobs};
use super::ledger::{Call, Effect};
use super::rules::{self, Asked};
use super::sight::{SiteSeed, SiteView};
use super::state::{Suspension, Usage, World};
use super::value::Value;
use super::{api, check, faults, soap};
use crate::clock::PanelClock;
use crate::outside;
use crate::panel::{self, Answer, Done, Fault, Inspection, Place, Request};

/// A handle on a panel; clones share it.
pub type Panel = panel::Panel<World>;

impl Panel {
    /// The sites that are there, in the order of their making.
    pub fn sites(&self) -> Vec<SiteView> {
        self.with(|world| world.live().map(SiteView::of).collect())
    }

    /// The site of this id, if it is there.
    pub fn site(&self, id: u64) -> Option<SiteView> {
        self.with(|world| world.site(id).map(SiteView::of))
    }

    /// Says that this many sites are wanted in all.
    pub fn expect_sites(&self, count: usize) {
        self.with(|world| world.expected_sites = count);
    }

    /// Says that the sites of this invoice may be changed as a group.
    pub fn expect_group(&self, invoice: &str) {
        self.with(|world| world.expected_groups.insert(invoice.to_owned()));
    }

    /// Changes the panel's manners from now on.
    pub fn tune(&self, change: impl FnOnce(&mut Knobs)) {
        self.with(|world| change(&mut world.knobs));
    }

    /// Puts a site there without a call; gives its id. [`Panel::check`] reports a change to it unless the seed says that
    /// it is ours.
    pub fn seed_site(&self, seed: SiteSeed) -> u64 {
        self.with(|world| world.seed_site(seed))
    }

    /// Deletes a site behind the client's back.
    pub fn remove_site(&self, id: u64) {
        self.with(|world| {
            if let Some(site) = world.site_mut(id) {
                site.is_deleted = true;
            }
        });
    }

    /// Suspends a site behind the client's back, as the panel does by itself when bandwidth runs out; `None` activates it.
    pub fn set_suspended(&self, id: u64, reason: Option<&str>) {
        self.with(|world| {
            let at_ms = world.now_ms;
            if let Some(site) = world.site_mut(id) {
                site.suspension = reason.map(|reason| Suspension { at_ms, reason: reason.into() });
            }
        });
    }

    /// Changes a service variable behind the client's back.
    pub fn set_value(&self, id: u64, key: &str, value: Value) {
        self.with(|world| {
            if let Some(site) = world.site_mut(id) {
                site.values.insert(key.to_owned(), value);
            }
        });
    }

    /// Says what a site uses.
    pub fn set_usage(&self, id: u64, usage: Usage) {
        self.with(|world| {
            if let Some(site) = world.site_mut(id) {
                site.usage = usage;
            }
        });
    }

    /// Lets the next creations stop halfway: the site is there, and the call fails.
    pub fn break_creates(&self, count: u32) {
        self.with(|world| world.half_creates = count);
    }

    /// Puts an address into a jail of the firewall.
    pub fn ban(&self, jail: &str, address: &str) {
        self.with(|world| world.bans.insert((jail.to_owned(), address.to_owned())));
    }

    /// The jails that an address is in.
    pub fn jails(&self, address: &str) -> Vec<String> {
        self.with(|world| {
            world.bans.iter().filter(|(_, banned)| banned == address).map(|(jail, _)| jail.clone()).collect()
        })
    }

    /// The end of a session that was handed out, as the identity that it stands for and the gate that it is good for;
    /// `None` when it is over or was never opened.
    pub fn session(&self, sid: &str) -> Option<(String, String)> {
        self.with(|world| {
            let session = world.sessions.iter().find(|session| session.sid == sid)?;
            let whose = match &session.identity {
                super::state::Identity::Admin { owner } => owner.clone(),
                super::state::Identity::Site { id, .. } => format!("site{id}"),
            };
            (session.ends_ms > world.now_ms).then(|| (whose, session.gate.clone()))
        })
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.with(|world| world.sessions.iter().filter(|session| session.ends_ms > world.now_ms).count())
    }

    /// Failed logins of the last while: what the throttle counts.
    pub fn failed_logins(&self) -> usize {
        self.with(|world| world.failures())
    }

    /// Takes keys in place of those that there were.
    pub fn set_keys(&self, keys: Vec<ApiKey>) {
        self.with(|world| world.keys = keys);
    }

    /// What is wrong with the calls so far by the types of the contract's WSDL, as an outside program sees it. Operations that
    /// the contract describes without types are left out.
    pub fn complaints(&self) -> Vec<String> {
        let calls = self.ledger();
        let described = calls.iter().filter(|call| {
            call.method == "POST" && super::ops::operation(&call.path).is_none_or(|operation| operation.is_described)
        });
        outside::complaints("apiscp/apnscp-subset.wsdl", described.map(|call| call.body.as_deref().unwrap_or_default()))
    }
}

/// A site by its id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedSite {
    id: u64,
    reason: Option<String>,
}

/// An address in a jail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedBan {
    jail: String,
    address: String,
}

impl panel::World for World {
    type Config = Config;
    type Effect = Effect;
    type Asked = Asked;

    const FAULTS: &'static [Fault] = faults::ALL;

    fn new(config: &Config) -> Self {
        Self::new(config)
    }

    fn clock(config: &Config) -> PanelClock {
        config.clock.clone()
    }

    fn has_side_door(config: &Config) -> bool {
        config.control
    }

    fn place(&self, request: &Request) -> Option<Place> {
        // The query holds the key, and is no part of any name.
        let path = request.target.split('?').next().unwrap_or_default();
        match path {
            rules::PATH => {
                let name = rules::name_of(request);
                let is_read = super::ops::operation(&name).is_none_or(|operation| operation.is_read);
                Some(Place { path: name, is_read })
            }
            rules::WSDL => Some(Place { path: path.to_owned(), is_read: true }),
            _ => None,
        }
    }

    fn inspect(&self, request: &Request, _place: &Place) -> Inspection<Asked> {
        rules::inspect(self, request)
    }

    fn carry_out(&mut self, number: u64, asked: &Asked) -> Done<Effect> {
        let (answer, effect) = api::respond(self, number, asked);
        Done { answer, effect, bugs: Vec::new() }
    }

    fn progress(&mut self, now_ms: u64) {
        self.progress(now_ms);
    }

    fn broken(&self, fault: Fault, request: &Request, answer: &Answer) -> Answer {
        faults::broken(fault, request, answer)
    }

    fn check(&self, calls: &[Call]) -> Vec<String> {
        check::check(self, calls)
    }

    fn secrets(&self) -> Vec<String> {
        let keys = self.keys.iter().map(|key| key.key.clone());
        let plain: Vec<String> = self.secrets.iter().cloned().chain(keys).filter(|secret| !secret.is_empty()).collect();
        let escaped = plain.iter().map(|secret| soap::escape(secret)).filter(|secret| !plain.contains(secret));
        let escaped: Vec<String> = escaped.collect();
        plain.into_iter().chain(escaped).collect()
    }

    fn side_door(panel: &Panel, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        let site = || serde_json::from_slice::<PostedSite>(body).map_err(|error| error.to_string());
        let shown = match (method, path) {
            ("GET", "/sites") => Ok(json!(panel.sites())),
            ("POST", "/suspend") => {
                site().map(|posted| panel.set_suspended(posted.id, posted.reason.as_deref())).map(|()| json!(true))
            }
            ("POST", "/remove") => site().map(|posted| panel.remove_site(posted.id)).map(|()| json!(true)),
            ("POST", "/ban") => {
                let posted = serde_json::from_slice::<PostedBan>(body).map_err(|error| error.to_string());
                posted.map(|posted| panel.ban(&posted.jail, &posted.address)).map(|()| json!(true))
            }
            _ => return None,
        };
        Some(shown.map_or_else(Answer::refused, |shown| Answer::json(200, shown)))
    }
}
