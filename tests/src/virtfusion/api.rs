//! What each call does to the panel and what it answers. Every call here has passed the inspection.

mod changes;
mod lifecycle;
mod users;

use serde_json::{Value, json};

use super::ledger::Effect;
use super::routes::Op;
use super::rules::Accepted;
use super::state::{Server, World};
use super::view;
use crate::panel::Answer;

/// What a call did, or the refusal that it got.
type Reply = Result<(Answer, Effect), Answer>;

/// Carries out a call.
pub(super) fn respond(world: &mut World, asked: &Accepted) -> (Answer, Effect) {
    let name = format!("{} {}", asked.route.method, asked.route.pattern);
    if world.knobs.forbidden.contains(&name) {
        return (Answer::msg(403, "this token has no permission for this call"), Effect::None);
    }
    dispatch(world, asked).unwrap_or_else(|refusal| (refusal, Effect::None))
}

fn dispatch(world: &mut World, asked: &Accepted) -> Reply {
    match asked.route.op {
        Op::Connect => read(Answer::json(200, json!([]))),
        Op::ListPackages => {
            let packages: Vec<Value> = world.packages.iter().map(view::package).collect();
            read(Answer::data(200, packages.into()))
        }
        Op::ReadPackage => {
            let package = world.package(asked.id(0)).ok_or_else(|| missing("package"))?;
            read(Answer::data(200, view::package(package)))
        }
        Op::ListGroups => {
            let groups: Vec<Value> = world.groups.iter().map(|found| group(found.id, &found.name)).collect();
            read(page(&groups, asked, "/compute/hypervisors/groups"))
        }
        Op::ReadGroup => {
            let found = world.groups.iter().find(|group| group.id == asked.id(0));
            let found = found.ok_or_else(|| missing("hypervisor group"))?;
            read(Answer::data(200, group(found.id, &found.name)))
        }
        Op::GroupResources => {
            let found = world.groups.iter().find(|group| group.id == asked.id(0));
            let found = found.ok_or_else(|| missing("hypervisor group"))?;
            let row = json!({
                "hypervisor": { "id": found.hypervisor_id, "name": "Hypervisor", "enabled": true,
                    "prohibit": false, "accept": false, "commissioned": true },
                "resources": view::hypervisor_resources(world, found.id),
            });
            let path = format!("/compute/hypervisors/groups/{}/resources", found.id);
            read(page(&[row], asked, &path))
        }
        Op::PackageTemplates => {
            let package = world.package(asked.id(0)).ok_or_else(|| missing("package"))?;
            read(Answer::data(200, view::templates(world, package.id)))
        }
        Op::ServerTemplates => {
            let package_id = server(world, asked)?.package_id;
            read(Answer::data(200, view::templates(world, package_id)))
        }
        Op::ReadQueue => {
            let task = world.tasks.iter().find(|task| task.id == asked.id(0));
            let task = task.ok_or_else(|| missing("queue item"))?;
            read(Answer::data(200, view::queue_item(world, task)))
        }
        Op::FindUser => users::find(world, asked),
        Op::CreateUser => users::create(world, asked),
        Op::ChangeUser => users::change(world, asked),
        Op::DeleteUser => users::delete(world, asked),
        Op::ResetUserPassword => users::reset_password(world, asked),
        Op::UserLogin | Op::ServerLogin => users::login(world, asked),
        Op::ListServers => {
            let wanted = asked.number("hypervisorId");
            let rows: Vec<Value> = world
                .servers
                .iter()
                .filter(|server| server.is_live())
                .filter(|server| wanted.is_none_or(|id| id == server.hypervisor_id))
                .map(|server| view::server_row(world, server))
                .collect();
            read(page(&rows, asked, "/servers"))
        }
        Op::ListUserServers => {
            let owner_id = asked.id(0);
            world.user(owner_id).ok_or_else(|| missing("user"))?;
            let owned = world.servers.iter().filter(|server| server.is_live() && server.owner_id == owner_id);
            let rows: Vec<Value> = owned.map(|server| view::user_server_row(world, server)).collect();
            read(Answer::data(200, rows.into()))
        }
        Op::ReadServer => lifecycle::read_server(world, asked),
        Op::CreateServer => lifecycle::create(world, asked),
        Op::BuildServer => lifecycle::build(world, asked),
        Op::SuspendServer => lifecycle::suspend(world, asked),
        Op::UnsuspendServer => lifecycle::unsuspend(world, asked),
        Op::DeleteServer => lifecycle::delete(world, asked),
        _ => changes::dispatch(world, asked),
    }
}

fn read(answer: Answer) -> Reply {
    Ok((answer, Effect::None))
}

fn missing(what: &str) -> Answer {
    Answer::msg(404, &format!("{what} not found"))
}

/// The refusal while a server has work to do; legitimate contention, so never a violation.
fn locked() -> Answer {
    Answer::msg(423, "pending tasks in queue")
}

fn server<'a>(world: &'a World, asked: &Accepted) -> Result<&'a Server, Answer> {
    world.server(asked.id(0)).ok_or_else(|| missing("server"))
}

fn server_mut<'a>(world: &'a mut World, asked: &Accepted) -> Result<&'a mut Server, Answer> {
    world.server_mut(asked.id(0)).ok_or_else(|| missing("server"))
}

fn group(id: u64, name: &str) -> Value {
    json!({ "id": id, "name": name, "label": null, "description": "Hypervisor group",
        "distributionType": 5, "enabled": true, "default": id == 1,
        "created": "2024-03-12T22:21:32+00:00", "updated": "2024-04-12T20:56:04+00:00" })
}

fn page(rows: &[Value], asked: &Accepted, path: &str) -> Answer {
    let results = asked.number("results").unwrap_or(20);
    let number = asked.number("page").unwrap_or(1);
    Answer::json(200, view::page(rows, path, results, number))
}
