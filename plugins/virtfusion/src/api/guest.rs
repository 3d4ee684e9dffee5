//! The machine itself: power, tasks, systems and the administrator's password.

use super::{Value, body, data, get, list, no_data, post, server_data};
use crate::fault;
use billhook_plugin_api::{Fault, Reply, Request, Secret};
use serde_json::json;

/// The panel's four power calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerCall {
    Boot,
    PowerOff,
    Shutdown,
    Restart,
}

impl PowerCall {
    const fn word(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::PowerOff => "poweroff",
            Self::Shutdown => "shutdown",
            Self::Restart => "restart",
        }
    }
}

/// "Boot", "shutdown", "restart" and "poweroff a server".
pub fn power(id: u64, call: PowerCall) -> Request {
    post(format!("/servers/{id}/power/{}", call.word()))
}

/// Reads the task of an accepted power call; `None` when nothing was queued.
pub fn power_reply(reply: &Reply) -> Result<Option<u64>, Fault> {
    fault::check(reply, &[200])?;
    Ok(data(reply)?["queueId"].as_u64())
}

/// "Retrieve a queue item".
pub fn task(queue_id: u64) -> Request {
    get(format!("/queue/{queue_id}"))
}

/// How far a task of the panel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    Running,
    Over,
    /// With the panel's own words, if it has some.
    Failed(Option<String>),
}

/// Reads a task. One that the panel has forgotten is over: it was there when its number was given out.
pub fn task_reply(reply: &Reply) -> Result<Task, Fault> {
    if fault::is_gone(reply) {
        return Ok(Task::Over);
    }
    fault::check(reply, &[200])?;
    let task = data(reply)?;
    Ok(match (task["failed"].as_bool(), task["finished"].is_string()) {
        (Some(true), _) => Task::Failed(task["errors"]["exception"]["message"].as_str().map(str::to_owned)),
        (_, true) => Task::Over,
        (_, false) => Task::Running,
    })
}

/// "Reset a server password". The panel would mail the new one to the customer if it were not told otherwise.
pub fn reset_password(id: u64, user: &str) -> Request {
    post(format!("/servers/{id}/resetPassword")).json(&json!({ "user": user, "sendMail": false }))
}

/// Reads the task that sets the password, and the password that it sets.
pub fn reset_password_reply(reply: &Reply) -> Result<(Option<u64>, Secret<String>), Fault> {
    fault::check(reply, &[200])?;
    let reset = data(reply)?;
    match reset["expectedPassword"].as_str() {
        Some(password) if !password.is_empty() => Ok((reset["queueId"].as_u64(), Secret::new(password.to_owned()))),
        _ => Err(no_data(reply)),
    }
}

/// "Retrieve OS templates available to a server".
pub fn templates(id: u64) -> Request {
    get(format!("/servers/{id}/templates"))
}

/// "Retrieve OS templates that are available for a package".
pub fn templates_of_package(package: u64) -> Request {
    get(format!("/media/templates/fromServerPackageSpec/{package}"))
}

/// A system that can be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub id: u64,
    pub label: String,
    pub is_windows: bool,
}

/// Reads systems out of their groups.
pub fn templates_reply(reply: &Reply) -> Result<Vec<Template>, Fault> {
    fault::check(reply, &[200])?;
    let body = body(reply)?;
    let groups = body["data"].as_array().ok_or_else(|| no_data(reply))?;
    Ok(groups.iter().flat_map(|group| list(&group["templates"])).filter_map(template).collect())
}

/// What has no number cannot be installed, and is no reason to show nothing.
fn template(row: &Value) -> Option<Template> {
    let words = ["name", "version", "variant"].into_iter().filter_map(|member| row[member].as_str());
    let mut label = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if row["eol"] == true {
        label.push_str(" (end of life)");
    }
    Some(Template { id: row["id"].as_u64()?, label, is_windows: row["type"] == "windows" })
}

/// "Enable or disable VNC". A new *enable* makes a new key.
pub fn vnc(id: u64, enable: bool) -> Request {
    let action = if enable { "enable" } else { "disable" };
    post(format!("/servers/{id}/vnc")).json(&json!({ "action": action }))
}

/// Where a machine's screen is.
pub struct Screen {
    /// A path on the panel's host that holds the key.
    pub path: String,
    pub password: Option<Secret<String>>,
}

/// Reads the answer to an enabled [`vnc`]. Its member `enabled` is not looked at: panels have left it false while the
/// socket worked.
pub fn vnc_reply(reply: &Reply) -> Result<Screen, Fault> {
    fault::check(reply, &[200])?;
    let data = data(reply)?;
    let path = super::panel_path(&data["vnc"]["wss"]["url"], "data.vnc.wss.url")?;
    let password = data["vnc"]["password"].as_str().filter(|password| !password.is_empty());
    Ok(Screen { path, password: password.map(|password| Secret::new(password.to_owned())) })
}

/// What the hypervisor measured.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Bytes in use on all file systems; the guest's agent tells.
    pub disk: Option<u64>,
    /// Bytes in use.
    pub memory: Option<u64>,
}

/// Reads what the hypervisor says of a running machine; whatever cannot be read is not known.
///
/// Source of the members: public clients. Memory comes in two shapes, in KB: from the balloon, and from the agent.
pub fn measured(reply: &Reply) -> Result<Measured, Fault> {
    let server = server_data(reply)?;
    let remote = &server["remoteState"];
    let memory = &remote["memory"];
    let pair = match (number(&memory["memtotal"]), number(&memory["memfree"])) {
        (Some(total), Some(free)) => Some((total, free)),
        _ => number(&memory["available"]).or_else(|| number(&memory["actual"])).zip(number(&memory["unused"])),
    };
    // No file system is not the same as an empty one.
    let disks = remote["agent"]["fsinfo"].as_array().filter(|disks| !disks.is_empty());
    Ok(Measured {
        disk: disks.and_then(|disks| disks.iter().map(|disk| number(&disk["used-bytes"])).sum()),
        memory: pair.and_then(|(total, free)| total.checked_sub(free)?.checked_mul(1024)),
    })
}

/// A number, or a number written as text, as the panel's language does at times.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
