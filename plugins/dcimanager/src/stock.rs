//! Machines for sale: which are free, why the others are not, and how one is taken.
//!
//! The panel has no way to take a machine only if it is free. So choosing and reserving is one scope for the whole
//! panel, what was taken carries our mark, and the mark is looked at again a moment later: another host, or a person, may
//! have written over it.

use crate::form::Id;
use crate::machine::{FREE_HOST, NO_OWNER, Row};
use crate::mark::{self, Mark};
use crate::panel::Panel;
use crate::random;
use crate::settings::Product;
use crate::standing::{Account, Known};
use billhook_plugin_api::{Capacity, Cx, Fault, FaultClass, Find, Settle};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Machines that are lost to somebody else before we stop: then something takes them systematically.
const MAX_LOST: u32 = 8;
/// Free rows whose forms are looked at before we stop.
const MAX_LOOKS: usize = 30;
/// One for the whole panel.
const SCOPE: &str = "stock";

/// Why a machine is not for sale. In the order in which they are looked at: each machine counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Owned,
    Hostname,
    Blocked,
    Hardware,
    Diagnostics,
    Busy,
    Failed,
    NoAddress,
    Claimed,
    NoMac,
}

impl Why {
    const ALL: [Self; 10] = [
        Self::Owned,
        Self::Hostname,
        Self::Blocked,
        Self::Hardware,
        Self::Diagnostics,
        Self::Busy,
        Self::Failed,
        Self::NoAddress,
        Self::Claimed,
        Self::NoMac,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::Hostname => "not called free.ds",
            Self::Blocked => "blocked",
            Self::Hardware => "with a hardware problem",
            Self::Diagnostics => "in diagnostics",
            Self::Busy => "being installed",
            Self::Failed => "with a failed operation",
            Self::NoAddress => "without an address",
            Self::Claimed => "of another service",
            Self::NoMac => "without a MAC address",
        }
    }

    fn of(row: &Row) -> Option<Self> {
        let found = [
            (row.owner.is_some(), Self::Owned),
            (row.hostname != FREE_HOST, Self::Hostname),
            (row.is_suspended(), Self::Blocked),
            (row.hardware, Self::Hardware),
            (row.diagnostics, Self::Diagnostics),
            (row.installing, Self::Busy),
            (row.failed, Self::Failed),
            (row.ip.is_none(), Self::NoAddress),
        ];
        found.into_iter().find(|(holds, _)| *holds).map(|(_, why)| why)
    }
}

/// Whether a machine is for sale by its row.
pub fn is_free(row: &Row) -> bool {
    Why::of(row).is_none()
}

/// How many machines fell out, and why.
#[derive(Default)]
struct Tally {
    wanted: String,
    all: usize,
    out: [usize; Why::ALL.len()],
}

impl Tally {
    fn drop(&mut self, why: Why) {
        self.out[why as usize] += 1;
    }

    fn text(&self) -> String {
        let counted = Why::ALL.iter().zip(&self.out).filter(|(_, count)| **count > 0);
        let out: Vec<String> = counted.map(|(why, count)| format!("{count} {}", why.text())).collect();
        let free = self.all.saturating_sub(self.out.iter().sum());
        format!(
            "{}: {} machines, {free} free{}{}",
            self.wanted,
            self.all,
            if out.is_empty() { "" } else { ", " },
            out.join(", ")
        )
    }
}

/// What is reserved, and for whom.
pub struct Order<'a> {
    pub panel: &'a Panel,
    pub product: &'a Product,
    pub known: &'a Known,
    pub admin: &'a Account,
    pub mark: &'a Mark,
}

/// Takes a free machine: from the commit of a step's result on it is the service's.
pub async fn reserve(cx: &Cx, order: &Order<'_>) -> Result<Id, Fault> {
    for n in 1..=MAX_LOST {
        let id = take(cx, order, n).await?;
        // Somebody who looked before we wrote may write now.
        let grace = cx.step(("grace", n)).record(|| async { random::grace_ms() }).await?;
        cx.sleep(("settled", n), Duration::from_millis(grace)).await?;
        let id = &id;
        match cx.step(("held", n)).record(|| seen(cx, order, id)).await? {
            Seen::Ours => return Ok(id.clone()),
            Seen::Unmarked => return give_up(cx, order, id).await,
            Seen::Lost => {}
        }
        cx.note(format!("server {id} was taken by somebody else at the same time; it is left to them"));
    }
    Err(Fault::new(
        FaultClass::Capacity,
        format!("{MAX_LOST} machines were lost to somebody else at the same time: what else sells on this panel?"),
    ))
}

/// What became of a machine that we took.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Seen {
    Ours,
    Lost,
    /// Ours to see, and without the mark: the panel does not keep what stands in the notes.
    Unmarked,
}

async fn seen(cx: &Cx, order: &Order<'_>, id: &Id) -> Result<Seen, Fault> {
    let Some(view) = order.panel.find_view(cx, id).await? else { return Ok(Seen::Lost) };
    let is_us = view.owner.as_deref().is_some_and(|owner| order.admin.is(owner));
    Ok(match view.mark() {
        Some(mark) if is_us && order.known.is_marked(&mark) => Seen::Ours,
        None if is_us => Seen::Unmarked,
        _ => Seen::Lost,
    })
}

