//! Hosting plans, and packages, which the panel's pages call hosting spaces.

use crate::codes;
use crate::wire::{self, PACKAGES};
use billhook_plugin_api::{Fault, Reply, Request};
use billhook_soap::Node;

/// States of a space, as numbers.
pub const ACTIVE: i64 = 1;
pub const SUSPENDED: i64 = 2;
pub const CANCELLED: i64 = 3;

/// A hosting space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    pub id: i64,
    pub user: i64,
    /// The reseller's space that it was made in.
    pub parent: i64,
    pub status: i64,
    pub plan: i64,
    pub name: String,
    /// Only of a package that was asked for by itself.
    pub comments: String,
    pub purchased: String,
    /// Quotas of its own stand in for the plan's; so it says only if it was asked for by itself.
    pub overrides: bool,
}

/// A hosting plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub id: i64,
    /// The reseller's space that is sold from.
    pub space: i64,
    pub name: String,
    /// Of the hosting server.
    pub server: String,
    pub is_available: bool,
}

/// How much of something a space has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub name: String,
    /// -1 is without limit.
    pub allocated: i64,
    pub used: i64,
}

impl Quota {
    /// What is left; `None` without limit.
    pub fn left(&self) -> Option<i64> {
        (self.allocated >= 0).then(|| self.allocated.saturating_sub(self.used).max(0))
    }
}

pub fn plans(reseller: i64) -> Result<Request, Fault> {
    wire::read(PACKAGES, "GetHostingPlans", &|call| _ = call.int("userId", reseller))
}

pub fn plans_reply(reply: &Reply) -> Result<Vec<Plan>, Fault> {
    let operation = "GetHostingPlans";
    let tree = wire::tree(reply, operation)?;
    let read = |row: &Node<'_>| {
        Ok(Plan {
            id: wire::int(*row, "PlanID")?,
            space: wire::int_or_zero(*row, "PackageID")?,
            name: wire::text(*row, "PlanName")?,
            server: wire::text(*row, "ServerName")?,
            is_available: row.find("Available").is_none_or(|flag| flag.bool() != Ok(false)),
        })
    };
    wire::rows(&tree, operation)?.iter().map(read).collect()
}

/// Whether a plan is an add-on; `None` when the panel has no such plan. Of whomever: rights are not checked.
pub fn is_addon(plan: i64) -> Result<Request, Fault> {
    wire::read(PACKAGES, "GetHostingPlan", &|call| _ = call.int("planId", plan))
}

pub fn is_addon_reply(reply: &Reply) -> Result<Option<bool>, Fault> {
    let tree = wire::tree(reply, "GetHostingPlan")?;
    wire::object(&tree, "GetHostingPlan")?.map(|plan| wire::flag(plan, "IsAddon")).transpose()
}

/// A package, of whomever: the panel does not check whether it is ours.
pub fn package(id: i64) -> Result<Request, Fault> {
    wire::read(PACKAGES, "GetPackage", &|call| _ = call.int("packageId", id))
}

pub fn package_reply(reply: &Reply) -> Result<Option<Package>, Fault> {
    let tree = wire::tree(reply, "GetPackage")?;
    wire::object(&tree, "GetPackage")?.map(read_package).transpose()
}

/// The packages of a user, whose rights are checked.
pub fn of_user(user: i64) -> Result<Request, Fault> {
    wire::read(PACKAGES, "GetMyPackages", &|call| _ = call.int("userId", user))
}

pub fn of_user_reply(reply: &Reply) -> Result<Vec<Package>, Fault> {
    package_list(reply, "GetMyPackages")
}

/// The packages within a package.
pub fn within(package: i64) -> Result<Request, Fault> {
    wire::read(PACKAGES, "GetPackagePackages", &|call| _ = call.int("packageId", package))
}

pub fn within_reply(reply: &Reply) -> Result<Vec<Package>, Fault> {
    package_list(reply, "GetPackagePackages")
}

