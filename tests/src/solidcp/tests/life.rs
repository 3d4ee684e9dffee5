//! What the panel does with what it is asked.

use super::*;
use crate::solidcp::{Customer, Effect, Mishap, Power};

#[tokio::test]
async fn a_machine_walks_from_order_to_running_and_its_record_lies_at_the_end() {
    let bench = Bench::new();
    let (_, space) = bench.space().await;

    let (is_made, _, machine) =
        bench.result("CreateNewVirtualMachine", &order(space, "h1007.vm.example.test", 0)).await;

    assert!(is_made);
    let mut seen = Vec::new();
    for wait_ms in [0, 30_000, 29_000, 1_000] {
        bench.pass(wait_ms);
        let record = bench.call("GetVirtualMachineItem", &item(machine)).await.unwrap();
        let task = record.child(NAMESPACE, "CurrentTaskId").map(|task| task.text.clone());
        let is_listed = match &task {
            Some(task) => bench.call("GetTask", &format!("<taskId>{task}</taskId>")).await.is_some(),
            None => false,
        };
        seen.push((text(&record, "ProvisioningStatus"), task.is_some(), is_listed));
    }
    let expected = [("InProgress", true), ("InProgress", true), ("Error", true), ("OK", false)];
    assert_eq!(seen, expected.map(|(status, has_task)| (status.to_owned(), has_task, has_task)));
    assert!(bench.state().is_running);
    assert_eq!(bench.state().addresses, ["203.0.113.10"]);
    assert_eq!(bench.state().password, "S3cret-vm!");
    assert_eq!(bench.panel().free_addresses(5), 7);
    bench.assert_clean();
}

#[tokio::test]
async fn jobs_fail_die_and_stall_as_told() {
    for (mishap, after_look) in
        [(Mishap::Fails, ("Error", false)), (Mishap::Dies, ("Error", false)), (Mishap::Stalls, ("InProgress", true))]
    {
        let bench = Bench::with(|config| config.knobs.installations = vec![mishap]);
        let (_, space) = bench.space().await;
        bench.result("CreateNewVirtualMachine", &order(space, "h1007.vm.example.test", 0)).await;
        bench.pass(61_000);

        bench.call("GetVirtualMachineItem", &item(bench.state().id)).await;

        let state = bench.state();
        assert_eq!((state.provisioning, state.is_busy), after_look, "{mishap:?}");
        // The item stays, and holds its address.
        assert_eq!(state.addresses.len(), 1, "{mishap:?}");
        assert!(!state.is_running);
    }
}

#[tokio::test]
async fn a_network_card_of_another_vlan_has_no_address_and_the_job_says_ok() {
    let bench = Bench::new();
    let user = bench.number("AddUser", &user("svc1007")).await;
    let space = bench.space_of(user, 21).await;

    bench.result("CreateNewVirtualMachine", &order(space, "h1007.vm.example.test", 0)).await;
    bench.pass(61_000);

    assert_eq!((bench.state().provisioning, bench.state().addresses), ("OK", vec![]));
}

#[tokio::test]
async fn a_space_that_is_suspended_takes_its_machine_along_and_wakes_it_whoever_had_stopped_it() {
    let bench = Bench::new();
    let (_, space, machine) = bench.machine().await;

    assert_eq!(bench.number("ChangePackageStatus", &status(space, "Suspended")).await, 0);
    assert_eq!(bench.state().state, "Stopping");
    bench.pass(5_000);
    assert_eq!(bench.state().state, "Off");
    let start = format!("<itemId>{machine}</itemId><state>Start</state>");
    let (is_done, code, _) = bench.result("ChangeVirtualMachineState", &start).await;
    assert_eq!((is_done, code.as_str()), (false, "ERROR_PACKAGE_SUSPENDED"));
    assert_eq!(bench.number("ChangePackageStatus", &status(space, "Suspended")).await, 0);
    assert_eq!(bench.panel().count_effects(|effect| effect == Effect::SpaceStatus(space, 2)), 1);
    assert_eq!(bench.number("ChangePackageStatus", &status(space, "Active")).await, 0);
    bench.pass(5_000);

    assert!(bench.state().is_running);
    assert_eq!(bench.number("ChangePackageStatus", &status(99, "Active")).await, -1);
    bench.assert_clean();
}

