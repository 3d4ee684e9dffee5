//! What changes a service without touching its machine's system: the password of the customer's account, the number of
//! addresses, and nothing at all for a renewal.

use crate::address::{self, Addition, Family};
use crate::panel::{Doing, Owned};
use crate::settings::Product;
use crate::user;
use crate::{machine::Row, random};
use billhook_plugin_api::{Change, Cx, Fault, PasswordTarget, Secret, Texts};
use serde_json::json;

/// The panel knows no paid period; but the machine must still be there, and the customer's.
pub async fn renew(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let (row, _, _) = owned.read(cx).await?;
    let staff = row.is_suspended().then(|| "the machine is suspended on the panel".to_owned());
    Ok(Change { message: Texts { staff, customer: None }, ..Change::noop() })
}

/// Sets the password of the customer's account. That of the machine changes with an installation only.
pub async fn password(
    cx: &Cx,
    owned: Owned<'_>,
    target: Option<PasswordTarget>,
    password: Option<Secret<String>>,
) -> Result<Change, Fault> {
    if target == Some(PasswordTarget::Root) {
        return Err(Fault::unsupported(
            "a new root password: the panel sets one only with an installation, use reinstall",
        ));
    }
    if owned.product.account.is_some() {
        return Err(Fault::unsupported("a new password for an account that the product names: it may be shared"));
    }
    let password = &password;
    let new: Secret<String> = cx
        .step("new")
        .sealed()
        .record(|| async move {
            Ok(match password {
                Some(password) if !password.expose().is_empty() => password.clone(),
                _ => Secret::new(random::password()?),
            })
        })
        .await?;
    cx.secret(new.expose()).await?;
    let new_ref = &new;
    owned
        .panel
        .ensure(cx, "set", &|| {
            Box::pin(async move {
                let (_, _, known) = owned.read(cx).await?;
                Owned::account(&known)?;
                let users = owned.panel.users(cx).await?;
                let account = known.account.filter(|account| users.iter().any(|user| user.account() == *account));
                let account =
                    account.ok_or_else(|| Fault::not_found("the customer's account is not on the panel any more"))?;
                // It cannot be read back; setting the same again is the only way to be sure.
                Ok(Some(user::set_password(&account, new_ref)))
            })
        })
        .await?;
    let mut change = Change::done();
    change.message.staff =
        Some("it is the password of the customer's account, for all of the customer's machines".into());
    change.secrets.insert("panel_password".to_owned(), new);
    Ok(change)
}

/// Another machine cannot be put in place of this one: only the number of addresses can change.
pub async fn package(cx: &Cx, owned: Owned<'_>) -> Result<Change, Fault> {
    let (panel, id, product) = (owned.panel, &owned.id()?, owned.product);
    let (missing, domain, surplus) = &cx
        .step("addresses")
        .record(|| async move {
            let (row, _, _) = owned.read(cx).await?;
            let there = address::of(panel, cx, id).await?;
            let counts = differences(&row, &there, product)?;
            Ok((counts.0, row.hostname, counts.1))
        })
        .await?;
    let check = || -> Doing<'_, bool> { Box::pin(async move { owned.read(cx).await.map(|_| true) }) };
    for (family, count) in [(Family::V4, missing[0]), (Family::V6, missing[1])] {
        for n in 1..=count {
            let addition = Addition { panel, machine: id, family, group: &product.ip_group, domain, guard: &check };
            address::add(cx, addition, n).await?;
        }
    }
    let (row, _, _) = owned.read(cx).await?;
    let ips: Vec<String> = address::of(panel, cx, id).await?.into_iter().map(|address| address.ip).collect();
    let mut change = if missing.iter().all(|count| *count == 0) { Change::noop() } else { Change::done() };
    change.properties = row.properties();
    change.properties.insert("ips".to_owned(), json!(ips));
    if *surplus > 0 {
        change.message.staff = Some(format!(
            "server {id} has {surplus} addresses more than the product: which of them the customer can do without is not ours \
             to say, take them away on the panel"
        ));
    }
    Ok(change)
}