fn package_list(reply: &Reply, operation: &str) -> Result<Vec<Package>, Fault> {
    let tree = wire::tree(reply, operation)?;
    wire::list(&tree, operation, None, "PackageInfo")?.into_iter().map(read_package).collect()
}

fn read_package(node: Node<'_>) -> Result<Package, Fault> {
    Ok(Package {
        id: wire::int(node, "PackageId")?,
        user: wire::int(node, "UserId")?,
        parent: wire::int_or_zero(node, "ParentPackageId")?,
        status: wire::int(node, "StatusId")?,
        plan: wire::int_or_zero(node, "PlanId")?,
        name: wire::text(node, "PackageName")?,
        comments: wire::text(node, "PackageComments")?,
        purchased: wire::text(node, "PurchaseDate")?,
        overrides: wire::flag(node, "OverrideQuotas")?,
    })
}

/// The quotas of a package, with what is used of them.
pub fn context(package: i64) -> Result<Request, Fault> {
    wire::read(PACKAGES, "GetPackageContext", &|call| _ = call.int("packageId", package))
}

pub fn context_reply(reply: &Reply) -> Result<Vec<Quota>, Fault> {
    let tree = wire::tree(reply, "GetPackageContext")?;
    let quotas = wire::list(&tree, "GetPackageContext", Some("QuotasArray"), "QuotaValueInfo")?;
    let read = |node: Node<'_>| {
        Ok(Quota {
            name: wire::text(node, "QuotaName")?,
            allocated: wire::int(node, "QuotaAllocatedValue")?,
            used: wire::int_or_zero(node, "QuotaUsedValue")?,
        })
    };
    quotas.into_iter().map(read).collect()
}

/// Makes a space with nothing in it. Names are not unique: a blind repeat makes a second one.
pub fn add(user: i64, plan: i64, name: &str) -> Result<Request, Fault> {
    wire::change(PACKAGES, "AddPackageWithResources", &|call| {
        call.int("userId", user).int("planId", plan).text("spaceName", name).int("statusId", ACTIVE);
        call.bool("sendLetter", false).bool("createResources", false).text("domainName", "").bool("tempDomain", false);
        call.bool("createWebSite", false).bool("createFtpAccount", false).text("ftpAccountName", "");
        call.bool("createMailAccount", false).text("hostName", "");
    })
}

pub fn add_reply(reply: &Reply) -> Result<i64, Fault> {
    let id = package_result(reply, "AddPackageWithResources")?;
    super::users::made(id, "AddPackageWithResources")
}

/// Codes that the panel answers with before it makes anything, or after it has taken it back. Any other may leave a
/// space behind.
const NOTHING_MADE: [i64; 9] = [codes::QUOTA_EXCEEDED, -103, -104, -105, -106, -107, -108, -112, -113];

fn package_result(reply: &Reply, operation: &str) -> Result<i64, Fault> {
    let tree = wire::tree(reply, operation)?;
    let result = wire::some(&tree, operation)?;
    let code = wire::int(result, "Result")?;
    if code >= 0 {
        return Ok(code);
    }
    let mut fault = codes::of_number(operation, code);
    if !NOTHING_MADE.contains(&code) {
        fault = fault.unproven();
    }
    if let Some(set) = result.find("ExceedingQuotas")
        && let Ok(rows) = billhook_soap::rows(set, "Table")
    {
        let exceeded: Vec<String> = rows
            .iter()
            .take(10)
            .filter_map(|row| Some(format!("{} by {}", text_of(*row, "QuotaName")?, text_of(*row, "QuotaValue")?)))
            .collect();
        if !exceeded.is_empty() {
            fault.staff.push_str(&format!("; exceeded: {}", exceeded.join(", ")));
        }
    }
    Err(fault)
}

fn text_of<'t>(node: Node<'t>, name: &str) -> Option<&'t str> {
    node.find(name)?.text().ok()
}

