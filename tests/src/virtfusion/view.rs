//! The panel's objects as it shows them: every member of the reference, and some that no reference mentions.

use serde_json::{Value, json};

use super::config::Package;
use super::state::{Phase, Server, Task, User, Work, World};

/// What stands for a guest's encrypted password and for the start script in a queue item: the same in every answer,
/// and secret all the same.
pub(super) const CONSTANT_SECRETS: &[&str] = &[ENCRYPTED_PASSWORD, START_SCRIPT];
const ENCRYPTED_PASSWORD: &str = "ZXlKcGRpSTZJa0Y1TDA1VVNYUTRk";
const START_SCRIPT: &str = "#cloud-config chpasswd root:9c1dZq";

const DAY_MS: u64 = 86_400_000;

fn format(ms: u64, pattern: &str) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime(pattern).to_string()
}

/// `2025-01-20T14:00:47+00:00`.
pub(super) fn instant(ms: u64) -> String {
    format(ms, "%Y-%m-%dT%H:%M:%S+00:00")
}

/// `2025-01-20T14:00:47.000000Z`, what users, packages and periods carry.
pub(super) fn precise(ms: u64) -> String {
    format(ms, "%Y-%m-%dT%H:%M:%S.000000Z")
}

/// `2025-01-20 14:00:47`, without a zone.
pub(super) fn plain(ms: u64) -> String {
    format(ms, "%Y-%m-%d %H:%M:%S")
}

pub(super) fn address(host: u32) -> String {
    format!("10.{}.{}.{}", 40 + (host >> 16), (host >> 8) & 0xFF, host & 0xFF)
}

/// The traffic period that holds now: 30 days from the server's first day on.
pub(super) fn period(server: &Server, now_ms: u64) -> (u64, u64, u64) {
    let first_ms = server.created_ms - server.created_ms % DAY_MS;
    let index = (now_ms.saturating_sub(first_ms)) / (30 * DAY_MS);
    let start_ms = first_ms + index * 30 * DAY_MS;
    (index + 1, start_ms, start_ms + 30 * DAY_MS - 1_000)
}

/// State word, `commissionStatus` and `buildFailed`.
pub(super) fn build_state(world: &World, server: &Server) -> (&'static str, u64, bool) {
    let building = world.open_tasks(server.id).find(|task| matches!(task.work, Work::Build(_)));
    match (building, server.phase) {
        (Some(task), _) if world.now_ms < task.starts_ms => ("queued", 1, false),
        (Some(_), _) => ("building", 1, false),
        (None, Phase::Allocated) => ("allocated", 0, false),
        (None, Phase::Complete) => ("complete", 3, false),
        (None, Phase::Failed { quietly }) => ("failed", 2, !quietly),
    }
}

