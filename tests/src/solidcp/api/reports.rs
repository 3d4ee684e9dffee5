//! What a space has, may have and uses.

use super::{Reply, read};
use crate::solidcp::quotas::QUOTAS;
use crate::solidcp::rules::Asked;
use crate::solidcp::state::{Package, World};
use crate::solidcp::value::{Data, Table};
use crate::solidcp::view::group;

const QUOTA_ROWS: &[(&str, &str)] = &[
    ("QuotaID", "int"),
    ("GroupID", "int"),
    ("QuotaName", "string"),
    ("QuotaDescription", "string"),
    ("QuotaTypeID", "int"),
    ("QuotaValue", "int"),
    ("QuotaUsedValue", "int"),
];

const SUMMARY: &[(&str, &str)] = &[("StatusID", "int"), ("PackagesNumber", "int")];

const NESTED: &[(&str, &str)] = &[
    ("PackageID", "int"),
    ("PackageName", "string"),
    ("StatusID", "int"),
    ("PlanID", "int"),
    ("PlanName", "string"),
    ("ServerID", "int"),
    ("UserID", "int"),
    ("Username", "string"),
];

const ITEMS: &[(&str, &str)] =
    &[("ItemID", "int"), ("ItemName", "string"), ("PackageID", "int"), ("TypeName", "string"), ("GroupName", "string")];

const BANDWIDTH: &[(&str, &str)] = &[
    ("GroupID", "int"),
    ("GroupName", "string"),
    ("MegaBytesSent", "double"),
    ("MegaBytesReceived", "double"),
    ("MegaBytesTotal", "double"),
    ("BytesSent", "long"),
    ("BytesReceived", "long"),
    ("BytesTotal", "long"),
];

const DISK: &[(&str, &str)] =
    &[("GroupID", "int"), ("GroupName", "string"), ("Diskspace", "int"), ("DiskspaceBytes", "long")];

const MEGABYTE: i64 = 1 << 20;

pub(super) fn respond(world: &World, asked: &Asked) -> Reply {
    let given = &asked.given;
    let id = given.int("packageId");
    let package = world.own_package(asked.caller, id)?;
    match asked.operation.name {
        "GetPackageContext" => {
            let values = QUOTAS.iter().map(|(name, _, _)| world.quota_value(package, name));
            read(Data::object([
                ("Package", world.whole_package(package)),
                ("GroupsArray", Data::List(vec![group()])),
                ("QuotasArray", Data::List(values.collect())),
            ]))
        }
        "GetPackageQuota" => read(world.quota_value(package, &given.string("quotaName"))),
        "GetPackageQuotas" => {
            let groups = vec![vec![Data::from(33), Data::from("VPS2012")]];
            let rows = QUOTAS.iter().map(|(name, quota_id, kind)| {
                vec![
                    Data::from(*quota_id),
                    Data::from(33),
                    Data::from(*name),
                    Data::from(*name),
                    Data::from(*kind),
                    Data::from(world.allocated(package, name)),
                    Data::from(world.used(id, name)),
                ]
            });
            let groups = Table { columns: &[("GroupID", "int"), ("GroupName", "string")], rows: groups };
            read(Data::Set(vec![groups, Table { columns: QUOTA_ROWS, rows: rows.collect() }]))
        }
        "GetNestedPackagesSummary" => {
            let below: Vec<i32> = world.packages_below(id).map(|package| package.status).collect();
            let total = Table { columns: &[("PackagesNumber", "int")], rows: vec![vec![Data::from(below.len())]] };
            let rows = (1..=4).map(|status| (status, below.iter().filter(|found| **found == status).count()));
            let rows = rows.filter(|(_, count)| *count > 0);
            let rows = rows.map(|(status, count)| vec![Data::from(status), Data::from(count)]).collect();
            read(Data::Set(vec![total, Table { columns: SUMMARY, rows }]))
        }
        "GetNestedPackagesPaged" => nested(world, asked, id),
        "GetRawPackageItems" => {
            let rows = world.machines_of(id).map(|machine| {
                vec![
                    Data::from(machine.id),
                    Data::from(&*machine.name),
                    Data::from(id),
                    Data::from("SolidCP.Providers.Virtualization.VirtualMachine, SolidCP.Providers.Base"),
                    Data::from("VPS2012"),
                ]
            });
            read(Data::Set(vec![Table { columns: ITEMS, rows: rows.collect() }]))
        }
        "GetPackageBandwidth" => {
            let mega = |bytes: i64| Data::from((bytes / MEGABYTE).to_string());
            let rows =
                world.knobs.traffic.iter().filter(|(space, ..)| *space == id).map(|(_, name, sent, received)| {
                    vec![
                        Data::from(1),
                        Data::from(&**name),
                        mega(*sent),
                        mega(*received),
                        mega(sent + received),
                        Data::from(*sent),
                        Data::from(*received),
                        Data::from(sent + received),
                    ]
                });
            read(Data::Set(vec![Table { columns: BANDWIDTH, rows: rows.collect() }]))
        }
        "GetPackageDiskspace" => {
            let rows = world.knobs.disk.iter().filter(|(space, ..)| *space == id).map(|(_, name, bytes)| {
                vec![Data::from(1), Data::from(&**name), Data::from(bytes / MEGABYTE), Data::from(*bytes)]
            });
            read(Data::Set(vec![Table { columns: DISK, rows: rows.collect() }]))
        }
        name => unreachable!("{name} is in no list of reports"),
    }
}

/// The value is compared as by LIKE, where `_` stands for one character and `%` for any.
fn nested(world: &World, asked: &Asked, id: i32) -> Reply {
    let given = &asked.given;
    let pattern = given.string("filterValue");
    let fits = |wanted: &str, has: i32| given.int(wanted) == 0 || given.int(wanted) == has;
    let found: Vec<&Package> = world
        .packages_below(id)
        .filter(|package| given.string("filterColumn") != "PackageName" || like(&pattern, &package.name))
        .filter(|package| fits("statusId", package.status) && fits("planId", package.plan_id))
        .filter(|package| fits("serverId", package.node_id))
        .collect();
    let row = |package: &&Package| {
        vec![
            Data::from(package.id),
            Data::from(&*package.name),
            Data::from(package.status),
            Data::from(package.plan_id),
            Data::maybe(world.plan(package.plan_id).map(|plan| &*plan.name)),
            Data::from(package.node_id),
            Data::from(package.user_id),
            Data::maybe(world.user(package.user_id).map(|user| &*user.username)),
        ]
    };
    let count = Table { columns: &[("Column1", "int")], rows: vec![vec![Data::from(found.len())]] };
    let rows = found.iter().skip(asked.offset()).take(asked.limit()).map(row).collect();
    read(Data::Set(vec![count, Table { columns: NESTED, rows }]))
}

fn like(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('%') => (0..=text.len()).any(|at| text.is_char_boundary(at) && like(rest.as_str(), &text[at..])),
        Some(wanted) => {
            let mut text = text.chars();
            let is_same = |found: char| wanted == '_' || found.eq_ignore_ascii_case(&wanted);
            text.next().is_some_and(is_same) && like(rest.as_str(), text.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_like() {
        for (pattern, text, expected) in [
            ("svc-1", "svc-1", true),
            ("SVC-1", "svc-1", true),
            ("svc-1", "svc-10", false),
            ("svc-%", "svc-10", true),
            ("svc_1", "svc-1", true),
            ("", "svc", false),
            ("%", "", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
