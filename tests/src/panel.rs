//! What every fake panel has: an ear for HTTP, a memory of its calls, planned misfortune, and a handle for tests.
//!
//! A kind of panel is a [`World`]: what it takes, what that changes, and how it words an accident. Everything else is
//! here, so that a fault means the same wherever it strikes.

mod answer;
mod breakage;
mod control;
mod faults;
mod handle;
mod http;
mod ledger;
mod meddler;
mod running;
pub(crate) mod special;

#[cfg(test)]
pub(crate) mod client;

use std::fmt;

use serde::Serialize;

pub use answer::{Answer, Body};
pub use breakage::usual;
pub use faults::{EffectTiming, Fault, Plan, fits};
pub use handle::Panel;
pub use http::Request;
pub use ledger::{Call, Outcome};
pub use meddler::{Meddler, Passing};
pub use running::Running;

use crate::clock::PanelClock;

/// One kind of panel: its state and its rules.
///
/// Time never passes by itself: before every look and every call the world is told what time it is, and lets its queued
/// work come true up to then.
pub trait World: Clone + Sized + Send + 'static {
    /// What a panel starts with.
    type Config: Send + Sync + 'static;
    /// What a call can change; the default is nothing.
    type Effect: Copy + Default + PartialEq + fmt::Debug + Serialize + Send + Sync + 'static;
    /// A call that has passed the inspection.
    type Asked: Clone + Send + 'static;

    /// Every way in which a call can break on this panel.
    const FAULTS: &'static [Fault];

    /// A panel as its configuration says.
    fn new(config: &Self::Config) -> Self;

    /// The clock of the configuration.
    fn clock(config: &Self::Config) -> PanelClock;

    /// Whether `/_panel/…` is served, to look at the panel from outside.
    fn has_side_door(config: &Self::Config) -> bool;

    /// Which call this is. `None`: no address of the API; the client gets a web page with 404, and no fault counts it.
    fn place(&self, request: &Request) -> Option<Place>;

    /// Whether the call passes, and what it shows of the client's bugs. Changes nothing.
    fn inspect(&self, request: &Request, place: &Place) -> Inspection<Self::Asked>;

    /// Does what the call asks for. `number` is the call's in the ledger.
    fn carry_out(&mut self, number: u64, asked: &Self::Asked) -> Done<Self::Effect>;

    /// Lets the time pass up to `now_ms`.
    fn progress(&mut self, now_ms: u64);

    /// Says that a call is being held from now on, or no longer: meanwhile others overlap with it.
    fn held(&mut self, number: u64, is_held: bool) {
        let _ = (number, is_held);
    }

    /// A request's body as the ledger keeps it; a panel whose bodies hold passwords takes them out.
    fn written(&self, body: &str) -> String {
        body.to_owned()
    }

    /// What is sent for a fault in place of the true answer, which is empty where nothing was done; [`usual`] has a word
    /// for most of them.
    fn broken(&self, fault: Fault, request: &Request, answer: &Answer) -> Answer;

    /// Every broken invariant, as sentences.
    fn check(&self, calls: &[Call<Self::Effect>]) -> Vec<String>;

    /// Every password and token that a call or an answer has held or may hold.
    fn secrets(&self) -> Vec<String>;

    /// What the side door shows of this kind of panel alone; `None` when it has no such page.
    fn side_door(panel: &Panel<Self>, method: &str, path: &str, body: &[u8]) -> Option<Answer>;
}

/// Which call a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name in the ledger and, without what follows a `?`, in fault plans: the path below the API's address, or the
    /// command where one address takes them all.
    pub path: String,
    /// Whether such a call changes nothing by its nature.
    pub is_read: bool,
}

/// What an inspection found.
#[derive(Debug)]
pub struct Inspection<A> {
    /// The call, or the refusal that it gets.
    pub result: Result<A, Answer>,
    /// Bugs of the client, without the name of the call.
    pub violations: Vec<String>,
    /// Whether the credentials were the panel's.
    pub is_authentic: bool,
}

/// What a call did.
#[derive(Debug)]
pub struct Done<E> {
    /// The true answer.
    pub answer: Answer,
    /// What it changed.
    pub effect: E,
    /// Bugs of the fake itself, without the name of the call.
    pub bugs: Vec<String>,
}