/// How many addresses of each family are missing, and how many are too many.
fn differences(row: &Row, there: &[address::Address], product: &Product) -> Result<([u32; 2], u32), Fault> {
    if !row.is_of(&product.package) {
        return Err(Fault::unsupported(&format!(
            "a change of package: server {} is {} and the product wants {:?}, which is another machine; only IP and IPv6 can change",
            row.id,
            row.chassis.as_ref().or(row.kind.as_ref()).map_or("of no package", String::as_str),
            product.package,
        )));
    }
    let mut missing = [0; 2];
    let mut surplus = 0;
    for (at, family, wanted) in [(0, Family::V4, product.ipv4.0), (1, Family::V6, product.ipv6.0)] {
        let is_one = |address: &&address::Address| address.family() == family && Some(&address.ip) != row.ip.as_ref();
        let there = u32::try_from(there.iter().filter(is_one).count()).unwrap_or(u32::MAX);
        missing[at] = wanted.saturating_sub(there);
        surplus += there.saturating_sub(wanted);
    }
    Ok((missing, surplus))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{self, BREAKS, Machine, Stage, changes, class, ok_of, to_end};
    use billhook_plugin_api::testing::{Ended, ScriptedHost};
    use billhook_plugin_api::{ChangePackage, ChangePassword, FaultClass, PaidUntil, Provider, Renew};
    use serde_json::Value;

    fn packaged(host: &ScriptedHost, more: Value) -> Ended<Change> {
        let request = ChangePackage { service: stage::service(), product: stage::product(more) };
        host.run(async |cx| stage::provider().change_package(cx, request).await)
    }

    fn set(host: &ScriptedHost, target: Option<PasswordTarget>, password: Option<&str>, more: Value) -> Ended<Change> {
        let password = password.map(|text| Secret::new(text.to_owned()));
        let request = ChangePassword { service: stage::service(), product: stage::product(more), password, target };
        host.run(async |cx| stage::provider().change_password(cx, request).await)
    }

    fn renewed(host: &ScriptedHost) -> Ended<Change> {
        let paid_until = PaidUntil { from: "2026-01-01".into(), to: "2026-02-01".into() };
        let request = Renew { service: stage::service(), product: stage::product(json!({})), paid_until };
        host.run(async |cx| stage::provider().renew(cx, request).await)
    }

    #[test]
    fn a_renewal_looks_whose_it_is_and_changes_nothing() {
        let host = Stage::with(Machine::sold()).host();
        assert!(ok_of(renewed(&host)).noop);
        let suspended = Stage::with(Machine { disabled: true, ..Machine::sold() }).host();
        assert!(ok_of(renewed(&suspended)).message.staff.is_some());
        assert_eq!(class(renewed(&Stage::with(Machine::free(42)).host())), FaultClass::NotFound);
        assert!(changes(&host).is_empty());
    }

    #[test]
    fn a_password_is_that_of_the_account() {
        for how in BREAKS {
            let stage = Stage::with(Machine::sold());
            stage.breaks("user.edit ok", how);
            let host = stage.host();
            let change = ok_of(to_end(|| set(&host, None, Some("chosen-password"), json!({}))));
            assert_eq!(change.secrets["panel_password"].expose(), "chosen-password");
            assert_eq!(stage.world().users[&77].2, "chosen-password", "{how:?}");
        }
        let stage = Stage::with(Machine::sold());
        let made = ok_of(set(&stage.host(), Some(PasswordTarget::Account), None, json!({})));
        assert_eq!(&stage.world().users[&77].2, made.secrets["panel_password"].expose());
        let host = stage.host();
        assert_eq!(class(set(&host, Some(PasswordTarget::Root), None, json!({}))), FaultClass::Unsupported);
        assert_eq!(class(set(&host, None, None, json!({ "account": "client42" }))), FaultClass::Unsupported);
        assert!(host.exchanges().is_empty());
    }

    #[test]
    fn only_addresses_can_be_added_and_a_lost_answer_adds_none_twice() {
        for how in BREAKS {
            let stage = Stage::with(Machine::sold());
            stage.breaks("iplist.edit ok", how);
            let host = stage.host();
            let change = ok_of(to_end(|| packaged(&host, json!({ "IP": 3, "IPv6": 1 }))));
            assert!(!change.noop);
            assert_eq!(stage.world().machines[&42].addresses.len(), 5, "{how:?}");
            assert_eq!(change.properties["ips"].as_array().unwrap().len(), 5);
        }
        let stage = Stage::with(Machine::sold());
        let host = stage.host();
        assert!(ok_of(packaged(&host, json!({ "IP": 1 }))).noop);
        host.next_operation();
        assert!(ok_of(packaged(&host, json!({ "IP": 0 }))).message.staff.unwrap().contains("1 addresses more"));
        host.next_operation();
        assert_eq!(class(packaged(&host, json!({ "package": "E5" }))), FaultClass::Unsupported);
        assert!(changes(&host).is_empty());
    }
}
