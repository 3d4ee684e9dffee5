//! What a test asks a VirtFusion panel, and the panel as a world.

use serde_json::{Value, json};

use super::config::{Config, Knobs, Prefix};
use super::ledger::{Call, Effect};
use super::rules::{self, Accepted};
use super::seed::{ServerSeed, UserSeed};
use super::sight::{ServerView, UserView};
use super::state::World;
use super::{api, check, schema, view};
use crate::clock::PanelClock;
use crate::panel::{self, Answer, Body, Done, Fault, Inspection, Place, Request};

/// A handle on a panel; clones share it. Every look first lets the panel's queued work come true up to its clock.
pub type Panel = panel::Panel<World>;

impl Panel {
    /// The live servers, in order of creation.
    pub fn servers(&self) -> Vec<ServerView> {
        self.all_servers_ever().into_iter().filter(|server| server.deleted_at.is_none()).collect()
    }

    /// All servers, deleted ones too, in order of creation.
    pub fn all_servers_ever(&self) -> Vec<ServerView> {
        self.with(|world| world.servers.iter().map(|server| ServerView::of(world, server)).collect())
    }

    /// The users that exist, in order of creation.
    pub fn users(&self) -> Vec<UserView> {
        self.with(|world| world.users.iter().filter(|user| !user.deleted).map(UserView::of).collect())
    }

    /// Says that the owner with this relation (integer or text) may have `count` servers at once, like or not.
    pub fn expect_servers(&self, relation: &str, count: usize) {
        self.with(|world| world.expected.insert(relation.into(), count));
    }

    /// What opens the guest of a server now; `None` when it was never built.
    pub fn guest_password(&self, server: u64) -> Option<String> {
        self.with(|world| world.server(server)?.password.clone())
    }

    /// What opens the panel's pages for a user now.
    pub fn login_password(&self, user: u64) -> Option<String> {
        self.with(|world| world.user(user)?.password.clone())
    }

    /// Changes the panel's timings and manners from now on.
    pub fn tune(&self, change: impl FnOnce(&mut Knobs)) {
        self.with(|world| change(&mut world.knobs));
    }

    /// Gives a hypervisor group room for so many servers in all.
    pub fn set_room(&self, group: u64, room: usize) {
        self.with(|world| {
            if let Some(group) = world.groups.iter_mut().find(|one| one.id == group) {
                group.room = room;
            }
        });
    }

    /// Puts a user there without a call; gives its id.
    pub fn seed_user(&self, seed: UserSeed) -> u64 {
        self.with(|world| world.seed_user(seed))
    }

    /// Puts a built, running server there without a call; gives its id. [`Panel::check`] reports a change to it unless
    /// the seed says that it is ours.
    pub fn seed_server(&self, seed: ServerSeed) -> u64 {
        self.with(|world| world.seed_server(seed))
    }

    /// Deletes a server behind the client's back, as an admin would.
    pub fn remove_server(&self, id: u64) {
        self.with(|world| {
            let now_ms = world.now_ms;
            if let Some(server) = world.server_mut(id) {
                server.delete_at_ms = Some(now_ms);
            }
            world.progress(now_ms);
        });
    }

    /// Gives a server to another user behind the client's back.
    pub fn give(&self, id: u64, owner_id: u64) {
        self.with(|world| {
            if let Some(server) = world.server_mut(id) {
                server.owner_id = owner_id;
            }
        });
    }

    /// Suspends or unsuspends a server behind the client's back.
    pub fn set_suspended(&self, id: u64, suspended: bool) {
        self.with(|world| {
            if let Some(server) = world.server_mut(id) {
                server.suspended = suspended;
            }
        });
    }
}

impl panel::World for World {
    type Config = Config;
    type Effect = Effect;
    type Asked = Accepted;

    const FAULTS: &'static [Fault] = Fault::ALL;

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
        let below = |prefix| request.target.strip_prefix(prefix).filter(|rest: &&str| rest.starts_with('/'));
        let target = match self.prefix {
            Prefix::Bare if below(Prefix::ApiV1.as_str()).is_some() => None,
            prefix => below(prefix.as_str()),
        };
        target.map(|target| Place { path: target.to_owned(), is_read: request.method == "GET" })
    }

    fn inspect(&self, request: &Request, place: &Place) -> Inspection<Accepted> {
        let mut inspection = rules::inspect(request, &place.path, &self.token);
        if let (Ok(accepted), Some(contract)) = (&inspection.result, schema::contract()) {
            let route = accepted.route;
            let found = contract.check_request(route.method, route.pattern, &accepted.query, &accepted.body);
            inspection.violations.extend(found);
        }
        inspection
    }

    fn carry_out(&mut self, number: u64, accepted: &Accepted) -> Done<Effect> {
        self.call = number;
        let (answer, effect) = api::respond(self, accepted);
        self.call = 0;
        let route = accepted.route;
        let found = schema::contract().map(|contract| contract.check_answer(route.method, route.pattern, &answer));
        let found = found.into_iter().flatten();
        let bugs = found.map(|text| format!("{} {}: {text}", route.method, route.pattern)).collect();
        Done { answer, effect, bugs }
    }

    fn progress(&mut self, now_ms: u64) {
        self.progress(now_ms);
    }

    fn broken(&self, fault: Fault, _request: &Request, answer: &Answer) -> Answer {
        match fault {
            // The framework's own word; a proxy's page for the rest.
            Fault::StatusBeforeEffect(status) | Fault::StatusAfterEffect(status) if !(502..=504).contains(&status) => {
                Answer::json(status, json!({ "message": "Server Error" }))
            }
            Fault::CutOff if !matches!(answer.body, Body::Json(_)) => {
                Answer::json(answer.status, json!({ "data": { "id": 71, "state": "complete" } }))
            }
            Fault::TooMany { retry_after_s } => {
                let answer = Answer::json(429, json!({ "message": "Too Many Attempts." }))
                    .with_header("x-ratelimit-limit", 60)
                    .with_header("x-ratelimit-remaining", 0);
                match retry_after_s {
                    Some(seconds) => answer.with_header("retry-after", seconds),
                    None => answer,
                }
            }
            Fault::Locked => Answer::msg(423, "pending tasks in queue"),
            _ => panel::usual(fault, answer),
        }
    }

    fn check(&self, calls: &[Call]) -> Vec<String> {
        check::check(self, calls)
    }

    fn secrets(&self) -> Vec<String> {
        let constant = view::CONSTANT_SECRETS.iter().map(|&secret| secret.to_owned());
        self.secrets.iter().cloned().chain([self.token.clone()]).chain(constant).collect()
    }

    fn side_door(panel: &Panel, method: &str, path: &str, _body: &[u8]) -> Option<Answer> {
        let shown: Value = match (method, path) {
            ("GET", "/servers") => json!(panel.servers()),
            ("GET", "/servers/all") => json!(panel.all_servers_ever()),
            ("GET", "/users") => json!(panel.users()),
            _ => return None,
        };
        Some(Answer::json(200, shown))
    }
}