/// Names and marks a package. The comments are always overwritten.
pub fn rename(id: i64, name: &str, comments: &str) -> Result<Request, Fault> {
    wire::change(PACKAGES, "UpdatePackageName", &|call| {
        call.int("packageId", id).text("packageName", name).text("packageComments", comments);
    })
}

pub fn rename_reply(reply: &Reply) -> Result<i64, Fault> {
    wire::number(reply, "UpdatePackageName")
}

/// Gives a package another plan; the rest is as it was read from the package itself.
pub fn set_plan(package: &Package, plan: i64) -> Result<Request, Fault> {
    wire::change(PACKAGES, "UpdatePackageLiteral", &|call| {
        call.int("packageId", package.id).int("statusId", package.status).int("planId", plan);
        call.text("purchaseDate", &package.purchased).text("packageName", &package.name);
        call.text("packageComments", &package.comments);
    })
}

pub fn set_plan_reply(reply: &Reply) -> Result<i64, Fault> {
    package_result(reply, "UpdatePackageLiteral")
}

/// Active or suspended. The answer does not say whether it was done: read the package afterwards.
pub fn set_status(id: i64, status: i64) -> Result<Request, Fault> {
    let word = if status == SUSPENDED { "Suspended" } else { "Active" };
    wire::change(PACKAGES, "ChangePackageStatus", &|call| _ = call.int("packageId", id).text("status", word))
}

pub fn set_status_reply(reply: &Reply) -> Result<i64, Fault> {
    wire::number(reply, "ChangePackageStatus")
}

/// Begins to delete a package, in the background.
pub fn delete(id: i64) -> Result<Request, Fault> {
    wire::change(PACKAGES, "DeletePackage", &|call| _ = call.int("packageId", id))
}

/// One that is gone is as good as deleted.
pub fn delete_reply(reply: &Reply) -> Result<(), Fault> {
    match wire::number(reply, "DeletePackage") {
        Err(fault) if fault.code.as_deref() == Some("-300") => Ok(()),
        other => other.map(|_| ()),
    }
}

/// An add-on of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addon {
    pub id: i64,
    pub plan: i64,
    pub quantity: i64,
}

pub fn addons(package: i64) -> Result<Request, Fault> {
    wire::read(PACKAGES, "GetPackageAddons", &|call| _ = call.int("packageId", package))
}

pub fn addons_reply(reply: &Reply) -> Result<Vec<Addon>, Fault> {
    let tree = wire::tree(reply, "GetPackageAddons")?;
    let read = |row: &Node<'_>| {
        Ok(Addon {
            id: wire::int(*row, "PackageAddonID")?,
            plan: wire::int(*row, "PlanID")?,
            quantity: wire::int_or_zero(*row, "Quantity")?,
        })
    };
    wire::rows(&tree, "GetPackageAddons")?.iter().map(read).collect()
}

pub fn add_addon(package: i64, plan: i64, quantity: i64) -> Result<Request, Fault> {
    wire::change(PACKAGES, "AddPackageAddonById", &|call| {
        call.int("packageId", package).int("addonPlanId", plan).int("quantity", quantity);
    })
}

pub fn add_addon_reply(reply: &Reply) -> Result<i64, Fault> {
    super::users::made(package_result(reply, "AddPackageAddonById")?, "AddPackageAddonById")
}

/// What was sent and received in a time, of services that the panel measures. Hyper-V is none of them.
pub fn traffic(package: i64, from: &str, to: &str) -> Result<Request, Fault> {
    wire::read(PACKAGES, "GetPackageBandwidth", &|call| {
        call.int("packageId", package).text("startDate", from).text("endDate", to);
    })
}

