//! What each operation does to the panel and what it answers. Every call here has passed the inspection.

mod addresses;
mod create;
mod machines;
mod packages;
mod plans;
mod power;
mod reports;
mod users;

use super::ledger::Effect;
use super::rights::account_word;
use super::rules::Asked;
use super::state::{CANCELLED, SUSPENDED, World};
use super::value::Data;

/// What an operation did, or the text of the exception that it ended in.
type Reply = Result<(Data, Effect), String>;

/// Carries out an operation. `call` is its number in the ledger.
pub(super) fn respond(world: &mut World, call: u64, asked: &Asked) -> Reply {
    match asked.operation.service {
        "esUsers" | "esAuthentication" => users::respond(world, call, asked),
        "esServers" => addresses::respond(world, call, asked),
        "esTasks" => machines::task(world, asked),
        "esVirtualizationServer2012" => machines::respond(world, call, asked),
        _ => packages::respond(world, call, asked),
    }
}

fn read(data: impl Into<Data>) -> Reply {
    Ok((data.into(), Effect::None))
}

/// A ResultObject of success. What the hypervisor notes besides is no error.
fn success(effect: Effect, notes: &[&str]) -> Reply {
    Ok((result(true, notes.iter().map(|note| Data::from(*note)).collect()), effect))
}

/// A ResultObject of failure.
fn failure(codes: impl IntoIterator<Item = impl Into<String>>) -> Reply {
    read(result(false, codes.into_iter().map(|code| Data::from(code.into())).collect()))
}

fn result(is_success: bool, codes: Vec<Data>) -> Data {
    Data::object([("IsSuccess", Data::from(is_success)), ("ErrorCodes", Data::List(codes))])
}

impl World {
    /// Why nothing can be written in a space, as the code of a ResultObject.
    fn refused_write(&self, caller: i32, package_id: i32) -> Option<String> {
        if let Some(code) = self.refused_account(caller) {
            return Some(account_word(code));
        }
        match self.package(package_id).map(|package| package.status) {
            None => Some("ERROR_PACKAGE_NOT_FOUND".into()),
            Some(SUSPENDED) => Some("ERROR_PACKAGE_SUSPENDED".into()),
            Some(CANCELLED) => Some("ERROR_PACKAGE_CANCELLED".into()),
            Some(_) => None,
        }
    }

    /// Why a machine cannot be changed, as the code of a ResultObject.
    fn refused_machine(&self, caller: i32, id: i32) -> Option<String> {
        let visible = self.machine(id).filter(|machine| self.may_package(caller, machine.package_id));
        let Some(machine) = visible else { return Some("VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM".into()) };
        if let Some(code) = self.refused_write(caller, machine.package_id) {
            return Some(code);
        }
        let in_maintenance = self.node_of(machine).is_some_and(|node| node.in_maintenance);
        in_maintenance.then(|| "VPS_MAINTENANCE_MODE_IS_ENABLE".into())
    }
}
