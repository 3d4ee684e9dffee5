pub mod apiscp;
pub mod dcimanager;
pub mod rootpanel;
pub mod solidcp;
pub mod virtfusion;

use billhook::operation::State;
use billhook_plugin_api::Hook;
use billhook_tests::crash_host::Answer;
use billhook_tests::harness::{PanelOf, Process, Provider, Rig, Setup};
use billhook_tests::panel::World;
use std::fmt::Debug;

/// The service that every hook is about.
pub const SERVICE: &str = "1007";

/// A hook, what comes before it, and what the panel holds when it has happened once.
pub struct Scenario<P: Provider> {
    /// In the report.
    pub name: &'static str,
    /// Which hook is killed.
    pub hook: Hook,
    /// What runs undisturbed before it.
    pub before: &'static [Hook],
    /// Lines of the product's settings.
    pub product: &'static str,
    /// The panel's manners.
    pub panel: fn(&mut <P::World as World>::Config),
    /// How the hook ends.
    pub ends: State,
    /// Every effect that it has, once each.
    pub effects: &'static [&'static str],
    /// Those that are the same when they come twice, so that the provider does not wait before it sends again.
    pub repeatable: &'static [&'static str],
    /// Whether the panel is as the hook wants it.
    pub holds: fn(&PanelOf<P>) -> bool,
    /// Where a person must decide, with the reason that the contract gives: a part of a point's name, and why.
    pub attention: &'static [(&'static str, &'static str)],
}

impl<P: Provider> Scenario<P> {
    /// A panel and a folder in which all that comes before the hook has happened.
    pub async fn prepare(&self) -> Rig<P> {
        let product = format!("{}{}\n", P::PRODUCT, self.product);
        let setup = Setup { product: Some(product), ..Setup::default() };
        let rig = Rig::beside(setup, self.panel);
        if !self.before.is_empty() {
            // By a process as well: a host within this one would hand its lock on to what is started beside it.
            let mut process = Process::start(&rig, None).await;
            for (number, hook) in self.before.iter().enumerate() {
                let accepted = process.ask(Process::hook(*hook, SERVICE, &format!("before-{number}"))).await;
                let Ok(Answer::Accepted { operation }) = accepted else {
                    panic!("{hook} before {}: {accepted:?}", self.name);
                };
                let ended = process.drive(&operation, |_| {}).await;
                assert!(matches!(&ended, Ok(sight) if sight.state == State::Succeeded), "{hook}: {ended:?}");
            }
            process.stop().await;
        }
        rig
    }
}

/// The kind of an effect, without the id of what changed.
pub fn kind(effect: impl Debug) -> String {
    let text = format!("{effect:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}
