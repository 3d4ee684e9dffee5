//! What the hooks share: reads of the panel, and whose a hosting space is.

use crate::SolidCp;
use crate::api::addresses::{self, Address};
use crate::api::machines::{self, Details, Item, Row, Stage};
use crate::api::packages::{self, Package};
use crate::api::users::{self, User};
use crate::settings::Product;
use billhook_plugin_api::{
    Cx, Fault, FaultClass, Reply, Request, SendHandle, Service, Settle, StepName, Time, every, within,
};
use serde_json::Value;
use std::pin::Pin;

/// Something under way that hides what it is. What many hooks await is compiled once this way, and not into each of
/// them.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// The properties of a service that later hooks go by.
pub const USER_ID: &str = "user_id";
pub const SPACE_ID: &str = "space_id";
pub const ITEM_ID: &str = "item_id";
pub const PLAN_ID: &str = "plan_id";
/// Whether the user was made for the service, or for its customer.
pub const USER_MADE: &str = "user_made";
/// The user's name.
pub const USERNAME: &str = "panel_user";

/// Whatever hands out addresses shares this scope: the panel takes an address from its owner without a word if two calls
/// pick it at the same moment.
pub const ADDRESSES: &str = "addresses";

/// The panel refuses a late second sending by itself, or it sets the same again.
pub const AT_ONCE: Settle = Settle { first_ms: 10_000, looks: 1, apart_ms: 30_000, refuses_twice: true };

/// Asks the panel. Here once, and not where each of its many answers is awaited.
pub fn ask(cx: &Cx, request: Result<Request, Fault>) -> Doing<'_, Reply> {
    Box::pin(async move { cx.http(request?).await })
}

/// Sends the change of a step.
pub fn sent(send: &SendHandle, request: Result<Request, Fault>) -> Doing<'_, Reply> {
    Box::pin(async move { send.call(request?).await })
}

/// One look of a wait.
pub type Look<'f> = Box<dyn Fn() -> Doing<'f, bool> + Send + Sync + 'f>;

/// Looks every so many seconds, for so many minutes at most.
pub fn wait<'f>(cx: &'f Cx, name: impl Into<StepName>, secs: u64, mins: u64, look: Look<'f>) -> Doing<'f, ()> {
    let name = name.into();
    Box::pin(cx.wait_until(name, every(secs.secs()), within(mins.mins()), look))
}

/// Whether the hypervisor shows a machine in a state.
pub fn is_at<'f>(cx: &'f Cx, item: i64, state: &'f str) -> Look<'f> {
    Box::new(move || {
        Box::pin(async move { Ok(find_details(cx, item).await?.is_some_and(|details| details.state == state)) })
    })
}

/// The account that all is done with, checked.
pub fn reseller<'f>(cx: &'f Cx, panel: &'f SolidCp) -> Doing<'f, User> {
    Box::pin(async move {
        let reply = ask(cx, users::by_name(&panel.login)).await?;
        let user = users::by_name_reply(&reply)?.ok_or_else(|| {
            Fault::new(FaultClass::Auth, "the panel does not show the API login its own account: is the login right?")
        })?;
        let what = match &user {
            user if user.is_peer => "is a peer, which acts for another account: use the reseller itself",
            user if user.is_demo => "is a demo account",
            user if user.status == 2 => "is suspended",
            user if user.status != users::ACTIVE => "is pending or cancelled",
            user if !matches!(user.role, users::RESELLER | users::ADMINISTRATOR) => "is no reseller",
            _ => return Ok(user),
        };
        Err(Fault::new(FaultClass::Permission, format!("the API login {what}: correct it on the panel")))
    })
}

/// A space, of whomever; `None` when the panel has none.
pub fn find_package(cx: &Cx, id: i64) -> Doing<'_, Option<Package>> {
    Box::pin(async move { packages::package_reply(&ask(cx, packages::package(id)).await?) })
}

/// The spaces of a user.
pub fn packages_of(cx: &Cx, user: i64) -> Doing<'_, Vec<Package>> {
    Box::pin(async move { packages::of_user_reply(&ask(cx, packages::of_user(user)).await?) })
}

/// The machines of a space.
pub fn machines_of(cx: &Cx, package: i64) -> Doing<'_, Vec<Row>> {
    Box::pin(async move { machines::list_reply(&ask(cx, machines::list(package, false)).await?) })
}

/// The addresses of a space.
pub fn addresses_of(cx: &Cx, package: i64) -> Doing<'_, Vec<Address>> {
    Box::pin(async move { addresses::of_package_reply(&ask(cx, addresses::of_package(package)).await?) })
}

/// The user of that name, if it is in our part of the panel.
pub fn find_user<'f>(cx: &'f Cx, username: &'f str) -> Doing<'f, Option<User>> {
    Box::pin(async move { users::by_name_reply(&ask(cx, users::by_name(username)).await?) })
}

/// A machine; `None` when it is deleted.
pub fn find_item(cx: &Cx, id: i64) -> Doing<'_, Option<Item>> {
    Box::pin(async move { Ok(read_item(cx, id).await?.1) })
}

/// A machine with the reply that it stands in, to be sent back.
pub fn read_item(cx: &Cx, id: i64) -> Doing<'_, (Reply, Option<Item>)> {
    Box::pin(async move {
        let reply = ask(cx, machines::item(id)).await?;
        let item = machines::item_reply(&reply)?;
        Ok((reply, item))
    })
}

