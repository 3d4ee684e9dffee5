//! A machine's addresses.

use crate::answer::misfit;
use crate::form::{Form, Id};
use crate::machine::{elements, host_name};
use crate::panel::{Doing, Panel};
use crate::xml::Node;
use billhook_plugin_api::{Cx, Fault, FaultClass, Find, SendHandle, Settle, StepName};
use serde::{Deserialize, Serialize};

/// The two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    const fn word(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub id: Id,
    pub ip: String,
    #[serde(default)]
    pub domain: String,
}

impl Address {
    pub fn family(&self) -> Family {
        if self.ip.contains(':') { Family::V6 } else { Family::V4 }
    }
}

/// The rows of a list, each address once: steps are named after them. Headings of groups are none.
fn rows(doc: &Node) -> Result<Vec<Address>, Fault> {
    let is_address = |row: &&Node| row.text("type") != Some("group");
    let read = |row: &Node| {
        let id = row.text("id").and_then(Id::new).ok_or_else(|| misfit("doc.elem.id"))?;
        if let Some(name) = row.not_text(&["ip", "name", "domain"]) {
            return Err(misfit(&format!("doc.elem.{name}")));
        }
        let ip = row.text("ip").or(row.text("name")).unwrap_or_default().to_owned();
        Ok(Address { id, ip, domain: host_name(row.text("domain").unwrap_or_default()) })
    };
    let mut found: Vec<Address> = Vec::new();
    for row in elements(doc)?.into_iter().filter(is_address) {
        let address = read(row)?;
        if found.iter().all(|other| other.id != address.id) {
            found.push(address);
        }
    }
    Ok(found)
}

/// A machine's addresses.
pub fn of<'f>(panel: &'f Panel, cx: &'f Cx, machine: &'f Id) -> Doing<'f, Vec<Address>> {
    Box::pin(async move { rows(&panel.read(cx, Form::view_of("iplist", machine).with("filter", "off")).await?) })
}

/// Names an address; that of the main one is the machine's own.
pub fn name(machine: &Id, address: &Id, domain: &str) -> Form {
    Form::edit("iplist.edit", address).with("plid", machine).with("domain", domain)
}

/// Whether the machine may be touched; asked before every change of it.
pub type Guard<'a> = &'a (dyn Fn() -> Doing<'a, bool> + Send + Sync);

/// Steps that name addresses, those of them that are still there, while the guard lets.
pub fn name_all<'f>(
    panel: &'f Panel,
    cx: &'f Cx,
    step: &'static str,
    machine: &'f Id,
    addresses: &'f [Address],
    domain: &'f str,
    guard: Guard<'f>,
) -> Doing<'f, ()> {
    Box::pin(async move {
        for Address { id, .. } in addresses {
            panel
                .ensure(cx, (step, id), &|| {
                    Box::pin(async move {
                        let there = of(panel, cx, machine).await?.into_iter().find(|address| address.id == *id);
                        let Some(address) = there.filter(|address| address.domain != host_name(domain)) else {
                            return Ok(None);
                        };
                        Ok(guard().await?.then(|| name(machine, &address.id, domain)))
                    })
                })
                .await?;
        }
        Ok(())
    })
}

/// Steps that return addresses to the pool; those that are gone are done.
pub fn drop_all<'f>(
    panel: &'f Panel,
    cx: &'f Cx,
    step: &'static str,
    machine: &'f Id,
    addresses: &'f [Address],
    guard: Guard<'f>,
) -> Doing<'f, ()> {
    Box::pin(async move {
        for Address { id, .. } in addresses {
            panel
                .ensure(cx, (step, id), &|| {
                    Box::pin(async move {
                        let is_there = of(panel, cx, machine).await?.iter().any(|address| address.id == *id);
                        if !is_there || !guard().await? {
                            return Ok(None);
                        }
                        Ok(Some(Form::order("iplist.delete", id).with("plid", machine)))
                    })
                })
                .await?;
        }
        Ok(())
    })
}

/// What is added, and where.
#[derive(Clone, Copy)]
pub struct Addition<'a> {
    pub panel: &'a Panel,
    pub machine: &'a Id,
    pub family: Family,
    pub group: &'a str,
    pub domain: &'a str,
    pub guard: Guard<'a>,
}

/// Adds one address that the panel chooses.
///
/// The panel takes no key with it: a lost answer is settled by the difference between the addresses before and after.
pub async fn add<'a>(cx: &'a Cx, addition: Addition<'a>, n: u32) -> Result<Address, Fault> {
    let Addition { panel, machine, family, .. } = addition;
    cx.step(StepName::from((family.word(), n)))
        .scope(format!("addresses:{machine}"))
        .settle(Settle { looks: 2, ..Settle::default() })
        .given(move || async move {
            if !(addition.guard)().await? {
                return Err(Fault::not_found(format!("server {machine} is not this service's any more")));
            }
            Ok(of(panel, cx, machine).await?.into_iter().map(|address| address.id).collect::<Vec<Id>>())
        })
        .find(move |before: Vec<Id>| async move {
            let mut new = of(panel, cx, machine).await?;
            new.retain(|address| !before.contains(&address.id) && address.family() == family);
            Ok(match new.len() {
                0 => Find::Absent,
                1 => Find::Found(new.remove(0)),
                count => Find::Unknown(format!("{count} new addresses at server {machine}: which is this order's?")),
            })
        })
        .adopt(move |id| async move {
            let found = of(panel, cx, machine)
                .await?
                .into_iter()
                .find(|address| [address.id.as_str(), &address.ip].contains(&id.trim()));
            Ok(found.map_or(Find::Absent, Find::Found))
        })
        .run(move |before, send| async move { added(cx, addition, &before, send).await })
        .await
}

async fn added(cx: &Cx, addition: Addition<'_>, before: &[Id], send: SendHandle) -> Result<Address, Fault> {
    let Addition { panel, machine, family, group, domain, .. } = addition;
    let form = Form::add("iplist.edit")
        .with("plid", machine)
        .with("family", family.word())
        .with("iptype", group)
        .with("ip", "")
        .with("domain", domain);
    let doc = panel.change(cx, &send, form).await?;
    let ip = doc.text("ip").unwrap_or_default();
    if let (Some(id), false) = (doc.text("id").and_then(Id::new), ip.is_empty()) {
        return Ok(Address { id, ip: ip.to_owned(), domain: host_name(domain) });
    }
    // What was accepted and not told is in the list.
    let mut new = of(panel, cx, machine).await?;
    new.retain(|address| !before.contains(&address.id) && address.family() == family);
    match new.len() {
        1 => Ok(new.remove(0)),
        _ => Err(Fault::new(
            FaultClass::InDoubt,
            format!("the panel added an address to server {machine} and does not show it"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_no_addresses_and_each_address_is_there_once() {
        let doc = Node::parse(
            b"<doc><elem><id>1</id><type>group</type></elem>\
              <elem><id>2</id><ip>192.0.2.1</ip><domain>Free.DS.</domain><type>ip</type></elem>\
              <elem><id>3</id><ip>2001:db8::1</ip></elem><elem><id>3</id><ip>2001:db8::1</ip></elem></doc>",
        )
        .unwrap();
        let rows = rows(&doc).unwrap();
        assert_eq!(
            (rows.len(), rows[0].domain.as_str(), rows[0].family(), rows[1].family()),
            (2, "free.ds", Family::V4, Family::V6)
        );
    }
}
