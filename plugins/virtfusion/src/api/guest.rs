//! The machine itself: power, tasks, systems and the administrator's password.

use super::{Value, body, data, get, member, no_data, post, server_data};
use crate::fault;
use crate::member::Misfit;
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
    Ok(member::whole(&data(reply)?, "queueId")?)
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
    Ok(match (member::truth(&task, "failed")?, member::text(&task, "finished")?.is_some()) {
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
        Some(password) if !password.is_empty() => {
            Ok((member::whole(&reset, "queueId")?, Secret::new(password.to_owned())))
        }
        _ => Err(member::misfit("expectedPassword")),
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
    let mut found = Vec::new();
    for group in groups {
        found.extend(member::each(group, "templates", template)?.into_iter().flatten());
    }
    Ok(found)
}

/// What has no number cannot be installed, and is no reason to show nothing.
fn template(row: &Value) -> Result<Option<Template>, Misfit> {
    let mut words = Vec::new();
    for place in ["name", "version", "variant"] {
        words.extend(member::text(row, place)?.filter(|word| !word.is_empty()));
    }
    let mut label = words.join(" ");
    if member::truth(row, "eol")?.unwrap_or_default() {
        label.push_str(" (end of life)");
    }
    let is_windows = member::text(row, "type")? == Some("windows");
    Ok(member::whole(row, "id")?.map(|id| Template { id, label, is_windows }))
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
    let password = member::text(&data, "vnc.password")?.filter(|password| !password.is_empty());
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

/// Reads what the hypervisor says of a running machine; what it does not say is not known.
///
/// Source of the members: public clients. Memory comes in two shapes, in KB: from the balloon, and from the agent.
pub fn measured(reply: &Reply) -> Result<Measured, Fault> {
    let server = server_data(reply)?;
    let memory = |place: &str| member::whole(&server, &format!("remoteState.memory.{place}"));
    let pair = match (memory("memtotal")?, memory("memfree")?) {
        (Some(total), Some(free)) => Some((total, free)),
        _ => memory("available")?.or(memory("actual")?).zip(memory("unused")?),
    };
    let used = |system: &Value| member::needed(member::whole(system, "used-bytes"), "used-bytes");
    let used = member::each(&server, "remoteState.agent.fsinfo", used)?;
    // No file system is not the same as an empty one.
    let disk = used.into_iter().reduce(u64::saturating_add);
    Ok(Measured { disk, memory: pair.and_then(|(total, free)| total.checked_sub(free)?.checked_mul(1024)) })
}