/// The whole server object. `remoteState` and `decryptedPassword` are the callers' to add.
pub(super) fn server(world: &World, server: &Server) -> Value {
    let (state, commission_status, build_failed) = build_state(world, server);
    let (_, start_ms, end_ms) = period(server, world.now_ms);
    let last_on = world.tasks.iter().rfind(|task| task.server_id == server.id && task.finished);
    let pending: Vec<Value> = server
        .pending
        .iter()
        .map(|change| {
            json!({
                "id": change.id, "action": change.action, "requires": ["restart", "boot"],
                "collected": false, "complete": false, "failed": false,
                "payload": {}, "created": instant(change.created_ms),
            })
        })
        .collect();
    let owner = world.users.iter().find(|user| user.id == server.owner_id).map(owner);
    let mut object = json!({
        "id": server.id, "ownerId": server.owner_id, "hypervisorId": server.hypervisor_id,
        "arch": 1, "name": server.name, "selfService": 0, "selfServiceSettings": [],
        "hostname": server.hostname, "commissionStatus": commission_status,
        "uuid": server.uuid(), "state": state, "migratable": true, "timezone": "_default",
        "migrateLevel": 0, "deleteLevel": 0, "configLevel": commission_status % 2, "backupLevel": 0,
        "elevated": false, "elevateId": null, "elevate": false, "destroyable": true,
        "rebuild": server.rebuild, "suspended": server.suspended, "protected": false,
        "buildFailed": build_failed, "primaryNetworkDhcp4": false, "primaryNetworkDhcp6": false,
        "built": server.built_ms.map(instant), "created": instant(server.created_ms),
        "updated": instant(server.updated_ms),
        "traffic": { "public": { "countMethod": 1, "currentPeriod": {
            "start": precise(start_ms), "end": precise(end_ms), "limit": server.resources.traffic_gb,
        }}},
        "settings": settings(server), "cpu": cpu(server), "customXML": custom_xml(),
        "qemuCommandline": [], "qemuAgent": { "os": { "screen": "aVZCT1J3MEtHZ28=" } },
        "media": { "isoMounted": false, "isoType": "local", "isoName": "", "isoFilename": "",
            "isoUrl": "", "isoDownload": false },
        "backupPlan": { "id": server.backup_plan, "name": server.backup_plan.map(|_| "Daily") },
        "vnc": { "ip": "10.40.0.2", "port": 5_900 + server.id % 90, "enabled": server.vnc_enabled },
    });
    let more = json!({
        "network": { "interfaces": [interface(server)], "secondaryInterfaces": [] },
        "storage": [disk(server)], "hypervisorAssets": [], "hypervisor": hypervisor(world, server),
        "owner": owner, "sshKeys": [], "sharedUsers": [],
        "tasks": { "active": world.is_busy(server.id),
            "lastOn": last_on.map(|task| plain(task.ends_ms)), "actions": { "pending": pending } },
        "placementHint": { "zone": "b", "weights": [1, 2.5, null] },
    });
    merge(&mut object, more);
    object
}

/// Puts the members of `more` into `object`.
pub(super) fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn settings(server: &Server) -> Value {
    json!({
        "osTemplateInstall": true, "osTemplateInstallId": server.os_id,
        "encryptedPassword": ENCRYPTED_PASSWORD, "backupPlan": server.backup_plan,
        "uefi": false, "uefiType": 0, "cloudInit": true, "cloudInitType": 1, "config": [],
        "userConfig": [], "bootOrder": ["hd", "cdrom"], "tpmType": 0, "networkBoot": false,
        "bootMenu": 1, "customISO": 1, "securityDriver": 3,
        "memBalloon": { "model": 1, "autoDeflate": 0, "freePageReporting": 0 },
        "hyperv": { "enabled": false, "passthrough": false, "relaxed": 0, "vapic": 0, "spinlocks": 0,
            "vpindex": 0, "runtime": 0, "synic": 0, "stimer": 0, "reset": 0, "vendorId": 0,
            "frequencies": 0, "reenlightenment": 0, "tlbflush": 0, "ipi": 0, "evmcs": 0,
            "vendorIdValue": "KVM VM", "spinlocksValue": 8191, "clockEnabled": 0 },
        "extended": { "cpuFlags": { "topoext": "1", "svm": "1", "vmx": "1" } },
        "machineType": "inherit", "pciPorts": 16, "resources": resources(server),
    })
}

fn resources(server: &Server) -> Value {
    let held = server.resources;
    json!({ "memory": held.memory_mb, "storage": held.storage_gb, "traffic": held.traffic_gb,
        "cpuCores": held.cpu_cores })
}

fn cpu(server: &Server) -> Value {
    let cores = server.resources.cpu_cores;
    json!({ "cores": cores, "type": "inherit", "typeExact": "host-model", "shares": 1024,
        "throttle": server.throttle,
        "topology": { "enabled": false, "sockets": 1, "cores": cores, "threads": 1, "dies": 1 } })
}

fn custom_xml() -> Value {
    let none = json!({ "xml": "", "enabled": false });
    json!({ "domain": none, "os": none, "devices": none, "features": none, "clock": none,
        "cpuTune": none })
}

fn ipv4(server: &Server, host: u32, order: usize) -> Value {
    json!({ "id": 500 + host, "order": order + 1, "enabled": true, "blockId": 3,
        "address": address(host), "gateway": "10.40.0.1", "netmask": "255.255.0.0",
        "resolver1": "10.40.0.8", "resolver2": "10.40.0.9", "rdns": server.hostname, "mac": null })
}