/// Bytes in all; `None` where the panel measures nothing.
pub fn traffic_reply(reply: &Reply) -> Result<Option<u64>, Fault> {
    let tree = wire::tree(reply, "GetPackageBandwidth")?;
    let rows = wire::rows(&tree, "GetPackageBandwidth")?;
    let mut total = None;
    for row in rows {
        let bytes = u64::try_from(wire::int(row, "BytesTotal")?).unwrap_or(0);
        total = Some(total.unwrap_or(0_u64).saturating_add(bytes));
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{example, replied, squeezed};
    use billhook_plugin_api::FaultClass;

    #[test]
    fn requests_are_those_of_the_contract() {
        let package = Package {
            id: 801,
            status: 1,
            name: "svc-10042".into(),
            comments: "billing:10042".into(),
            purchased: "2025-01-15T10:00:01.337".into(),
            ..Package::default()
        };
        for (file, request) in [
            ("05-GetHostingPlans.request.xml", plans(2)),
            ("07-AddPackageWithResources.request.xml", add(57, 11, "svc-10042")),
            ("15-ChangePackageStatus.request.xml", set_status(801, SUSPENDED)),
            ("16-UpdatePackageLiteral.request.xml", set_plan(&package, 12)),
            ("17-DeletePackage.request.xml", delete(801)),
        ] {
            let Some(expected) = example(file) else { continue };
            let request = request.unwrap();
            let sent = String::from_utf8(request.body).unwrap();
            assert_eq!(squeezed(&sent), squeezed(&expected), "{file}");
            let operation = file.split(['-', '.']).nth(1).unwrap();
            let action = format!("\"http://smbsaas/solidcp/enterpriseserver/{operation}\"");
            assert!(request.headers.contains(&("SOAPAction".into(), action)), "{file}");
            assert_eq!(request.path, "/esPackages.asmx");
        }
    }

    #[test]
    fn answers_are_those_of_the_contract() {
        if let Some(body) = example("05-GetHostingPlans.response.xml") {
            let plan = plans_reply(&replied(200, &body)).unwrap().remove(0);
            assert_eq!((plan.id, plan.space, plan.server.as_str()), (11, 5, "HV-SSD-1"));
        }
        if let Some(body) = example("06-GetMyPackages.response.xml") {
            let package = of_user_reply(&replied(200, &body)).unwrap().remove(0);
            assert!(package.id > 0 && package.user > 0, "{package:?}");
        }
        if let Some(body) = example("07-AddPackageWithResources.response.xml") {
            assert!(add_reply(&replied(200, &body)).unwrap() > 0);
        }
        if let Some(body) = example("07-AddPackageWithResources-quota.response.xml") {
            let fault = add_reply(&replied(200, &body)).unwrap_err();
            assert_eq!((fault.class, fault.refused), (FaultClass::Quota, true));
            assert!(fault.staff.contains("VPS2012.Ram by 4096"), "{fault}");
        }
        if let Some(body) = example("15-ChangePackageStatus.response.xml") {
            assert_eq!(set_status_reply(&replied(200, &body)), Ok(0));
        }
        if let Some(body) = example("17-DeletePackage-gone.response.xml") {
            assert_eq!(delete_reply(&replied(200, &body)), Ok(()));
        }
        if let Some(body) = example("18-GetPackageBandwidth.response.xml") {
            assert_eq!(traffic_reply(&replied(200, &body)), Ok(None), "no rows are no zero");
        }
        if let Some(body) = example("19-fault-not-allowed.http500.xml") {
            assert_eq!(package_reply(&replied(500, &body)).unwrap_err().class, FaultClass::Permission);
        }
    }

    #[test]
    fn a_code_that_may_leave_a_space_behind_proves_nothing() {
        for (code, is_refused) in [(-305, true), (-104, true), (-300, false), (-999, false), (-101, false)] {
            let inner =
                format!("<AddPackageWithResourcesResult><Result>{code}</Result></AddPackageWithResourcesResult>");
            let reply = replied(200, &crate::samples::envelope("AddPackageWithResources", &inner));
            assert_eq!(add_reply(&reply).unwrap_err().refused, is_refused, "{code}");
        }
    }
}
