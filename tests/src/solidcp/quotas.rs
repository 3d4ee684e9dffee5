//! How much a space may have, and how much of it is used.

use super::state::{Package, World};
use super::value::{Data, Table};

/// Name, id and type of each: 1 boolean, 2 counted, 3 the most per machine.
pub(super) const QUOTAS: [(&str, i32, i32); 23] = [
    ("VPS2012.ServersNumber", 553, 2),
    ("VPS2012.ManagingAllowed", 554, 1),
    ("VPS2012.CpuNumber", 555, 3),
    ("VPS2012.BootCdAllowed", 556, 1),
    ("VPS2012.BootCdEnabled", 557, 1),
    ("VPS2012.Ram", 558, 2),
    ("VPS2012.Hdd", 559, 2),
    ("VPS2012.DvdEnabled", 560, 1),
    ("VPS2012.ExternalNetworkEnabled", 561, 1),
    (ADDRESSES, 562, 2),
    ("VPS2012.PrivateNetworkEnabled", 563, 1),
    ("VPS2012.SnapshotsNumber", 565, 3),
    ("VPS2012.StartShutdownAllowed", 566, 1),
    ("VPS2012.PauseResumeAllowed", 567, 1),
    ("VPS2012.RebootAllowed", 568, 1),
    ("VPS2012.ResetAlowed", 569, 1),
    ("VPS2012.ReinstallAllowed", 570, 1),
    ("VPS2012.Bandwidth", 571, 2),
    ("VPS2012.AdditionalVhdCount", 730, 3),
    ("VPS2012.DMZNetworkEnabled", 750, 1),
    ("VPS2012.DMZIPAddressesNumber", 751, 3),
    ("VPS2012.DMZVLANsNumber", 752, 2),
    ("OS.Diskspace", 2, 2),
];

pub(super) const ADDRESSES: &str = "VPS2012.ExternalIPAddressesNumber";

const EXCEEDING: &[(&str, &str)] = &[("QuotaID", "int"), ("QuotaName", "string"), ("QuotaValue", "int")];

impl World {
    /// What a plan allows; -1 is no limit.
    pub(super) fn plan_quota(&self, plan_id: i32, quota: &str) -> i32 {
        self.plan(plan_id).and_then(|plan| plan.quotas.get(quota).copied()).unwrap_or(0)
    }

    /// What a space is allowed by its plan and its add-ons; -1 is no limit.
    pub(super) fn allocated(&self, package: &Package, quota: &str) -> i32 {
        let own = self.plan_quota(package.plan_id, quota);
        let addons = self.addons.iter().filter(|addon| addon.package_id == package.id && addon.status == 1);
        let added: Vec<i32> = addons.map(|addon| addon.quantity * self.plan_quota(addon.plan_id, quota)).collect();
        if own == -1 || added.iter().any(|value| *value < 0) { -1 } else { own + added.iter().sum::<i32>() }
    }

    /// What a space and those below it use of a counted quota.
    pub(super) fn used(&self, package_id: i32, quota: &str) -> i32 {
        let below: i32 = self.packages_below(package_id).map(|package| self.used(package.id, quota)).sum();
        let machines = || self.machines_of(package_id);
        let own = match quota {
            "VPS2012.ServersNumber" => machines().count(),
            "VPS2012.Ram" => return below + machines().map(|machine| machine.ram_mb).sum::<i32>(),
            "VPS2012.Hdd" => return below + machines().flat_map(|machine| &machine.disks_gb).sum::<i32>(),
            // What a reseller's space has not sold is not used.
            ADDRESSES if self.package(package_id).is_some_and(|package| package.parent_id != 1) => {
                self.rows_of(package_id).count()
            }
            _ => 0,
        };
        below + i32::try_from(own).unwrap_or(i32::MAX)
    }

    /// The numbers of one quota, as an object.
    pub(super) fn quota_value(&self, package: &Package, name: &str) -> Data {
        let (id, kind) =
            QUOTAS.iter().find(|(found, _, _)| *found == name).map_or((0, 0), |(_, id, kind)| (*id, *kind));
        let (allocated, used) = (self.allocated(package, name), self.used(package.id, name));
        Data::object([
            ("QuotaAllocatedValue", Data::from(allocated)),
            ("QuotaAllocatedValuePerOrganization", Data::from(0)),
            ("QuotaUsedValue", Data::from(used)),
            ("QuotaExhausted", Data::from(allocated != -1 && used >= allocated)),
            ("QuotaName", Data::from(name)),
            ("QuotaDescription", Data::from(name)),
            ("QuotaId", Data::from(id)),
            ("QuotaTypeId", Data::from(kind)),
            ("GroupId", Data::from(if name.starts_with("VPS2012") { 33 } else { 1 })),
        ])
    }

    /// By how much a space sells more than it has if this plan is sold too; only where anybody counts.
    pub(super) fn oversold(
        &self,
        space_id: i32,
        plan_id: i32,
        instead_of: Option<i32>,
    ) -> Vec<(&'static str, i32, i32)> {
        let Some(space) = self.package(space_id).filter(|_| self.knobs.checks_space) else { return Vec::new() };
        let mut over = Vec::new();
        for (name, id, kind) in QUOTAS {
            let limit = self.allocated(space, name);
            if kind != 2 || limit == -1 {
                continue;
            }
            let sold = self.packages_below(space_id).filter(|package| Some(package.id) != instead_of);
            let sold: i32 = sold.map(|package| self.allocated(package, name).max(0)).sum();
            let excess = sold + self.plan_quota(plan_id, name).max(0) - limit;
            if excess > 0 {
                over.push((name, id, excess));
            }
        }
        over
    }
}

/// A PackageResult.
pub(super) fn package_result(result: i32, over: &[(&'static str, i32, i32)]) -> Data {
    let rows = over.iter().map(|(name, id, excess)| vec![Data::from(*id), Data::from(*name), Data::from(*excess)]);
    let tables = vec![Table { columns: EXCEEDING, rows: rows.collect() }];
    Data::object([("Result", Data::from(result)), ("ExceedingQuotas", Data::Set(tables))])
}
