//! What a test asks a SolidCP panel, and the panel as a world.

use serde_json::{Value, json};

use super::config::{Config, Knobs, Node, Plan};
use super::ledger::{Call, Effect};
use super::rules::{self, Accepted, Asked};
use super::schema::{SCHEMA, Version};
use super::sight::{self, Customer, MachineView, SpaceView, UserView};
use super::state::World;
use super::write::Style;
use super::{api, check, faults};
use crate::clock::PanelClock;
use crate::outside;
use crate::panel::{self, Answer, Done, Fault, Inspection, Place, Request};

/// A handle on a panel; clones share it. Every look first lets the panel's work come true up to its clock.
pub type Panel = panel::Panel<World>;

impl Panel {
    /// All users, in the order of their making.
    pub fn users(&self) -> Vec<UserView> {
        self.with(|world| world.users.iter().filter(|user| !user.removed).map(UserView::of).collect())
    }

    /// The users that calls have made and nobody has removed.
    pub fn made_users(&self) -> Vec<UserView> {
        self.users().into_iter().filter(|user| user.created_at_call > 0).collect()
    }

    /// The hosting spaces of customers, in the order of their making.
    pub fn spaces(&self) -> Vec<SpaceView> {
        self.with(|world| {
            let there = world.packages.iter().filter(|package| !package.removed && package.parent_id != 1);
            there.map(|package| SpaceView::of(world, package)).collect()
        })
    }

    /// The machines, in the order of their making.
    pub fn machines(&self) -> Vec<MachineView> {
        self.with(|world| {
            let there = world.machines.iter().filter(|machine| !machine.removed);
            there.map(|machine| MachineView::of(world, machine)).collect()
        })
    }

    /// The addresses of a reseller's space that it has not given on.
    pub fn free_addresses(&self, space_id: i32) -> usize {
        self.with(|world| world.rows_of(space_id).count())
    }

    /// What an outside judge says of every request so far, by the schemas of the contract; nothing where those are not at
    /// hand.
    pub fn complaints(&self) -> Vec<String> {
        let version = self.with(|world| world.version);
        let mut complaints = Vec::new();
        for call in self.ledger() {
            let (Some(body), Some(operation)) = (&call.body, SCHEMA.operation(&call.path, version)) else { continue };
            let schema = match operation.service {
                "esServers" if version >= Version::V1_5_2 => "esServers-1.5.2",
                "esVirtualizationServer2012" if version < Version::V1_5_0 => "esVirtualizationServer2012-1.4.9",
                service => service,
            };
            let read = sight::without(body, SCHEMA.unknown_to(version));
            complaints.extend(outside::complaints(&format!("solidcp/xsd/{schema}.xsd"), [&*read]));
        }
        complaints
    }

    /// Says that this many services are wanted at a time.
    pub fn expect_services(&self, count: usize) {
        self.with(|world| world.expected_services = count);
    }

    /// Changes the panel's timings and manners from now on.
    pub fn tune(&self, change: impl FnOnce(&mut Knobs)) {
        self.with(|world| change(&mut world.knobs));
    }

    /// Changes hosts and plans from now on.
    pub fn rewrite(&self, change: impl FnOnce(&mut Vec<Node>, &mut Vec<Plan>)) {
        self.with(|world| change(&mut world.nodes, &mut world.plans));
    }

    /// Puts a customer there without a call; gives the ids of user, space and machine, 0 for what there is none of.
    /// [`Panel::check`] reports a change to them unless the seed says that they are ours.
    pub fn seed_customer(&self, seed: Customer) -> (i32, i32, i32) {
        self.with(|world| world.seed_customer(seed))
    }

    /// Gives a user another status, login or not: 1 active, 2 suspended, 3 cancelled, 4 pending.
    pub fn set_user_status(&self, username: &str, status: i32) {
        self.with(|world| {
            if let Some(id) = world.user_named(username).map(|user| user.id)
                && let Some(user) = world.user_mut(id)
            {
                user.status = status;
            }
        });
    }

    /// Suspends a space or makes it active, as staff would.
    pub fn set_space_status(&self, id: i32, status: i32) {
        self.with(|world| world.set_status(id, status));
    }

    /// Switches a machine on or off behind the client's back, as its customer would.
    pub fn set_running(&self, id: i32, is_running: bool) {
        self.with(|world| {
            if let Some(machine) = world.machine_mut(id) {
                machine.power = if is_running { super::jobs::RUNNING } else { super::jobs::OFF };
            }
        });
    }

