//! What each operation does to the panel and what it answers. Every call here has passed the inspection.

mod change;
mod edit;
mod login;
mod read;

use super::ledger::Effect;
use super::ops::{Op, wsdl};
use super::rules::{self, Accepted, Asked};
use super::soap;
use super::state::{Identity, Site, World};
use super::value::{Key, Value};
use crate::panel::Answer;

/// Why an operation did nothing, or not all of it.
pub(super) struct Refusal {
    text: String,
    /// Ends the call, whatever the caller wants to be told.
    is_fatal: bool,
    /// What was done all the same.
    effect: Effect,
}

/// An ordinary error: the call ends with `false`, or with a fault where the caller wants that.
pub(super) fn error(text: impl Into<String>) -> Refusal {
    Refusal { text: text.into(), is_fatal: false, effect: Effect::None }
}

type Reply = Result<(Value, Effect), Refusal>;

/// Carries out a call. `number` is its in the ledger.
pub(super) fn respond(world: &mut World, number: u64, asked: &Asked) -> (Answer, Effect) {
    let asked = match asked {
        Asked::Wsdl => {
            let text = wsdl(&format!("https://{}:2083", world.hostname));
            return (rules::xml(200, text), Effect::None);
        }
        Asked::Call(asked) => asked,
    };
    let operation = asked.operation.name;
    match dispatch(world, number, asked) {
        Ok((value, effect)) => (rules::xml(200, soap::answer(operation, &value)), effect),
        Err(refusal) if refusal.is_fatal || asked.aborts => (rules::fault("Server", &refusal.text), refusal.effect),
        Err(refusal) => (rules::xml(200, soap::answer(operation, &Value::Bool(false))), refusal.effect),
    }
}

fn dispatch(world: &mut World, number: u64, asked: &Accepted) -> Reply {
    match asked.operation.op {
        Op::Whoami => told(Value::text(match &asked.caller {
            Identity::Admin { owner } => owner,
            Identity::Site { user, .. } => user,
        })),
        Op::ListPlans => told(Value::List(world.plans.iter().map(|plan| Value::text(&plan.name)).collect())),
        Op::GetPlan => read::plan(world, asked),
        Op::AddSite => change::add(world, number, asked),
        Op::EditSite => edit::edit(world, asked),
        Op::DeactivateSite => change::suspend(world, asked),
        Op::ActivateSite => change::activate(world, asked),
        Op::DeleteSite => change::delete(world, asked),
        Op::Collect => read::collect(world, asked),
        Op::GetUsage => read::usage(world, asked),
        Op::GetDomains => {
            let domains = world.live().map(|site| {
                let number = i64::try_from(site.id).unwrap_or(i64::MAX);
                (Key::Int(number), Value::maybe(site.text("siteinfo.domain")))
            });
            let domains: Vec<_> = domains.collect();
            told(if domains.is_empty() { Value::List(Vec::new()) } else { Value::Map(domains) })
        }
        Op::GetSiteId => {
            let found = asked.text("domain").and_then(|domain| world.resolve(&domain)).map(|(_, ids)| ids[0]);
            told(found.and_then(|id| i64::try_from(id).ok()).map_or(Value::Null, Value::Int))
        }
        Op::GetMeta => read::meta(world, asked),
        Op::Hijack => login::hijack(world, asked),
        Op::ChangePassword => login::change_password(world, asked),
        Op::IsInactive => told(Value::Bool(own(world, asked).is_some_and(|site| site.suspension.is_some()))),
        Op::InactiveReason => login::reason(world, asked),
        Op::SessionInfo => login::session_info(world, asked),
        Op::AccountQuota => read::quota(world, asked),
        Op::BandwidthUsage => read::bandwidth(world, asked),
        Op::CpVersion => {
            let version = [("ver_maj", Value::Int(3)), ("ver_min", Value::Int(2)), ("ver_patch", Value::Int(45))];
            match asked.text("field").filter(|field| !field.is_empty()) {
                None => told(Value::map(version)),
                Some(field) => told(Value::map(version).get(&field).cloned().unwrap_or(Value::Null)),
            }
        }
        Op::Load => {
            let loads = [(1, "0.31"), (5, "0.42"), (15, "0.40")];
            told(Value::Map(loads.map(|(minutes, load)| (Key::Int(minutes), Value::text(load))).into()))
        }
        Op::Uptime => match asked.value("pretty") {
            Value::Bool(false) => told(Value::Int(864_000)),
            _ => told(Value::text("10 days")),
        },
        Op::IsBanned => login::is_banned(world, asked),
        Op::Unban => login::unban(world, asked),
    }
}

fn told(value: Value) -> Reply {
    Ok((value, Effect::None))
}

fn done(effect: Effect) -> Reply {
    Ok((Value::Bool(true), effect))
}

/// The site that the call runs as.
fn own<'a>(world: &'a World, asked: &Accepted) -> Option<&'a Site> {
    match asked.caller {
        Identity::Site { id, .. } => world.site(id),
        Identity::Admin { .. } => None,
    }
}