#[tokio::test]
async fn a_status_may_be_accepted_and_forgotten() {
    let bench = Bench::with(|config| config.knobs.forgotten_statuses = 1);
    let (_, space, _) = bench.machine().await;

    for expected in [1, 2] {
        assert_eq!(bench.number("ChangePackageStatus", &status(space, "Suspended")).await, 0);
        assert_eq!(bench.panel().spaces()[0].status, expected);
    }
}

#[tokio::test]
async fn a_removal_is_a_chain_of_jobs_and_addresses_go_back() {
    let bench = Bench::new();
    let (user, space, machine) = bench.machine().await;

    let (is_begun, _, _) = bench.result("DeleteVirtualMachineAsynchronous", &deletion(machine)).await;
    assert!(is_begun);
    assert_eq!(bench.state().provisioning, "DeletionProgress");
    let (is_begun, code, _) = bench.result("DeleteVirtualMachineAsynchronous", &deletion(machine)).await;
    assert_eq!((is_begun, code.as_str()), (false, "VPS_DELETE_ERROR"));
    bench.pass(20_000);
    assert_eq!(bench.call("GetVirtualMachineItem", &item(machine)).await, None);
    let (_, code, _) = bench.result("DeleteVirtualMachineAsynchronous", &deletion(machine)).await;
    assert_eq!(code, "VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM");
    assert_eq!(bench.number("DeletePackage", &package(space)).await, 0);
    assert!(bench.call("GetPackage", &package(space)).await.is_some());
    bench.pass(10_000);
    assert_eq!(bench.call("GetPackage", &package(space)).await, None);
    assert_eq!(bench.number("DeletePackage", &package(space)).await, -300);
    assert_eq!(bench.number("DeleteUser", &format!("<userId>{user}</userId>")).await, 0);
    bench.pass(2_000);

    assert!(bench.panel().made_users().is_empty() && bench.panel().machines().is_empty());
    assert_eq!(bench.panel().free_addresses(5), 8);
    bench.assert_clean();
}

#[tokio::test]
async fn a_space_that_goes_before_its_machine_may_leave_it_alive() {
    let bench = Bench::with(|config| config.knobs.hypervisor_refuses = true);
    let (_, space, _) = bench.machine().await;

    bench.number("DeletePackage", &package(space)).await;
    bench.pass(10_000);

    let broken = bench.panel().check();
    assert_eq!(broken, ["machine h1007.vm.example.test lives on, and the panel has forgotten it"]);
}

#[tokio::test]
async fn overlapping_allocations_take_each_others_addresses() {
    let bench = Bench::with(|config| config.knobs.assigns_addresses = false);
    bench.panel().expect_services(2);
    let first = bench.space().await.1;
    let second = bench.number("AddUser", &user("svc1008")).await;
    let second = bench.space_of(second, 11).await;
    bench.panel().arm(Plan::on("POST", "AllocatePackageIPAddresses", Fault::Hang { effect: true }));

    let parameters = allocation(first, 1);
    let held = bench.try_call("AllocatePackageIPAddresses", &parameters);
    let other = async {
        bench.panel().wait_stalled().await;
        let taken = bench.result("AllocatePackageIPAddresses", &allocation(second, 1)).await;
        bench.panel().release();
        taken
    };
    let (held, (is_taken, _, _)) = futures_util::join!(held, other);

    assert!(is_taken && held.is_ok());
    let broken = bench.panel().check();
    assert_eq!(broken, [format!("space {second} took 203.0.113.10 from space {first}")]);
    let owned: Vec<usize> = bench.panel().spaces().iter().map(|space| space.addresses.len()).collect();
    assert_eq!(owned, [0, 1]);

    // One after the other nothing is taken.
    assert!(bench.result("AllocatePackageIPAddresses", &allocation(first, 1)).await.0);
    assert_eq!(bench.panel().check().len(), 1);
}