    /// Removes a machine at the hypervisor, so that only the panel's record of it is left.
    pub fn lose_machine(&self, id: i32) {
        self.with(|world| {
            if let Some(machine) = world.machine_mut(id) {
                machine.lost = true;
            }
        });
    }

    /// Puts an empty space of a user there, as staff would; gives its id.
    pub fn seed_space(&self, user_id: i32, plan_id: i32, name: &str) -> i32 {
        self.with(|world| world.seed_space(user_id, plan_id, name.to_owned()))
    }

    /// Gives a space to another user, as staff would.
    pub fn move_space(&self, id: i32, user_id: i32) {
        self.with(|world| {
            if let Some(package) = world.package_mut(id) {
                package.user_id = user_id;
            }
        });
    }

    /// Gives a space another plan, as staff would.
    pub fn set_plan(&self, id: i32, plan_id: i32) {
        self.with(|world| {
            if let Some(package) = world.package_mut(id) {
                package.plan_id = plan_id;
            }
        });
    }

    /// Removes a space with all that is in it, and a user, as staff would.
    pub fn remove(&self, space_id: i32, user_id: i32) {
        self.with(|world| {
            let now_ms = world.now_ms;
            if let Some(package) = world.package_mut(space_id) {
                package.deletion = Some(now_ms);
            }
            if let Some(user) = world.user_mut(user_id) {
                user.deletion = Some(now_ms);
            }
            world.progress(now_ms);
        });
    }

    /// Lets a disk file lie on a host, as a machine of former times would.
    pub fn put_file(&self, node_id: i32, machine: &str) {
        self.with(|world| world.files.insert((node_id, machine.to_owned())));
    }

    /// Takes what a space has left of its addresses away.
    pub fn drain_addresses(&self, space_id: i32, leave: usize) {
        self.with(|world| {
            let rows: Vec<i32> = world.rows_of(space_id).skip(leave).map(|row| row.id).collect();
            world.rows.retain(|row| !rows.contains(&row.id));
        });
    }
}

impl panel::World for World {
    type Config = Config;
    type Effect = Effect;
    type Asked = Accepted;

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
        rules::place(request, self.version)
    }

    fn inspect(&self, request: &Request, _place: &Place) -> Inspection<Accepted> {
        rules::inspect(self, request)
    }

    fn carry_out(&mut self, number: u64, asked: &Accepted) -> Done<Effect> {
        let (answer, effect) = match asked {
            Accepted::Describe(service) => (rules::describe(service, self.version), Effect::None),
            Accepted::Call(asked) => self.call(number, asked),
        };
        Done { answer, effect, bugs: Vec::new() }
    }

    fn progress(&mut self, now_ms: u64) {
        self.progress(now_ms);
    }

    fn held(&mut self, number: u64, is_held: bool) {
        if is_held {
            self.in_flight.insert(number);
        } else {
            self.in_flight.remove(&number);
        }
    }

    fn written(&self, body: &str) -> String {
        sight::written(body)
    }

    fn broken(&self, fault: Fault, request: &Request, answer: &Answer) -> Answer {
        faults::broken(self, fault, request, answer)
    }

    fn check(&self, calls: &[Call]) -> Vec<String> {
        check::check(self, calls)
    }

    fn secrets(&self) -> Vec<String> {
        let digests = self.users.iter().map(|user| rules::digest(&user.password));
        let passwords = self.users.iter().map(|user| user.password.clone());
        self.secrets.iter().cloned().chain(passwords).chain(digests).filter(|secret| !secret.is_empty()).collect()
    }

    fn side_door(panel: &Panel, method: &str, path: &str, _body: &[u8]) -> Option<Answer> {
        let shown: Value = match (method, path) {
            ("GET", "/users") => json!(panel.users()),
            ("GET", "/spaces") => json!(panel.spaces()),
            ("GET", "/machines") => json!(panel.machines()),
            _ => return None,
        };
        Some(Answer::json(200, shown))
    }
}

impl World {
    fn call(&mut self, number: u64, asked: &Asked) -> (Answer, Effect) {
        self.secrets.extend(sight::passwords(&asked.given));
        let reply = api::respond(self, number, asked);
        let manners = self.knobs.manners.clone();
        let style = Style { manners: &manners, version: self.version, is_1_2: asked.is_1_2 };
        match reply {
            Ok((data, effect)) => (style.response(asked.operation, &data, number), effect),
            Err(text) => (style.fault(&text), Effect::None),
        }
    }
}
