//! What the panel holds, and how its queued work comes true as time passes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::{BuildOutcome, Config, Group, Knobs, Package, Prefix, Template};

/// Id ranges lie apart, so that an id used in the wrong place is never found by accident.
const FIRST_USER: u64 = 300;
const FIRST_SERVER: u64 = 7_000;
const FIRST_TASK: u64 = 90_000;

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) ext_relation_id: Option<u64>,
    pub(super) rel_str: Option<String>,
    pub(super) self_service: u64,
    /// What opens the panel's pages; `None` until one was given out.
    pub(super) password: Option<String>,
    pub(super) enabled: bool,
    pub(super) deleted: bool,
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
    pub(super) created_at_call: u64,
}

impl User {
    pub(super) fn has_relation(&self, relation: &str) -> bool {
        self.rel_str.as_deref() == Some(relation) || self.ext_relation_id.is_some_and(|id| id.to_string() == relation)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources {
    pub(super) memory_mb: u64,
    pub(super) storage_gb: u64,
    pub(super) traffic_gb: u64,
    pub(super) cpu_cores: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) id: u64,
    pub(super) month: u64,
    pub(super) amount_gb: u64,
}

/// A change that waits for the next start of the guest.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) id: u64,
    pub(super) action: String,
    pub(super) created_ms: u64,
}

/// What the last finished build left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Allocated,
    Complete,
    Failed { quietly: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) id: u64,
    pub(super) owner_id: u64,
    pub(super) package_id: u64,
    pub(super) group_id: u64,
    pub(super) hypervisor_id: u64,
    /// The order as it came, for comparing orders.
    pub(super) order: Value,
    /// Live servers from the same order of the same owner when this one was made, itself included.
    pub(super) twins: usize,
    /// Made by the test, belongs to somebody else.
    pub(super) foreign: bool,
    pub(super) name: String,
    pub(super) hostname: Option<String>,
    pub(super) os_id: u64,
    pub(super) phase: Phase,
    pub(super) rebuild: bool,
    pub(super) built_ms: Option<u64>,
    pub(super) suspended: bool,
    pub(super) running: bool,
    /// What opens the guest.
    pub(super) password: Option<String>,
    /// What will open it once the build or reset under way has ended well.
    pub(super) next_password: Option<String>,
    pub(super) resources: Resources,
    pub(super) throttle: u64,
    pub(super) backup_plan: Option<u64>,
    pub(super) vnc_enabled: bool,
    pub(super) vnc_turn: u64,
    pub(super) ipv6: bool,
    pub(super) addresses: Vec<u32>,
    pub(super) blocks: Vec<Block>,
    pub(super) pending: Vec<Pending>,
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
    pub(super) created_at_call: u64,
    /// When a scheduled delete comes true.
    pub(super) delete_at_ms: Option<u64>,
    pub(super) deleted_ms: Option<u64>,
}

impl Server {
    pub(super) fn is_live(&self) -> bool {
        self.deleted_ms.is_none()
    }

    /// Live and not about to go.
    pub(super) fn is_staying(&self) -> bool {
        self.is_live() && self.delete_at_ms.is_none()
    }

    /// A UUID that follows from the id alone.
    pub(super) fn uuid(&self) -> String {
        let mixed = self.id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{:08x}-0f1e-4a2b-8c3d-{:012x}", mixed >> 32, mixed & 0xFFFF_FFFF_FFFF)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Build(BuildOutcome),
    Suspend,
    Unsuspend,
    Boot,
    Shutdown,
    Restart,
    PowerOff,
    ResetPassword,
}

/// Queued work on one server; its times are fixed when it is queued.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) id: u64,
    pub(super) server_id: u64,
    pub(super) work: Work,
    pub(super) queued_ms: u64,
    pub(super) starts_ms: u64,
    pub(super) ends_ms: u64,
    pub(super) finished: bool,
    /// Ends without an effect.
    pub(super) fails: bool,
}

/// A VirtFusion panel's whole state.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) token: String,
    pub(super) prefix: Prefix,
    /// Panel time of the look or call that is under way.
    pub(super) now_ms: u64,
    /// The number of the call that is under way, 0 outside calls.
    pub(super) call: u64,
    pub(super) knobs: Knobs,
    pub(super) packages: Vec<Package>,
    pub(super) groups: Vec<Group>,
    pub(super) templates: Vec<Template>,
    pub(super) users: Vec<User>,
    pub(super) servers: Vec<Server>,
    pub(super) tasks: Vec<Task>,
    /// Everything that an answer held and a log must not.
    pub(super) secrets: Vec<String>,
    /// Broken invariants that only the moment could show.
    pub(super) broken: Vec<String>,
    /// How many like servers an owner may have, by relation.
    pub(super) expected: BTreeMap<String, usize>,
    serial: u64,
}