#[tokio::test]
async fn rights_show_as_a_fault_a_code_or_silence() {
    let bench = Bench::new();
    let seed = Customer {
        username: "carol".into(),
        owner_id: 3,
        plan_id: Some(51),
        space_name: "theirs".into(),
        machine: Some("carol.example.test".into()),
        ours: false,
    };
    let (user_id, space, machine) = bench.panel().seed_customer(seed);

    assert_eq!(bench.call("GetUserByUsername", "<username>carol</username>").await, None);
    assert_eq!(bench.call("UserExists", "<username>Carol</username>").await.unwrap().text, "true");
    assert_eq!(bench.number("AddUser", &user("carol")).await, -100);
    assert!(bench.call("GetPackage", &package(space)).await.is_some());
    assert!(bench.call("GetPackageIPAddresses", &addresses(space)).await.is_some());
    assert_eq!(bench.call("GetVirtualMachineItem", &item(machine)).await, None);
    for (operation, parameters) in [
        ("GetVirtualMachines", page(space, false)),
        ("GetMyPackages", format!("<userId>{user_id}</userId>")),
        ("AddPackageWithResources", space_for(user_id)),
        ("DeletePackage", package(space)),
    ] {
        assert!(bench.fault(operation, &parameters).await.contains("You are not allowed"), "{operation}");
    }
    let (_, code, _) = bench.result("DeleteVirtualMachineAsynchronous", &deletion(machine)).await;
    assert_eq!(code, "VPS_CANNOT_FIND_VIRTUAL_MACHINE_META_ITEM");
    let password = format!("<userId>{user_id}</userId><password>x</password>");
    for (operation, parameters) in [
        ("ChangePackageStatus", status(space, "Suspended")),
        ("ChangeUserPassword", password),
        ("DeleteUser", format!("<userId>{user_id}</userId>")),
    ] {
        assert_eq!(bench.number(operation, &parameters).await, 0, "{operation} says nothing and does nothing");
    }

    assert_eq!(bench.panel().count_effects(|effect| effect != Effect::None), 0);
    bench.assert_clean();
}

fn space_for(user: i32) -> String {
    space(user, 11)
}

#[tokio::test]
async fn the_calling_account_is_refused_by_its_status() {
    let bench = Bench::new();
    let (_, _, machine) = bench.machine().await;
    for (account, code, word) in [
        (2, -104, "ERROR_USER_ACCOUNT_SUSPENDED"),
        (3, -105, "ERROR_USER_ACCOUNT_CANCELLED"),
        (4, -103, "ERROR_USER_ACCOUNT_PENDING"),
    ] {
        bench.panel().set_user_status("reseller", account);

        assert_eq!(bench.number("AddUser", &user("other")).await, code);
        let (_, found, _) = bench.result("DeleteVirtualMachineAsynchronous", &deletion(machine)).await;
        assert_eq!(found, word);
    }
}

#[tokio::test]
async fn power_is_asked_of_the_state_and_the_flag() {
    let bench = Bench::new();
    let (_, _, machine) = bench.machine().await;
    let started = "VPS_JOB_START_ERROR";
    for (state, is_done, code, after) in [
        ("Start", true, started, "Running"),
        ("Reboot", true, "", "Running"),
        ("Pause", true, started, "Paused"),
        ("Reboot", false, "VPS_CANNOT_CHANGE_VIRTUAL_SERVER_STATE", "Paused"),
        ("Resume", true, started, "Running"),
        ("ShutDown", true, "", "Off"),
        ("TurnOff", true, started, "Off"),
        ("Start", true, started, "Running"),
        ("Save", true, started, "Saved"),
    ] {
        let asked = format!("<itemId>{machine}</itemId><state>{state}</state>");
        let (found, found_code, _) = bench.result("ChangeVirtualMachineState", &asked).await;

        assert_eq!((found, found_code.as_str(), bench.state().state), (is_done, code, after), "{state}");
    }
    // The first start found it running.
    let is_reset = |effect| effect == Effect::Powered(machine, Power::Reset);
    assert_eq!(bench.panel().count_effects(is_reset), 1);
}

