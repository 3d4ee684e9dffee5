//! How what the panel has accepted comes true as time passes.

use super::config::Mishap;
use super::state::{Job, JobKind, Machine, SUSPENDED, World};

/// Of machines.
pub(super) const RUNNING: i32 = 2;
pub(super) const OFF: i32 = 3;
pub(super) const PAUSED: i32 = 32_768;
pub(super) const SAVED: i32 = 32_769;
const STARTING: i32 = 32_770;
const STOPPING: i32 = 32_774;

/// Of records of machines.
pub(super) const OK: i32 = 1;
pub(super) const ERROR: i32 = 3;
const IN_PROGRESS: i32 = 4;
const DELETION_PROGRESS: i32 = 5;
const DELETED: i32 = 6;

/// Longer than any test.
const NEVER_MS: u64 = 1 << 50;

impl World {
    /// A job that begins now, with what befalls it.
    pub(super) fn start_job(&mut self, kind: JobKind) -> Job {
        let task_id = self.guid();
        let (mishaps, lasts_ms) = match kind {
            JobKind::Delete => (&mut self.knobs.deletions, self.knobs.delete_ms),
            _ => (&mut self.knobs.installations, self.knobs.provision_ms),
        };
        let mishap = if mishaps.is_empty() { Mishap::Spared } else { mishaps.remove(0) };
        let start_ms = self.now_ms;
        let end_ms = if mishap == Mishap::Stalls { start_ms + NEVER_MS } else { start_ms + lasts_ms };
        let dies_ms = (mishap == Mishap::Dies).then_some(start_ms + lasts_ms / 2);
        Job { kind, task_id, start_ms, end_ms, dies_ms, fails: mishap == Mishap::Fails }
    }

    /// Whether the job of a machine is still at work, rather than dead and not missed yet.
    pub(super) fn is_alive(&self, job: &Job) -> bool {
        job.dies_ms.is_none_or(|dies_ms| self.now_ms < dies_ms)
    }

    /// What a machine's record says of its making.
    pub(super) fn provisioning(&self, machine: &Machine) -> i32 {
        let Some(job) = &machine.job else { return machine.provisioning };
        let middle_ms = job.start_ms + (job.end_ms - job.start_ms) / 2;
        match job.kind {
            JobKind::Delete => DELETION_PROGRESS,
            _ if self.is_alive(job) && self.now_ms + self.knobs.doubtful_ms >= job.end_ms => ERROR,
            // The old machine is gone and the new one not there: for a moment that is what the record says.
            JobKind::Reinstall if (middle_ms..middle_ms + 1_000).contains(&self.now_ms) => DELETED,
            _ => IN_PROGRESS,
        }
    }

    /// What the hypervisor says of a machine's power.
    pub(super) fn power(&self, machine: &Machine) -> i32 {
        match machine.follows {
            Some((RUNNING, _)) => STARTING,
            Some(_) => STOPPING,
            None => machine.power,
        }
    }

    /// Lets the time pass up to `now_ms`.
    pub(super) fn progress(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        for index in 0..self.machines.len() {
            self.progress_machine(index);
        }
        let ended = |deletion: Option<u64>| deletion.is_some_and(|end_ms| end_ms <= now_ms);
        let packages = self.packages.iter().filter(|package| !package.removed && ended(package.deletion));
        for id in packages.map(|package| package.id).collect::<Vec<_>>() {
            self.remove_package(id);
        }
        let users = self.users.iter().filter(|user| !user.removed && ended(user.deletion));
        for id in users.map(|user| user.id).collect::<Vec<_>>() {
            for package in self.packages_of(id).map(|package| package.id).collect::<Vec<_>>() {
                self.remove_package(package);
            }
            if let Some(user) = self.user_mut(id) {
                user.removed = true;
            }
        }
    }