impl World {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            token: config.token.clone(),
            prefix: config.prefix,
            now_ms: config.clock.now_ms(),
            call: 0,
            knobs: config.knobs.clone(),
            packages: config.packages.clone(),
            groups: config.groups.clone(),
            templates: config.templates.clone(),
            users: Vec::new(),
            servers: Vec::new(),
            tasks: Vec::new(),
            secrets: Vec::new(),
            broken: Vec::new(),
            expected: BTreeMap::new(),
            serial: 0,
        }
    }

    /// A number that was never given out before.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A secret that is the same in every run and remembered, so that a test can look for leaks.
    pub(super) fn secret(&mut self, kind: &str) -> String {
        let mixed = self.next_serial().wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(23);
        let secret = format!("{kind}{mixed:016x}Zq");
        self.secrets.push(secret.clone());
        secret
    }

    pub(super) fn next_user_id(&self) -> u64 {
        FIRST_USER + self.users.len() as u64
    }

    /// Ids are not dense: a client that guesses the next one is wrong.
    pub(super) fn next_server_id(&self) -> u64 {
        FIRST_SERVER + 3 * self.servers.len() as u64
    }

    pub(super) fn user(&self, id: u64) -> Option<&User> {
        self.users.iter().find(|user| user.id == id && !user.deleted)
    }

    pub(super) fn package(&self, id: u64) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id)
    }

    pub(super) fn server(&self, id: u64) -> Option<&Server> {
        self.servers.iter().find(|server| server.id == id && server.is_live())
    }

    pub(super) fn server_mut(&mut self, id: u64) -> Option<&mut Server> {
        let now_ms = self.now_ms;
        let server = self.servers.iter_mut().find(|server| server.id == id && server.is_live())?;
        server.updated_ms = now_ms;
        Some(server)
    }

    /// The server's unfinished work, in order.
    pub(super) fn open_tasks(&self, server_id: u64) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(move |task| task.server_id == server_id && !task.finished)
    }

    pub(super) fn is_busy(&self, server_id: u64) -> bool {
        self.open_tasks(server_id).next().is_some()
    }

    /// Queues work behind what the server has to do already.
    pub(super) fn enqueue(&mut self, server_id: u64, work: Work) -> u64 {
        let knobs = &self.knobs;
        let (start_ms, length_ms) = match work {
            Work::Build(BuildOutcome::NeverEnds) => (knobs.build_start_ms, u64::MAX / 2),
            Work::Build(_) => (knobs.build_start_ms, knobs.build_ms),
            Work::Suspend | Work::Unsuspend => (0, knobs.suspend_ms),
            _ => (0, knobs.task_ms),
        };
        let fails = match work {
            Work::Build(outcome) => matches!(outcome, BuildOutcome::Fails | BuildOutcome::FailsQuietly),
            Work::Suspend | Work::Unsuspend => false,
            _ => knobs.tasks_fail,
        };
        let free_ms = self.open_tasks(server_id).map(|task| task.ends_ms).max();
        let from_ms = free_ms.unwrap_or(self.now_ms).max(self.now_ms);
        let id = FIRST_TASK + self.tasks.len() as u64;
        self.tasks.push(Task {
            id,
            server_id,
            work,
            queued_ms: self.now_ms,
            starts_ms: from_ms + start_ms,
            ends_ms: from_ms + length_ms,
            finished: false,
            fails,
        });
        id
    }

    /// Lets the time pass up to `now_ms`: finished work takes effect in the order of its end.
    pub(super) fn progress(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        loop {
            let task = self
                .tasks
                .iter()
                .enumerate()
                .filter(|(_, task)| !task.finished && task.ends_ms <= now_ms)
                .min_by_key(|(index, task)| (task.ends_ms, *index))
                .map(|(index, task)| (task.ends_ms, index));
            let delete = self
                .servers
                .iter()
                .enumerate()
                .filter(|(_, server)| server.is_live())
                .filter_map(|(index, server)| Some((server.delete_at_ms?, index)))
                .filter(|(at_ms, _)| *at_ms <= now_ms)
                .min();
            match (task, delete) {
                (None, None) => return,
                (Some((ends_ms, index)), delete) if delete.is_none_or(|(at, _)| ends_ms <= at) => {
                    self.finish(index);
                }
                (_, Some((at_ms, index))) => self.remove(index, at_ms),
                (Some((_, index)), None) => self.finish(index),
            }
        }
    }

    fn finish(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        task.finished = true;
        let (work, ends_ms, server_id, fails) = (task.work, task.ends_ms, task.server_id, task.fails);
        let Some(server) = self.servers.iter_mut().find(|server| server.id == server_id) else {
            return;
        };
        server.updated_ms = ends_ms;
        match work {
            Work::Build(BuildOutcome::Succeeds | BuildOutcome::NeverEnds) => {
                server.phase = Phase::Complete;
                server.built_ms = Some(ends_ms);
                server.rebuild = false;
                server.running = true;
                server.password = server.next_password.take();
            }
            Work::Build(outcome) => {
                let quietly = outcome == BuildOutcome::FailsQuietly;
                server.phase = Phase::Failed { quietly };
                server.running = false;
            }
            Work::Suspend => server.suspend(),
            Work::Unsuspend => server.suspended = false,
            _ if fails => server.next_password = None,
            Work::Boot | Work::Restart => {
                server.running = true;
                server.pending.clear();
            }
            Work::Shutdown | Work::PowerOff => {
                server.running = false;
                server.pending.clear();
            }
            Work::ResetPassword => server.password = server.next_password.take(),
        }
    }

    fn remove(&mut self, index: usize, at_ms: u64) {
        let server = &mut self.servers[index];
        server.deleted_ms = Some(at_ms);
        server.running = false;
        let id = server.id;
        for task in self.tasks.iter_mut().filter(|task| task.server_id == id) {
            task.finished = true;
        }
    }

    /// The lowest addresses that no live server holds.
    pub(super) fn free_addresses(&self, count: usize) -> Vec<u32> {
        let taken: Vec<u32> = self
            .servers
            .iter()
            .filter(|server| server.is_live())
            .flat_map(|server| server.addresses.iter().copied())
            .collect();
        (10..).filter(|host| !taken.contains(host)).take(count).collect()
    }
}

impl Server {
    pub(super) fn suspend(&mut self) {
        self.suspended = true;
        self.running = false;
    }
}
