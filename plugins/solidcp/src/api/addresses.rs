//! Addresses, as a package owns them, and the memory of hosting servers.

use crate::wire::{self, SERVERS};
use billhook_plugin_api::{Fault, Reply, Request};
use billhook_soap::Node;

/// An address that a package owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Of the address in this package; what a machine is given.
    pub id: i64,
    pub ip: String,
    /// The machine that has it; 0 while it is free.
    pub item: i64,
    pub vlan: i64,
    pub is_primary: bool,
}

const POOL: &str = "VpsExternalNetwork";
/// More than a space can have: the panel's pages overlap, so that one must be enough.
const ONE_PAGE: i64 = 1_000;

/// The addresses of a package. The panel does not check whether it is ours; filters go into its SQL as they are, so that
/// none is sent.
pub fn of_package(package: i64) -> Result<Request, Fault> {
    wire::read(SERVERS, "GetPackageIPAddresses", &|call| {
        call.int("packageId", package).int("orgId", 0).text("pool", POOL);
        call.text("filterColumn", "").text("filterValue", "").text("sortColumn", "");
        call.int("startRow", 0).int("maximumRows", ONE_PAGE).bool("recursive", false);
    })
}

pub fn of_package_reply(reply: &Reply) -> Result<Vec<Address>, Fault> {
    let tree = wire::tree(reply, "GetPackageIPAddresses")?;
    let list = wire::list(&tree, "GetPackageIPAddresses", Some("Items"), "PackageIPAddress")?;
    list.into_iter().map(address).collect()
}

/// The addresses of a package that no machine has.
pub fn unassigned(package: i64) -> Result<Request, Fault> {
    wire::read(SERVERS, "GetPackageUnassignedIPAddresses", &|call| {
        call.int("packageId", package).int("orgId", 0).text("pool", POOL);
    })
}

pub fn unassigned_reply(reply: &Reply) -> Result<Vec<Address>, Fault> {
    let tree = wire::tree(reply, "GetPackageUnassignedIPAddresses")?;
    let list = wire::list(&tree, "GetPackageUnassignedIPAddresses", None, "PackageIPAddress")?;
    list.into_iter().map(address).collect()
}

fn address(node: Node<'_>) -> Result<Address, Fault> {
    Ok(Address {
        id: wire::int(node, "PackageAddressID")?,
        ip: wire::text(node, "ExternalIP")?,
        item: wire::int_or_zero(node, "ItemId")?,
        vlan: wire::int_or_zero(node, "VLAN")?,
        is_primary: wire::flag(node, "IsPrimary")?,
    })
}

/// Takes that many addresses from the reseller's space. Two at the same moment can take the same ones.
pub fn allocate(package: i64, count: i64) -> Result<Request, Fault> {
    wire::change(SERVERS, "AllocatePackageIPAddresses", &|call| {
        call.int("packageId", package).int("orgId", 0).text("groupName", "VPS2012").text("pool", POOL);
        call.bool("allocateRandom", true).int("addressesNumber", count).element("addressId", |_| {});
    })
}

pub fn allocate_reply(reply: &Reply) -> Result<(), Fault> {
    wire::outcome(reply, "AllocatePackageIPAddresses").map(|_| ())
}

/// The two names of one operation: the second is that of 1.5.2, which no longer has the first.
pub const MEMORY: [&str; 2] = ["GetMemoryPackageId", "GetSystemMemoryInfoPackageId"];

/// The memory of the hosting server that a package is on.
pub fn memory(operation: &str, package: i64) -> Result<Request, Fault> {
    wire::read(SERVERS, operation, &|call| _ = call.int("packageId", package))
}

/// Free memory in kB; `None` where the panel does not say.
pub fn memory_reply(reply: &Reply, operation: &str) -> Result<Option<i64>, Fault> {
    let tree = wire::tree(reply, operation)?;
    let Some(memory) = wire::object(&tree, operation)? else { return Ok(None) };
    let free = memory.find("FreePhysicalMemoryKB").or_else(|| memory.find("FreePhysicalKB"));
    free.map(Node::i64).transpose().map_err(wire::misread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{envelope, example, replied, squeezed};
    use billhook_plugin_api::FaultClass;

    #[test]
    fn requests_are_those_of_the_contract() {
        for (file, request) in [
            ("08-GetPackageUnassignedIPAddresses.request.xml", unassigned(801)),
            ("09-AllocatePackageIPAddresses.request.xml", allocate(801, 1)),
        ] {
            let Some(expected) = example(file) else { continue };
            let sent = String::from_utf8(request.unwrap().body).unwrap();
            assert_eq!(squeezed(&sent), squeezed(&expected), "{file}");
        }
    }

    #[test]
    fn answers_are_those_of_the_contract() {
        if let Some(body) = example("08-GetPackageUnassignedIPAddresses.response.xml") {
            let found = unassigned_reply(&replied(200, &body)).unwrap();
            assert!(!found.is_empty() && found.iter().all(|address| address.item == 0), "{found:?}");
        }
        if let Some(body) = example("09-AllocatePackageIPAddresses-quota.response.xml") {
            let fault = allocate_reply(&replied(200, &body)).unwrap_err();
            assert_eq!((fault.class, fault.refused), (FaultClass::Quota, true));
        }
    }

    #[test]
    fn both_names_of_the_memory_are_read() {
        for (operation, member) in [(MEMORY[0], "FreePhysicalMemoryKB"), (MEMORY[1], "FreePhysicalKB")] {
            let inner = format!("<{operation}Result><{member}>4096</{member}></{operation}Result>");
            assert_eq!(memory_reply(&replied(200, &envelope(operation, &inner)), operation), Ok(Some(4096)));
        }
    }
}