fn ipv6(server: &Server) -> Value {
    match server.ipv6 {
        false => json!([]),
        true => json!([{ "id": server.id, "block": { "id": 5, "name": "V6" }, "order": 1,
            "enabled": true, "addresses": [], "addressesDetailed": [],
            "subnet": format!("2001:db8:{:x}::", server.id), "cidr": 80, "exhausted": false,
            "gateway": "2001:db8::1", "resolver1": "2001:db8::8", "resolver2": "2001:db8::9",
            "routeNet": false }]),
    }
}

fn interface(server: &Server) -> Value {
    let ipv4: Vec<Value> =
        server.addresses.iter().enumerate().map(|(order, host)| ipv4(server, *host, order)).collect();
    let mut object = json!({
        "id": server.id, "order": 1, "enabled": true, "tag": 6_927_490_480_u64, "name": "eth0",
        "type": "public", "driver": 1, "processQueues": null, "mac": "00:BA:76:AB:DF:4E",
        "ipv4ToMac": null, "ipv6ToMac": null, "inTrafficCount": true, "outTrafficCount": false,
        "inAverage": 200, "inPeak": 0, "inBurst": 0, "outAverage": 400, "outPeak": 0, "outBurst": 0,
        "ipFilter": true, "vlans": [], "ipFilterType": "4", "portIsolated": false,
        "ipv4_resolver_1": 1, "ipv4_resolver_2": 2, "ipv6_resolver_1": 1, "ipv6_resolver_2": 2,
    });
    let more = json!({
        "networkProfile": 0, "dhcpV4": 0, "dhcpV6": 0, "firewallEnabled": false,
        "hypervisorNetwork": server.hypervisor_id, "isNat": false, "nat": false, "firewall": [],
        "hypervisorConnectivity": { "id": server.hypervisor_id, "type": "simpleBridge",
            "bridge": "br0", "mtu": null, "primary": true, "default": true },
        "ipWhitelist": [], "actions": [], "ipv4": ipv4, "ipv6": ipv6(server),
    });
    merge(&mut object, more);
    object
}

fn disk(server: &Server) -> Value {
    let name = format!("{}_1", server.uuid());
    json!({
        "_id": server.id + 11, "id": 1, "cache": null, "bus": null,
        "capacity": server.resources.storage_gb, "drive": "a", "datastoreDiskId": null,
        "filesystem": null, "iops": { "read": null, "write": null },
        "bytes": { "read": null, "write": null }, "type": "qcow2", "profile": 1, "status": 3,
        "enabled": true, "primary": true, "created": instant(server.created_ms),
        "updated": instant(server.created_ms), "datastore": [], "name": name,
        "filename": format!("{name}.img"), "hypervisorStorageId": null, "local": true,
        "locationType": "mountpoint", "path": "/home/vf-data/disk",
    })
}

fn hypervisor(world: &World, server: &Server) -> Value {
    let group = world.groups.iter().find(|group| group.id == server.group_id);
    let mut object = json!({
        "id": server.hypervisor_id, "ip": "10.40.0.2", "hostname": null, "port": 8892,
        "maintenance": world.knobs.maintenance, "groupId": server.group_id,
        "group": { "name": group.map(|group| group.name.as_str()), "icon": null },
        "timezone": "Europe/London", "forceIPv6": false, "vncListenType": 1, "displayName": null,
        "cpuSet": null, "nfType": 4, "backupStorageType": 2, "defaultDiskType": "inherit",
        "defaultDiskCacheType": "inherit", "defaultCPU": "inherit", "defaultMachineType": "inherit",
        "created": "2024-05-14T11:19:04+00:00", "updated": "2024-06-28T21:22:01+00:00",
        "name": format!("Hypervisor {}", server.hypervisor_id), "dataDir": "/home/vf-data",
    });
    merge(&mut object, json!({ "resources": hypervisor_resources(world, server.group_id) }));
    object
}