/// Without its mark a machine cannot be told from one that another host took: it is given back, and nothing is sold.
async fn give_up(cx: &Cx, order: &Order<'_>, id: &Id) -> Result<Id, Fault> {
    let fault = Fault::unsupported(&format!(
        "a panel that does not keep the notes of a machine: server {id} was given an owner and a mark in its notes, and shows \
         the owner only; make the field notes of the server form writable for the account"
    ));
    cx.undo(&fault).await?;
    let panel = order.panel;
    panel
        .ensure(cx, "undo_owner", &|| {
            Box::pin(async move {
                let view = panel.find_view(cx, id).await?;
                let ours = view.filter(|view| {
                    view.mark().is_none() && view.owner.as_deref().is_some_and(|owner| order.admin.is(owner))
                });
                Ok(ours.map(|view| view.edit(NO_OWNER, &view.notes)))
            })
        })
        .await?;
    Err(fault)
}

async fn take(cx: &Cx, order: &Order<'_>, n: u32) -> Result<Id, Fault> {
    let panel = order.panel;
    let id = cx
        .step(("reserve", n))
        .scope(SCOPE)
        .settle(Settle { looks: 2, ..Settle::default() })
        .remote_id()
        .given(|| choose(cx, order))
        .find(|chosen: Id| async move {
            let id = &chosen;
            let Some(view) = panel.find_view(cx, id).await? else { return Ok(Find::Gone) };
            let is_marked = view.mark().is_some_and(|mark| order.known.is_marked(&mark));
            Ok(match view.owner.as_deref() {
                Some(owner) if is_marked && order.admin.is(owner) => Find::Found(id.as_str().to_owned()),
                None => Find::Absent,
                Some(_) => Find::Gone,
            })
        })
        .adopt(|id| async move {
            let Some(id) = Id::new(&id) else { return Ok(Find::Absent) };
            let is_ours = panel.held_for(cx, &id, order.known).await?.is_some();
            Ok(if is_ours { Find::Found(id.as_str().to_owned()) } else { Find::Absent })
        })
        .run(|chosen, send| async move {
            let id = &chosen;
            let view = panel.find_view(cx, id).await?.filter(|view| view.owner.is_none());
            let Some(view) = view else {
                return Err(Fault::new(FaultClass::ConflictBusy, format!("server {id} was taken a moment ago")));
            };
            let notes = order.mark.put(&view.notes);
            panel.change(cx, &send, view.edit(order.admin.id.as_str(), &notes)).await?;
            Ok(id.as_str().to_owned())
        })
        .await?;
    Id::new(&id).ok_or_else(|| Fault::plugin_bug("the journal holds an empty id"))
}

/// How many machines could be taken now, by the list alone: one call.
///
/// A few of them may still fall out when their forms are looked at; that there is none at all is certain.
pub async fn capacity(panel: &Panel, cx: &Cx, product: &Product) -> Result<Capacity, Fault> {
    let (rows, tally) = for_sale(cx, panel, product).await?;
    Ok(Capacity::free(u64::try_from(rows.len()).unwrap_or(u64::MAX)).told(tally.text()))
}

/// The machines that the product can be made of, by their rows, and why the others cannot.
async fn for_sale(cx: &Cx, panel: &Panel, product: &Product) -> Result<(Vec<Row>, Tally), Fault> {
    let forced = product.forced()?;
    let mut rows = panel.rows(cx).await?;
    rows.retain(|row| match &forced {
        Some(id) => row.id == id.as_str(),
        None => row.is_of(&product.package),
    });
    let wanted = match &forced {
        Some(id) => format!("server {id}"),
        None => format!("package {:?}", product.package),
    };
    let mut tally = Tally { wanted, all: rows.len(), ..Tally::default() };
    rows.retain(|row| match Why::of(row) {
        None => true,
        Some(why) => {
            tally.drop(why);
            false
        }
    });
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let claimed = if ids.is_empty() { Vec::new() } else { cx.claimed(&ids).await? };
    rows.retain(|row| {
        // A machine that we undid is still noted with the service itself.
        let is_claimed = claimed.contains(&row.id);
        if is_claimed {
            tally.drop(Why::Claimed);
        }
        !is_claimed
    });
    Ok((rows, tally))
}

/// Looks for a free machine, in no order that two hosts share.
async fn choose(cx: &Cx, order: &Order<'_>) -> Result<Id, Fault> {
    let (panel, product) = (order.panel, order.product);
    let forced = product.forced()?;
    let (mut rows, mut tally) = for_sale(cx, panel, product).await?;
    random::shuffle(&mut rows)?;
    for row in rows.iter().take(MAX_LOOKS) {
        let Some(id) = Id::new(&row.id) else { continue };
        match panel.find_view(cx, &id).await? {
            Some(view) if view.owner.is_some() => tally.drop(Why::Owned),
            Some(view) if view.mac.is_empty() => tally.drop(Why::NoMac),
            Some(_) => {
                cx.note(tally.text());
                return Ok(id);
            }
            None => tally.drop(Why::Owned),
        }
    }
    cx.note(tally.text());
    let remedy = match (&forced, tally.all) {
        (Some(_), 0) => "the panel has no such server: correct server_id",
        (None, 0) => "no machine is of it: correct package, or add machines on the panel",
        _ => "released machines may be in diagnostics for a while; else add machines or repair these",
    };
    Err(Fault::new(FaultClass::Capacity, format!("no machine is free: {}; {remedy}", tally.text()))
        .for_customer("No machine of this kind is free at the moment."))
}

/// Gives a machine that is still held for this service back for sale, in one write. Whether there was anything to give.
pub async fn publish(panel: &Panel, cx: &Cx, step: &'static str, id: &Id, known: &Known) -> Result<bool, Fault> {
    panel
        .ensure(cx, step, &|| {
            Box::pin(async move {
                let held = panel.held_for(cx, id, known).await?;
                Ok(held.map(|(_, view)| view.edit(NO_OWNER, &mark::cleared(&view.notes))))
            })
        })
        .await
}