#[tokio::test]
async fn an_order_is_refused_with_every_reason_at_once() {
    let bench = Bench::new();
    let (_, space, _) = bench.machine().await;
    let order = |change: &dyn Fn(String) -> String| change(order(space, "h1007.vm.example.test", 0));
    let codes = async |parameters: String| {
        let result = bench.call("CreateNewVirtualMachine", &parameters).await.unwrap();
        let codes = result.child(NAMESPACE, "ErrorCodes").unwrap();
        codes.children.iter().map(|code| code.text.clone()).collect::<Vec<_>>()
    };

    assert_eq!(
        codes(order(&|text| text)).await,
        [
            "VPS_QUOTA_EXCEEDED_SERVERS_NUMBER:1",
            "VPS_QUOTA_EXCEEDED_RAM:0",
            "VPS_QUOTA_EXCEEDED_HDD:0",
            "VPS_QUOTA_EXCEEDED_EXTERNAL_ADDRESSES_NUMBER:0"
        ]
    );
    // Another space of the same user: the host knows the name.
    bench.panel().expect_services(2);
    let other = bench.number("AddUser", &user("svc1008")).await;
    let other = bench.space_of(other, 11).await;
    let there = |text: String| text.replace(&package_tag(space), &package_tag(other));
    for (change, code) in [
        (&(|text: String| text) as &dyn Fn(String) -> String, "HDD_VM_FILE_EXIST_ERROR"),
        (&|text: String| text.replace("win2022", "win2003"), "VPS_GET_OS_TEMPLATES_ERROR"),
        (&|text: String| text.replace("<int>60", "<int>30"), "VPS_QUOTA_TEMPLATE_DISK_MINIMAL_SIZE"),
        (&|text: String| text.replace("<CpuCores>2", "<CpuCores>8"), "VPS_QUOTA_EXCEEDED_CPU"),
        (&|text: String| text.replace("<RamSize>4096", "<RamSize>16"), "VPS_QUOTA_WRONG_RAM_HV"),
        (
            &|text: String| text.replace("<DvdDriveInstalled>false", "<DvdDriveInstalled>true"),
            "VPS_QUOTA_EXCEEDED_DVD_ENABLED",
        ),
    ] {
        let found = codes(there(order(change))).await;
        assert_eq!(found[0].split(':').next(), Some(code), "{found:?}");
    }
    // A list that is missing is no empty list.
    let without = there(order(&|text| text.replace("<externalAddresses />", "")));
    assert!(bench.fault("CreateNewVirtualMachine", &without).await.contains("Object reference"));
    assert_eq!(bench.panel().machines().len(), 1);
}

fn package_tag(id: i32) -> String {
    format!("<PackageId>{id}</PackageId>")
}

#[tokio::test]
async fn a_plan_changes_the_space_and_a_resize_takes_what_it_is_not_told() {
    let bench = Bench::new();
    let (_, space, machine) = bench.machine().await;
    let change = format!(
        "<packageId>{space}</packageId><statusId>1</statusId><planId>12</planId>\
         <purchaseDate>2025-01-15T10:00:01.337</purchaseDate><packageName>svc-1007</packageName><packageComments />"
    );

    let changed = bench.call("UpdatePackageLiteral", &change).await.unwrap();
    assert_eq!(text(&changed, "Result"), "0");
    assert_eq!((bench.panel().spaces()[0].plan_id, bench.state().ram_mb), (12, 4096));
    let halves = settings(space, "h1007.vm.example.test", 0).replace("VMSettings", "vmSettings");
    let halves = halves.replace("<RamSize>4096", "<RamSize>8192");
    let whole = format!("<itemId>{machine}</itemId>{halves}");
    assert!(bench.result("UpdateVirtualMachineResource", &whole).await.0);

    assert_eq!(bench.state().ram_mb, 8192);
    assert_eq!(bench.panel().check(), [format!("machine {machine} has lost the record of its disk")]);
    let smaller = whole.replace("<int>60", "<int>50");
    assert!(!bench.result("UpdateVirtualMachineResource", &smaller).await.0);
    let elsewhere = change.replace("<planId>12", "<planId>21");
    bench.call("UpdatePackageLiteral", &elsewhere).await;
    assert!(bench.panel().check().contains(&format!("space {space} has plan 21 of another space")));
}