/// What the hypervisor says of a machine.
pub fn find_details(cx: &Cx, id: i64) -> Doing<'_, Option<Details>> {
    Box::pin(async move { machines::details_reply(&ask(cx, machines::details(id)).await?) })
}

/// A service whose hosting space a hook is about.
#[derive(Clone, Copy)]
pub struct Owned<'a> {
    pub panel: &'a SolidCp,
    pub service: &'a Service,
    pub product: &'a Product,
    /// The panel's id of the space.
    pub id: i64,
}

impl<'a> Owned<'a> {
    /// Nothing is read yet.
    pub fn new(panel: &'a SolidCp, service: &'a Service, product: &'a Product) -> Result<Self, Fault> {
        let id = service.remote_id.as_deref().ok_or_else(|| {
            Fault::not_found(
                "the service has no hosting space: look for it on the panel, and enter its id at the service if there is one",
            )
        })?;
        let id = id.parse().ok().filter(|id| *id > 1).ok_or_else(|| {
            Fault::invalid_input("the service's id on the panel is the number of its hosting space (SpaceID), above 1")
        })?;
        Ok(Self { panel, service, product, id })
    }

    /// A number that an earlier hook noted with the service.
    pub fn noted(self, name: &str) -> Option<i64> {
        self.service.properties.get(name).and_then(Value::as_i64)
    }

    /// The space, read now and found to be the service's; `None` when the panel has none of that id.
    pub fn find<'f>(self, cx: &'f Cx) -> Doing<'f, Option<Package>>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let Some(package) = find_package(cx, self.id).await? else { return Ok(None) };
            self.check(cx, &package).await?;
            Ok(Some(package))
        })
    }

    /// As [`Owned::find`], where it must be there.
    pub fn read<'f>(self, cx: &'f Cx) -> Doing<'f, Package>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let missing =
                || Fault::not_found(format!("the panel has no hosting space {} any more", self.id)).with_code("-300");
            self.find(cx).await?.ok_or_else(missing)
        })
    }

    /// The space, which must be active, since the panel refuses every change of a machine in another.
    pub fn active<'f>(self, cx: &'f Cx) -> Doing<'f, Package>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let package = self.read(cx).await?;
            if package.status != packages::ACTIVE {
                return Err(Fault::invalid_input(format!(
                    "the hosting space {} is not active: unsuspend it first",
                    self.id
                )));
            }
            Ok(package)
        })
    }

    /// The space's machine; `None` where it has none.
    pub fn machine<'f>(self, cx: &'f Cx) -> Doing<'f, Option<Row>>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let mut rows = machines_of(cx, self.id).await?;
            if rows.len() > 1
                && let Some(noted) = self.noted(ITEM_ID)
            {
                rows.retain(|row| row.item == noted);
            }
            if rows.len() > 1 {
                return Err(Fault::new(
                    FaultClass::AlreadyExists,
                    format!("the hosting space {} has {} machines, and none of them is noted", self.id, rows.len()),
                ));
            }
            Ok(rows.pop())
        })
    }

    /// The id of the machine, which must be there.
    pub fn item_id<'f>(self, cx: &'f Cx) -> Doing<'f, i64>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let row = self.machine(cx).await?;
            Ok(row.ok_or_else(|| Fault::not_found(format!("the hosting space {} has no machine", self.id)))?.item)
        })
    }

    /// Refuses a space that is somebody else's: the panel itself does not check, and its ids go over all customers.
    ///
    /// What an earlier hook noted decides; without a note, the mark that we leave on a space; without that, whether its
    /// owner is a customer of ours.
    async fn check(self, cx: &Cx, package: &Package) -> Result<(), Fault> {
        let other = |why: String| {
            Fault::not_found(format!("the hosting space {} is not this service's: {why}; nothing was touched", self.id))
        };
        if let (Some(user), Some(space)) = (self.noted(USER_ID), self.noted(SPACE_ID)) {
            return if (package.user, package.parent) == (user, space) {
                Ok(())
            } else {
                Err(other(format!(
                    "it belongs to user {} and space {}, and {user} and {space} are noted",
                    package.user, package.parent
                )))
            };
        }
        if let Some(mark) = package.comments.strip_prefix("billhook:") {
            let ours = format!("{}:{}:", self.service.platform, self.service.id);
            return if mark.starts_with(&ours) { Ok(()) } else { Err(other(format!("it is marked as of {mark}"))) };
        }
        let reseller = reseller(cx, self.panel).await?;
        let owner = users::by_id_reply(&ask(cx, users::by_id(package.user)).await?)?;
        match owner {
            Some(owner) if owner.owner == reseller.id && owner.role == users::CUSTOMER => Ok(()),
            _ => Err(other("its owner is no customer of the API login".to_owned())),
        }
    }
}

/// A machine that nothing is under way at.
pub fn idle(item: &Item) -> Result<(), Fault> {
    match item.stage {
        Stage::Ready | Stage::Failed => Ok(()),
        Stage::Busy | Stage::Deleting => {
            Err(Fault::new(FaultClass::ConflictBusy, format!("the panel is at work on the machine {}", item.id)))
        }
    }
}