    fn progress_machine(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let machine = &mut self.machines[index];
        if machine.removed {
            return;
        }
        if let Some((power, at_ms)) = machine.follows.filter(|(_, at_ms)| *at_ms <= now_ms) {
            (machine.power, machine.follows) = (power, None);
            machine.started_ms = at_ms;
        }
        let Some(job) = machine.job.clone().filter(|job| job.end_ms <= now_ms && job.dies_ms.is_none()) else { return };
        machine.job = None;
        match (job.kind, job.fails) {
            (JobKind::Delete, false) => self.remove_machine(index),
            (_, true) => machine.provisioning = ERROR,
            (JobKind::Install | JobKind::Reinstall, false) => {
                machine.provisioning = OK;
                machine.power = RUNNING;
                machine.started_ms = job.end_ms;
                let guid = self.guid();
                let machine = &mut self.machines[index];
                machine.guid = guid;
                machine.disk_paths = vec![format!("D:\\VMs\\{}\\disk.vhdx", machine.name)];
                // The space may have been suspended meanwhile.
                let status = self.package(self.machines[index].package_id).map(|package| package.status);
                if status == Some(SUSPENDED) {
                    self.machines[index].power = OFF;
                }
            }
        }
    }

    fn remove_machine(&mut self, index: usize) {
        let (id, name, package_id) = {
            let machine = &mut self.machines[index];
            machine.removed = true;
            (machine.id, machine.name.clone(), machine.package_id)
        };
        for row in self.rows.iter_mut().filter(|row| row.item_id == id) {
            (row.item_id, row.is_primary) = (0, false);
        }
        if self.knobs.leaves_files {
            let node_id = self.package(package_id).map_or(0, |package| package.node_id);
            self.files.insert((node_id, name));
        }
    }

    /// A space's removal takes its machines along, and forgets those that the hypervisor does not give up.
    fn remove_package(&mut self, id: i32) {
        let Some(package) = self.package(id) else { return };
        let (parent_id, node_id) = (package.parent_id, package.node_id);
        let is_lost = self.knobs.hypervisor_refuses || self.node(node_id).is_none_or(|node| node.is_down);
        for index in 0..self.machines.len() {
            if self.machines[index].removed || self.machines[index].package_id != id {
                continue;
            }
            if is_lost {
                self.orphans.push(self.machines[index].name.clone());
            }
            self.remove_machine(index);
        }
        let owned: Vec<i32> = self.rows_of(id).map(|row| row.address_id).collect();
        for address_id in owned {
            if parent_id == 1 {
                self.rows.retain(|row| row.address_id != address_id);
            } else {
                self.give_address(address_id, parent_id, 0);
            }
        }
        self.addons.retain(|addon| addon.package_id != id);
        if let Some(package) = self.package_mut(id) {
            package.removed = true;
        }
    }

    /// A record whose job has died says so from now on.
    pub(super) fn bury(&mut self, id: i32) {
        let is_dead = self.machine(id).and_then(|machine| machine.job.as_ref()).is_some_and(|job| !self.is_alive(job));
        if let Some(machine) = self.machine_mut(id).filter(|_| is_dead) {
            machine.job = None;
            machine.provisioning = ERROR;
        }
    }

    /// Lets the machines of a space follow its status: off when it is suspended, running when it is active again, whoever
    /// had switched them off.
    pub(super) fn follow(&mut self, package_id: i32) {
        let Some(package) = self.package(package_id) else { return };
        let wanted = if package.status == 1 { RUNNING } else { OFF };
        let at_ms = self.now_ms + self.knobs.follow_ms;
        for machine in self.machines.iter_mut().filter(|machine| machine.package_id == package_id && !machine.removed) {
            // A machine that is being made or has none is left alone.
            let is_there = !machine.guid.is_empty() && machine.job.is_none();
            if is_there && (machine.power == RUNNING) != (wanted == RUNNING) || machine.follows.is_some() {
                machine.follows = Some((wanted, at_ms));
            }
        }
    }
}