#[tokio::test]
async fn memory_is_told_under_the_name_of_the_version() {
    for (version, name, member) in [
        (Version::V1_4_9, "GetMemoryPackageId", "FreePhysicalMemoryKB"),
        (Version::V1_5_2, "GetSystemMemoryInfoPackageId", "FreePhysicalKB"),
    ] {
        let bench = Bench::with(|config| config.version = version);
        bench.machine().await;

        let memory = bench.call(name, &package(5)).await.unwrap();

        assert_eq!(text(&memory, member), ((65_536 - 4_096) * 1_024).to_string());
        // Nothing else tells the versions apart.
        bench.assert_clean();
    }
    let bench = Bench::with(|config| config.version = Version::V1_5_2);
    let fault = bench.fault("GetMemoryPackageId", &package(5)).await;
    assert!(fault.contains("SOAPAction"), "{fault}");
}

#[tokio::test]
async fn reports_count_what_is_there() {
    let bench = Bench::new();
    let (_, space, _) = bench.machine().await;
    bench.panel().tune(|knobs| knobs.traffic = vec![(space, "Web".into(), 3 << 20, 5 << 20)]);

    let summary = bench.call("GetNestedPackagesSummary", &package(5)).await.unwrap();
    let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(rows(&summary, "Table1"), [vec![one("StatusID", "1"), one("PackagesNumber", "1")]]);
    let traffic = format!(
        "<packageId>{space}</packageId><startDate>2026-01-01T00:00:00</startDate><endDate>2026-02-01T00:00:00</endDate>"
    );
    let traffic = bench.call("GetPackageBandwidth", &traffic).await.unwrap();
    assert!(rows(&traffic, "Table")[0].contains(&one("MegaBytesTotal", "8")));
    let context = bench.call("GetPackageContext", &package(5)).await.unwrap();
    let quotas = &context.child(NAMESPACE, "QuotasArray").unwrap().children;
    let disk = quotas.iter().find(|quota| text(quota, "QuotaName") == "VPS2012.Hdd").unwrap();
    assert_eq!((text(disk, "QuotaUsedValue"), text(disk, "QuotaAllocatedValue")), ("60".into(), "2000".into()));
    let plans = bench.call("GetHostingPlans", "<userId>2</userId>").await.unwrap();
    assert_eq!(rows(&plans, "Table").len(), 4);
    assert!(rows(&plans, "Table")[0].contains(&one("PackagesNumber", "1")));
    bench.assert_clean();
}

#[tokio::test]
async fn a_wizard_makes_user_and_space_or_neither() {
    let bench = Bench::new();
    let wizard = |username: &str, plan: i32| {
        format!(
            "<parentPackageId>5</parentPackageId><username>{username}</username><password>S3cret</password>\
             <roleId>3</roleId><firstName>Jane</firstName><lastName>Doe</lastName><email>j@example.test</email>\
             <secondaryEmail /><htmlMail>true</htmlMail><sendAccountLetter>false</sendAccountLetter>\
             <createPackage>true</createPackage><planId>{plan}</planId><sendPackageLetter>false</sendPackageLetter>\
             <domainName /><tempDomain>false</tempDomain><createWebSite>false</createWebSite>\
             <createFtpAccount>false</createFtpAccount><ftpAccountName /><createMailAccount>false</createMailAccount>\
             <hostName /><createZoneRecord>false</createZoneRecord>"
        )
    };

    assert!(bench.number("CreateUserWizard", &wizard("jane", 11)).await > 0);
    assert_eq!(bench.number("CreateUserWizard", &wizard("jane", 11)).await, -1100);
    assert!(bench.fault("CreateUserWizard", &wizard("john", 99)).await.contains("Object reference"));

    assert_eq!((bench.panel().made_users().len(), bench.panel().spaces().len()), (1, 1));
    bench.assert_clean();
}