/// What a group's hypervisor has left; only servers are counted.
pub(super) fn hypervisor_resources(world: &World, group_id: u64) -> Value {
    let room = world.groups.iter().find(|group| group.id == group_id).map_or(0, |group| group.room);
    let used = world.servers.iter().filter(|server| server.is_live() && server.group_id == group_id);
    let used = used.count();
    let free = i64::try_from(room).unwrap_or(i64::MAX) - i64::try_from(used).unwrap_or(0);
    // One without room is taken by a server of somebody else: a `max` of 0 would be none.
    let (room, used) = if room == 0 { (used + 1, used + 1) } else { (room, used) };
    // A `max` of 0 means no bound, and then `free` is negative: the API's own quirk.
    json!({
        "servers": { "units": "#", "max": room, "allocated": used, "free": free, "percent": null },
        "memory": { "units": "MB", "max": 0, "allocated": 1024 * used, "free": -1, "percent": 0.5 },
        "cpuCores": { "units": "#", "max": 0, "allocated": used, "free": -1, "percent": 0.5 },
        "localStorage": { "enabled": 1, "name": "Local (Default mountpoint)", "storageType": 1,
            "units": "GB", "max": 0, "allocated": 10 * used, "free": -1, "percent": 4.5 },
        "otherStorage": [],
        "network": { "total": { "ipv4": { "free": 50_000 } } },
    })
}

fn owner(user: &User) -> Value {
    json!({ "id": user.id, "admin": false, "extRelationId": user.ext_relation_id, "name": user.name,
        "email": user.email, "timezone": "Europe/London", "suspended": !user.enabled,
        "twoFactorAuth": false, "created": instant(user.created_ms),
        "updated": instant(user.updated_ms) })
}

pub(super) fn user(user: &User) -> Value {
    json!({ "id": user.id, "admin": false, "extRelationId": user.ext_relation_id,
        "selfService": user.self_service, "selfServiceHourlyGroupProfiles": [],
        "selfServiceResourceGroupProfiles": [], "selfServiceHourlyResourcePack": null,
        "name": user.name, "email": user.email, "timezone": "Europe/London",
        "suspended": !user.enabled, "twoFactorAuth": false, "created": precise(user.created_ms),
        "updated": precise(user.updated_ms), "loyaltyTier": "none" })
}

/// A row of `GET /servers`.
pub(super) fn server_row(world: &World, server: &Server) -> Value {
    let (_, commissioned, _) = build_state(world, server);
    json!({ "id": server.id, "uuid": server.uuid(), "name": server.name,
        "commissioned": commissioned, "owner": server.owner_id,
        "hypervisorId": server.hypervisor_id, "suspended": server.suspended, "protected": false,
        "updated": instant(server.updated_ms), "created": instant(server.created_ms) })
}

/// A row of `GET /servers/user/{user}`; it has neither `created` nor `built`.
pub(super) fn user_server_row(world: &World, server: &Server) -> Value {
    let (state, commission_status, build_failed) = build_state(world, server);
    let mut resources = resources(server);
    merge(&mut resources, json!({ "cpu_model": null }));
    json!({
        "id": server.id, "ownerId": server.owner_id, "hypervisorId": server.hypervisor_id,
        "name": server.name, "hostname": server.hostname, "commissionStatus": commission_status,
        "uuid": server.uuid(), "state": state, "rebuild": server.rebuild,
        "suspended": server.suspended, "protected": false, "buildFailed": build_failed,
        "backup_level": 0, "backup_plan": null, "os": { "screen": "aVZCT1J3MEtHZ28=" },
        "server_info": { "show": false, "icon": null, "name": null, "label": null },
        "vnc": { "expose_details": true, "ip": "10.40.0.2", "hostname": null,
            "port": 5_900 + server.id % 90, "enabled": u8::from(server.vnc_enabled) },
        "resources": resources, "network": { "interfaces": [interface(server)] },
        "config": { "uefi": false, "bootOrder": ["hd", "cdrom"] },
        "media": { "isoMounted": false, "isoName": "" },
    })
}

pub(super) fn package(package: &Package) -> Value {
    json!({ "id": package.id, "name": package.name, "description": null,
        "enabled": package.enabled, "memory": package.memory_mb,
        "primaryStorage": package.storage_gb, "traffic": package.traffic_gb,
        "cpuCores": package.cpu_cores, "primaryNetworkSpeedIn": 0, "primaryNetworkSpeedOut": 0,
        "primaryDiskType": "inherit", "backupPlanId": 0, "primaryStorageReadBytesSec": null,
        "primaryStorageWriteBytesSec": null, "primaryStorageReadIopsSec": null,
        "primaryStorageWriteIopsSec": null, "primaryStorageProfile": 1, "primaryNetworkProfile": 0,
        "created": "2024-03-12T22:41:31.000000Z", "sortOrder": 4 })
}

