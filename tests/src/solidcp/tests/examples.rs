//! The fake against the contract's example messages.

use std::path::{Path, PathBuf};

use super::*;

/// Where the contract is, when it is there.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts/solidcp/examples");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no {}, so the fake was not held against the contract's examples", folder.display());
    None
}

/// What every panel has of its own: ids, names, times, sizes, passwords.
const LOOSE: &[&str] = &[
    "MessageID",
    "RelatesTo",
    "Created",
    "Changed",
    "PurchaseDate",
    "StatusIDchangeDate",
    "CreatedDate",
    "CreationTime",
    "UserId",
    "UserID",
    "PackageId",
    "PackageID",
    "PackageID1",
    "PackageAddressID",
    "AddressID",
    "Id",
    "ItemID",
    "Result",
    "Value",
    "AddUserResult",
    "PackagesNumber",
    "Username",
    "FirstName",
    "LastName",
    "Email",
    "PackageName",
    "ItemName",
    "Name",
    "ExternalIP",
    "VirtualMachineId",
    "RootFolderPath",
    "string",
    "OperatingSystemTemplate",
    "CurrentTaskId",
    "ExternalNicMacAddress",
    "Uptime",
    "CpuUsage",
    "RamUsage",
    "ReinstallAllowed",
    "int",
];

/// Leaves out what need not be the same, and what the fake says besides.
fn shape(element: &Element) -> Element {
    let mut element = element.clone();
    if LOOSE.contains(&element.name.as_str()) || !element.children.is_empty() {
        element.text.clear();
    }
    // The examples are silent about it, and the contract says what it is for.
    element.children.retain(|child| child.name != "OperatingSystemTemplatePath");
    element.children = element.children.iter().map(shape).collect();
    element
}

#[tokio::test]
async fn the_requests_of_the_contract_pass_the_inspection() {
    let Some(folder) = folder() else { return };
    let bench = Bench::new();
    let mut names: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let requests = names.iter().filter(|path| path.to_string_lossy().ends_with(".request.xml"));
    let mut sent = 0;
    for path in requests {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let operation = name.split(['-', '.']).nth(1).unwrap().to_owned();
        let body = std::fs::read_to_string(path).unwrap();
        let before = bench.panel().violations().len();

        let reply = bench.post(&operation, &bench.credentials(), &body).await.unwrap();

        // The ids of the examples are not on this panel, so that many a call ends in a fault; what counts is that it
        // was understood.
        assert!(matches!(reply.status, 200 | 500), "{name}: {}", reply.status);
        let expected: &[&str] = match name.as_str() {
            // Sent to a panel of a later version, which has three parameters and two members more.
            _ if name.contains("1.4.9") => &["DmzNetworkEnabled", "DmzNetworkVlan", "dmzAddressesNumber", "randomDmz"],
            _ => &[],
        };
        let found = bench.panel().violations().split_off(before);
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        sent += 1;
    }
    assert_eq!(sent, 14);
}

/// An answer as the contract has it, for a panel in the state that the example was taken from.
async fn compare(bench: &Bench, folder: &Path, example: &str, parameters: &str) {
    let expected = xml::read(&std::fs::read(folder.join(example)).unwrap()).unwrap();
    let operation = example.split(['-', '.']).nth(1).unwrap();
    let reply = bench.try_call(operation, parameters).await.unwrap();
    let found = xml::read(&reply.body).unwrap();
    assert_eq!(shape(&found), shape(&expected), "{example}");
}

#[tokio::test]
async fn the_answers_of_the_contract_are_the_fakes() {
    let Some(folder) = folder() else { return };
    let bench = Bench::with(|config| {
        config.plans.retain(|plan| matches!(plan.id, 1 | 11));
        config.knobs.assigns_addresses = false;
    });
    let check = async |example: &str, parameters: &str| {
        compare(&bench, &folder, &format!("{example}.response.xml"), parameters).await;
    };

    check("01-GetUserByUsername", "<username>reseller</username>").await;
    check("02-GetUserByUsername-none", "<username>serveradmin</username>").await;
    check("03-UserExists", "<username>none</username>").await;
    check("04-AddUser-exists", &user("neighbour")).await;
    check("04-AddUser", &user("svc10042")).await;
    let id = bench.panel().made_users()[0].id;
    check("05-GetHostingPlans", "<userId>2</userId>").await;
    check("07-AddPackageWithResources", &space(id, 11)).await;
    let space_id = bench.panel().spaces()[0].id;
    check("06-GetMyPackages", &format!("<userId>{id}</userId>")).await;
    let allocated = bench.result("AllocatePackageIPAddresses", &allocation(space_id, 1)).await;
    assert!(allocated.0, "{allocated:?}");
    let own = format!("<packageId>{space_id}</packageId><orgId>0</orgId><pool>VpsExternalNetwork</pool>");
    check("08-GetPackageUnassignedIPAddresses", &own).await;
    check("09-AllocatePackageIPAddresses-quota", &allocation(space_id, 1)).await;
    check("10-CreateNewVirtualMachine", &order(space_id, "svc10042.vm.example.test", 0)).await;
    let machine = bench.state().id;
    check("12-GetVirtualMachineItem-inprogress", &item(machine)).await;
    bench.pass(61_000);
    check("12-GetVirtualMachineItem-ok", &item(machine)).await;
    check("11-GetVirtualMachines", &page(space_id, false)).await;
    check("13-GetVirtualMachineGeneralDetails", &item(machine)).await;
    let pause = |state: &str| format!("<itemId>{machine}</itemId><state>{state}</state>");
    check("14-ChangeVirtualMachineState", &pause("Pause")).await;
    check("15-ChangePackageStatus", &status(space_id, "Suspended")).await;
    check("14-ChangeVirtualMachineState-suspended", &pause("TurnOff")).await;
    let period = format!(
        "<packageId>{space_id}</packageId><startDate>2025-01-01T00:00:00</startDate>\
         <endDate>2025-02-01T00:00:00</endDate>"
    );
    check("18-GetPackageBandwidth", &period).await;
    check("17-DeletePackage-gone", &package(4)).await;
    let foreign = page(7, false);
    let expected = std::fs::read(folder.join("19-fault-not-allowed.http500.xml")).unwrap();
    let fault = bench.fault("GetVirtualMachines", &foreign).await;
    assert_eq!(shape(&xml::read(fault.as_bytes()).unwrap()), shape(&xml::read(&expected).unwrap()));
    bench.assert_clean();
}

#[tokio::test]
async fn the_refusals_of_the_contract_are_the_fakes() {
    let Some(folder) = folder() else { return };
    let bench = Bench::with(|config| {
        config.plans[1].quotas.insert("VPS2012.Hdd".into(), -1);
    });
    let (_, space_id, _) = bench.machine().await;
    let second = order(space_id, "h2.vm.example.test", 0);
    let second = second.replace("<externalAddressesNumber>1", "<externalAddressesNumber>0");
    compare(&bench, &folder, "10-CreateNewVirtualMachine-quota.response.xml", &second).await;

    let other = Bench::with(|config| {
        config.knobs.checks_space = true;
        config.plans[0].quotas.insert("VPS2012.Ram".into(), 0);
    });
    let id = other.number("AddUser", &user("svc10042")).await;
    compare(&other, &folder, "07-AddPackageWithResources-quota.response.xml", &space(id, 11)).await;
}
