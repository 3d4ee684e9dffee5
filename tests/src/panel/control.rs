//! A side door for the demo: looks at the panel and plans faults from outside, without a token and off the ledger.

use serde::Deserialize;
use serde_json::{Value, json};

use super::World;
use super::answer::Answer;
use super::faults::{Fault, Plan};
use super::handle::Panel;

/// A plan as it is posted; without method and path the `nth` call of any kind is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedPlan {
    method: Option<String>,
    path: Option<String>,
    fault: String,
    #[serde(default = "one")]
    nth: u32,
    #[serde(default = "one")]
    repeat: u32,
}

fn one() -> u32 {
    1
}

pub(super) fn respond<W: World>(panel: &Panel<W>, method: &str, path: &str, body: &[u8]) -> Answer {
    let shown = |value| Answer::json(200, value);
    match (method, path) {
        ("GET", "/ledger") => {
            let (mut calls, secrets) = (panel.ledger(), panel.secrets());
            for body in calls.iter_mut().filter_map(|call| call.body.as_mut()) {
                for secret in &secrets {
                    *body = body.replace(secret.as_str(), "(secret)");
                }
            }
            shown(json!(calls))
        }
        ("GET", "/check") => shown(json!({ "violations": panel.violations(), "broken": panel.check() })),
        ("GET", "/faults") => {
            let names: Vec<&str> = W::FAULTS.iter().map(|fault| fault.name()).collect();
            shown(json!({ "known": names, "unfired": panel.unfired() }))
        }
        ("POST", "/fault") => match plan(W::FAULTS, body) {
            Ok(plan) => {
                panel.arm(plan);
                shown(json!({ "armed": true }))
            }
            Err(text) => Answer::refused(text),
        },
        ("POST", "/disarm") => {
            panel.disarm();
            shown(json!({ "armed": false }))
        }
        ("GET", "/stalled") => shown(json!({ "stalled": *panel.stalled().borrow() })),
        ("POST", "/release" | "/stall/release") => {
            panel.release();
            shown(Value::Bool(true))
        }
        _ => W::side_door(panel, method, path, body).unwrap_or_else(|| Answer::msg(404, "no such control")),
    }
}

fn plan(known: &[Fault], body: &[u8]) -> Result<Plan, String> {
    let posted: PostedPlan = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let fault = known.iter().find(|fault| fault.name() == posted.fault);
    let fault = *fault.ok_or_else(|| format!("unknown fault {}", posted.fault))?;
    let plan = match (&posted.method, &posted.path) {
        (Some(method), Some(path)) => Plan::on(method, path, fault).nth(posted.nth),
        (None, None) => Plan::nth_call(posted.nth, fault),
        _ => return Err("method and path go together".into()),
    };
    Ok(plan.repeat(posted.repeat))
}
