//! What can be done to a machine that is there: power, passwords, package, addresses, traffic, VNC.

use super::{Machine, Scripted, World, data, reply, reply_as};
use serde_json::{Value, json};

impl Machine {
    /// One that is installed and runs.
    pub fn running(owner: u64) -> Self {
        Self { remote: json!({ "state": "running" }), ..Self::complete(owner) }
    }

    /// One that is installed and off.
    pub fn off(owner: u64) -> Self {
        Self { remote: json!({ "state": "shutoff" }), ..Self::complete(owner) }
    }
}

impl World {
    pub(super) fn change(&mut self, method: &str, id: u64, rest: &[&str], body: &Value) -> Scripted {
        let (cores, memory, storage, traffic) = self.package;
        let Some(machine) = self.machines.get_mut(&id) else { return reply(404, r#"{"msg":"server not found"}"#) };
        let number = |name: &str| body[name].as_u64().unwrap();
        match (method, rest) {
            ("POST", ["power", word]) => {
                let state = if matches!(*word, "boot" | "restart") { "running" } else { "shutoff" };
                machine.remote = json!({ "state": state });
                machine.last_task = Some(format!("task {word} {}", machine.last_task.clone().unwrap_or_default()));
                data(200, json!({ "queueId": 9 }))
            }
            ("POST", ["resetPassword"]) => {
                assert_eq!(body["sendMail"], false);
                self.passwords += 1;
                let password = format!("{}-password-{}", body["user"].as_str().unwrap(), self.passwords);
                data(200, json!({ "queueId": 9, "expectedPassword": password }))
            }
            ("GET", ["templates"]) => {
                let template = |id: u64, kind: &str| json!({ "id": id, "name": "OS", "version": id.to_string(), "variant": null, "type": kind });
                data(200, json!([{ "templates": [template(10, "linux"), template(11, "windows")] }]))
            }
            ("PUT", ["package", _]) => {
                for (flag, held, new) in [
                    ("cpu", &mut machine.cores, cores),
                    ("memory", &mut machine.memory, memory),
                    ("primaryNetworkTraffic", &mut machine.traffic, traffic),
                ] {
                    if body[flag] == true {
                        *held = new;
                    }
                }
                if body["primaryDiskSize"] == true {
                    machine.storage = machine.storage.max(storage);
                }
                reply(200, r#"{"info":["memory updated"]}"#)
            }
            ("PUT", ["modify", part]) => {
                match *part {
                    "memory" => machine.memory = number("memory"),
                    "cpuCores" => machine.cores = number("cores"),
                    "traffic" => machine.traffic = number("traffic"),
                    "cpuThrottle" => machine.throttle = number("percent"),
                    other => panic!("{other}"),
                }
                reply(201, "")
            }
            ("PUT", ["backups", "plan", plan]) => {
                machine.backup_plan = plan.parse().ok().filter(|&plan: &u64| plan > 0);
                reply(201, "")
            }
            ("POST", ["ipv4Qty"]) => {
                let from = machine.ips.len();
                let added: Vec<String> =
                    (0..number("quantity")).map(|n| format!("10.40.0.{}", 10 + from as u64 + n)).collect();
                machine.ips.extend(added.clone());
                data(200, json!(added))
            }
            ("DELETE", ["ipv4"]) => {
                let gone = body["ip"].as_array().unwrap();
                machine.ips.retain(|ip| !gone.contains(&json!(ip)));
                reply(204, "")
            }
            ("GET", ["traffic"]) => data(
                200,
                json!({ "monthly": [
                    { "month": 2, "start": "2027-01-01 00:00:00", "end": "2027-01-31 23:59:59", "rx": 1, "tx": 2, "total": 3,
                      "limit": machine.traffic, "blocks": [{ "id": 1, "traffic": 50 }] },
                    { "month": 1, "start": "2026-12-01 00:00:00", "end": "2026-12-31 23:59:59", "rx": 1, "tx": 0, "total": 1,
                      "limit": 0, "blocks": [] },
                ] }),
            ),
            ("GET", ["traffic", "blocks"]) => {
                let assigned: Vec<Value> = machine
                    .blocks
                    .iter()
                    .enumerate()
                    .map(|(n, (month, gb))| json!({ "id": n, "month": month, "traffic": gb }))
                    .collect();
                data(200, json!({ "assigned": assigned, "available": { "current": { "month": 2 } } }))
            }
            ("POST", ["traffic", "blocks"]) => {
                machine.blocks.push((number("month"), number("amount")));
                reply(201, "")
            }
            ("POST", ["vnc"]) => {
                machine.vnc = body["action"] == "enable";
                data(
                    200,
                    json!({ "vnc": { "password": "vnc-password", "enabled": false, "wss": { "url": "/vnc/?token=t" } }, "queueId": null }),
                )
            }
            _ => reply_as("text/html", 404, "<html></html>"),
        }
    }

    pub(super) fn with_user(&mut self, method: &str, relation: &str, rest: &[&str]) -> Scripted {
        if !self.users.contains_key(relation) {
            return reply(404, r#"{"msg":"ext_relation_id not found"}"#);
        }
        match (method, rest) {
            ("POST", ["byExtRelation", "resetPassword"]) => {
                self.passwords += 1;
                data(
                    201,
                    json!({ "email": "ann@example.com", "password": format!("login-password-{}", self.passwords) }),
                )
            }
            ("POST", ["serverAuthenticationTokens", _]) => data(
                200,
                json!({ "authentication": { "endpoint_complete": "/token_authenticate/?1=a&2=b", "expiry": { "ttl": 60 } } }),
            ),
            _ => reply_as("text/html", 404, "<html></html>"),
        }
    }

    /// Any task: over after as many reads as the panel is slow.
    pub(super) fn task(&mut self) -> Scripted {
        let is_over = self.slowness == 0;
        self.slowness = self.slowness.saturating_sub(1);
        data(
            200,
            json!({ "failed": is_over && self.task_fails, "finished": is_over.then_some("2027-01-02T00:00:00+00:00"),
                "errors": { "exception": { "message": "no room" } } }),
        )
    }
}