/// The templates that fit a package, in one group as the panel shows them.
pub(super) fn templates(world: &World, package_id: u64) -> Value {
    let fitting: Vec<Value> = world
        .templates
        .iter()
        .filter(|template| template.packages.contains(&package_id))
        .map(|template| {
            json!({ "id": template.id, "name": template.name, "version": template.version,
                "variant": null, "arch": 1, "description": "Minimal installation.",
                "icon": "debian_logo.png", "eol": false, "eol_date": "2030-06-01 00:00:00",
                "eol_warning": false, "deploy_type": 1, "vnc": false, "type": "linux" })
        })
        .collect();
    json!([{ "name": "Debian", "description": "Debian GNU/Linux.", "icon": "debian_logo.png",
        "templates": fitting, "id": 1 }])
}

pub(super) fn queue_item(world: &World, task: &Task) -> Value {
    let (job, action) = match task.work {
        Work::Build(_) => ("Build", "build_server"),
        Work::Suspend => ("Suspend", "suspend_server"),
        Work::Unsuspend => ("Unsuspend", "unsuspend_server"),
        Work::Boot => ("Boot", "power_boot"),
        Work::Shutdown => ("Shutdown", "power_shutdown"),
        Work::Restart => ("Restart", "power_restart"),
        Work::PowerOff => ("PowerOff", "power_off"),
        Work::ResetPassword => ("ResetPassword", "reset_password"),
    };
    let is_over = task.finished;
    let failed = is_over && task.fails;
    let started = world.now_ms >= task.starts_ms;
    let progress = if is_over && !failed { 100 } else { u32::from(started) * 40 };
    let hypervisor = world.servers.iter().find(|server| server.id == task.server_id).map(|s| s.hypervisor_id);
    json!({
        "id": task.id, "jobId": (task.id + 700).to_string(),
        "job": format!("App\\Jobs\\Server\\KVM\\{job}"), "hypervisorId": hypervisor,
        "serverId": task.server_id, "action": action, "queue": "default",
        "started": started.then(|| instant(task.starts_ms)), "updated": instant(world.now_ms),
        "finished": is_over.then(|| instant(task.ends_ms)), "failed": failed, "progress": progress,
        "errors": { "exception": { "stringable": false, "errors": [], "type": null, "trace": null,
            "message": failed.then_some("the hypervisor could not finish the task") } },
        "primaryActions": [{ "type": "server.get.status", "dataType": "object",
            "data": { "success": true, "userData": START_SCRIPT },
            "created": instant(task.queued_ms), "updated": instant(task.queued_ms) }],
        "subActions": [],
    })
}

/// One page of a list, as the framework under the panel pages. The links lead to an address that no client can reach.
pub(super) fn page(rows: &[Value], path: &str, results: u64, page: u64) -> Value {
    let total = rows.len() as u64;
    let last = total.div_ceil(results).max(1);
    let from = (page - 1).saturating_mul(results);
    let shown: Vec<&Value> = rows
        .iter()
        .skip(usize::try_from(from).unwrap_or(usize::MAX))
        .take(usize::try_from(results).unwrap_or(usize::MAX))
        .collect();
    let link = |number: u64| format!("https://192.0.2.11/api/v1{path}?page={number}");
    let bound = |offset: u64| (!shown.is_empty()).then_some(from + offset);
    json!({
        "current_page": page, "first_page_url": link(1), "from": bound(1), "last_page": last,
        "last_page_url": link(last),
        "links": [
            { "url": null, "label": "&laquo; Previous", "active": false },
            { "url": link(1), "label": "1", "active": true },
            { "url": null, "label": "Next &raquo;", "active": false },
        ],
        "next_page_url": (page < last).then(|| link(page + 1)),
        "path": format!("https://192.0.2.11/api/v1{path}"), "per_page": results,
        "prev_page_url": (page > 1).then(|| link(page - 1)), "to": bound(shown.len() as u64),
        "total": total, "data": shown,
    })
}
