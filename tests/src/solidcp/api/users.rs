//! Users and their passwords.

use super::{Reply, read};
use crate::solidcp::ledger::Effect;
use crate::solidcp::rights::{NO_ACCOUNT, NO_OBJECT};
use crate::solidcp::rules::Asked;
use crate::solidcp::schema::SCHEMA;
use crate::solidcp::state::{User, World};
use crate::solidcp::value::{Data, Members, Table};
use crate::solidcp::view::DETAILS;

const PAGE: &[(&str, &str)] = &[
    ("UserID", "int"),
    ("OwnerID", "int"),
    ("Username", "string"),
    ("FirstName", "string"),
    ("LastName", "string"),
    ("Email", "string"),
    ("RoleID", "int"),
    ("StatusID", "int"),
];

pub(super) fn respond(world: &mut World, call: u64, asked: &Asked) -> Reply {
    let given = &asked.given;
    match asked.operation.name {
        "UserExists" => read(world.user_named(&given.string("username")).is_some()),
        "GetUserById" => read(visible(world, asked, world.user(given.int("userId")))),
        "GetUserByUsername" => read(visible(world, asked, world.user_named(&given.string("username")))),
        "GetUsers" => {
            let found = below(world, asked, given.int("ownerId"), given.flag("recursive"))?;
            read(Data::List(found.into_iter().map(|user| world.user_info(user)).collect()))
        }
        "GetUsersPagedRecursive" => page(world, asked),
        "AddUser" => match given.members("user") {
            Some(user) => add(world, call, asked, user),
            None => Err(NO_OBJECT.into()),
        },
        "AddUserLiteral" => add(world, call, asked, &literal(given)),
        "UpdateUser" => match given.members("user") {
            Some(user) => update(world, asked, user, true),
            None => Err(NO_OBJECT.into()),
        },
        "UpdateUserLiteral" => update(world, asked, &literal(given), false),
        "DeleteUser" => delete(world, asked),
        "ChangeUserPassword" => change_password(world, asked),
        "ChangeUserStatus" => change_status(world, asked),
        "AuthenticateUser" => read(authenticate(world, asked)),
        "GetUserByUsernamePassword" => {
            let is_right = authenticate(world, asked) >= 0;
            let user = world.user_named(&given.string("username")).filter(|_| is_right);
            read(user.map_or(Data::Null, |user| world.user_info(user)))
        }
        name => unreachable!("{name} is in no list of users"),
    }
}

fn visible(world: &World, asked: &Asked, user: Option<&User>) -> Data {
    let user = user.filter(|user| world.may_user(asked.caller, user.id));
    user.map_or(Data::Null, |user| world.user_info(user))
}

fn below<'a>(world: &'a World, asked: &Asked, owner: i32, is_recursive: bool) -> Result<Vec<&'a User>, String> {
    if !world.may_user(asked.caller, owner) {
        return Err(NO_ACCOUNT.into());
    }
    let users = world.users.iter().filter(|user| !user.removed && user.id != owner);
    let is_below = |user: &&User| user.owner_id == owner || is_recursive && world.may_user(owner, user.id);
    Ok(users.filter(is_below).collect())
}

fn page(world: &World, asked: &Asked) -> Reply {
    let given = &asked.given;
    let mut found = below(world, asked, given.int("userId"), true)?;
    let wanted = given.string("filterValue").to_lowercase();
    found.retain(|user| {
        let column = match given.text("filterColumn") {
            Some("Username") => user.username.clone(),
            Some("Email") => user.details.get("Email").cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let fits = |wanted: i32, has: i32| wanted == 0 || wanted == has;
        column.to_lowercase().contains(&wanted)
            && fits(given.int("statusId"), user.status)
            && fits(given.int("roleId"), user.role)
    });
    let row = |user: &&User| {
        let detail = |name| Data::from(user.details.get(name).map_or("", String::as_str));
        vec![
            Data::from(user.id),
            Data::from(user.owner_id),
            Data::from(&*user.username),
            detail("FirstName"),
            detail("LastName"),
            detail("Email"),
            Data::from(user.role),
            Data::from(user.status),
        ]
    };
    let count = Table { columns: &[("Column1", "int")], rows: vec![vec![Data::from(found.len())]] };
    let rows = found.iter().skip(asked.offset()).take(asked.limit()).map(row).collect();
    read(Data::Set(vec![count, Table { columns: PAGE, rows }]))
}

fn add(world: &mut World, call: u64, asked: &Asked, user: &Members) -> Reply {
    if let Some(code) = refused_addition(world, asked.caller, user) {
        return read(code);
    }
    let password = asked.given.string("password");
    let id = add_checked(world, call, user, &password);
    if asked.given.flag("sendLetter") {
        world.letters += 1;
    }
    Ok((Data::from(id), Effect::UserAdded(id)))
}

pub(super) fn refused_addition(world: &World, caller: i32, user: &Members) -> Option<i32> {
    let username = user.string("Username");
    let owner_id = user.int("OwnerId");
    let may_make = |role: i32| world.user(world.actor(caller)).is_some_and(|maker| maker.role == 1 || role >= 3);
    if let Some(code) = world.refused_reseller(caller) {
        Some(code)
    } else if username.is_empty() || username.contains(['\\', '/', ':', '*', '?', '<', '>', '|', '"']) {
        Some(-111)
    } else if world.user_named(&username).is_some() {
        Some(-100)
    } else if !world.may_user(caller, owner_id) {
        Some(-2)
    } else if !may_make(role(user)) {
        Some(-113)
    } else {
        None
    }
}

/// The name and the number are two views of one field, and the name comes last.
fn role(user: &Members) -> i32 {
    user.text("Role").and_then(|name| SCHEMA.number("UserRole", name)).unwrap_or_else(|| user.int("RoleId"))
}

fn status(user: &Members) -> i32 {
    user.text("Status").and_then(|name| SCHEMA.number("UserStatus", name)).unwrap_or_else(|| user.int("StatusId"))
}

pub(super) fn add_checked(world: &mut World, call: u64, user: &Members, password: &str) -> i32 {
    let id = world.next_user_id();
    let foreign = world.is_foreign_user(user.int("OwnerId")) && call == 0;
    let mut added = User {
        id,
        owner_id: user.int("OwnerId"),
        username: cut(&user.string("Username"), 50),
        password: password.to_owned(),
        role: role(user),
        status: status(user),
        login_status: 0,
        is_peer: user.flag("IsPeer"),
        is_demo: user.flag("IsDemo"),
        details: Default::default(),
        html_mail: user.flag("HtmlMail"),
        created_ms: world.now_ms,
        deletion: None,
        removed: false,
        foreign,
        created_at_call: call,
    };
    take_details(&mut added, user);
    world.users.push(added);
    id
}

fn take_details(user: &mut User, given: &Members) {
    for (name, length) in DETAILS {
        let text = given.string(name);
        user.details.insert(name, if length == 0 { text } else { cut(&text, length) });
    }
}

fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

/// The parameters of a literal call by the names of the members.
fn literal(given: &Members) -> Members {
    let mut user = Members::default();
    let names = [
        ("Username", "username"),
        ("FirstName", "firstName"),
        ("LastName", "lastName"),
        ("Email", "email"),
        ("SecondaryEmail", "secondaryEmail"),
        ("Address", "address"),
        ("City", "city"),
        ("Country", "country"),
        ("State", "state"),
        ("Zip", "zip"),
        ("PrimaryPhone", "primaryPhone"),
        ("SecondaryPhone", "secondaryPhone"),
        ("Fax", "fax"),
        ("InstantMessenger", "instantMessenger"),
        ("CompanyName", "companyName"),
    ];
    for (member, parameter) in names {
        user.set(member, given.string(parameter));
    }
    for (member, parameter) in
        [("UserId", "userId"), ("OwnerId", "ownerId"), ("RoleId", "roleId"), ("StatusId", "statusId")]
    {
        user.set(member, given.int(parameter));
    }
    for (member, parameter) in [("IsPeer", "isPeer"), ("IsDemo", "isDemo"), ("HtmlMail", "htmlMail")] {
        user.set(member, given.flag(parameter));
    }
    user
}

/// Without rights nothing happens, and nothing is said. The literal form blanks what it has no parameter for.
fn update(world: &mut World, asked: &Asked, given: &Members, is_whole: bool) -> Reply {
    let id = given.int("UserId");
    if let Some(code) = world.refused_account(asked.caller) {
        return read(code);
    }
    if !world.may_user(asked.caller, id) {
        return read(0);
    }
    let (role, status) = (role(given), status(given));
    let Some(user) = world.user_mut(id) else { return read(0) };
    (user.role, user.status, user.is_peer, user.is_demo) = (role, status, given.flag("IsPeer"), given.flag("IsDemo"));
    user.html_mail = given.flag("HtmlMail");
    if !is_whole {
        user.login_status = 0;
    }
    take_details(user, given);
    Ok((Data::from(0), Effect::UserChanged(id)))
}

fn delete(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("userId");
    if let Some(code) = world.refused_account(asked.caller) {
        return read(code);
    }
    if world.user(id).is_none() {
        world.damage.push(format!("DeleteUser of {id}, who is not there, takes the whole server down"));
        return read(0);
    }
    if !world.may_user(asked.caller, id) || world.actor(asked.caller) == id {
        return read(0);
    }
    if world.users.iter().any(|user| user.owner_id == id && !user.removed) {
        return read(-102);
    }
    let end_ms = world.now_ms + world.knobs.delete_user_ms;
    match world.user_mut(id).filter(|user| user.deletion.is_none()) {
        Some(user) => {
            user.deletion = Some(end_ms);
            Ok((Data::from(0), Effect::UserDeleted(id)))
        }
        None => read(0),
    }
}

fn change_password(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("userId");
    if let Some(code) = world.refused_account(asked.caller) {
        return read(code);
    }
    if world.user(id).is_none() {
        return Err(NO_OBJECT.into());
    }
    if !world.may_user(asked.caller, id) {
        return read(0);
    }
    let password = asked.given.string("password");
    if let Some(user) = world.user_mut(id) {
        user.password = password;
    }
    Ok((Data::from(0), Effect::UserPassword(id)))
}

/// Takes all spaces of the user along.
fn change_status(world: &mut World, asked: &Asked) -> Reply {
    let id = asked.given.int("userId");
    let wanted = asked.given.text("status").and_then(|name| SCHEMA.number("UserStatus", name)).unwrap_or(0);
    if let Some(code) = world.refused_account(asked.caller) {
        return read(code);
    }
    if world.user(id).is_none() {
        return read(-101);
    }
    if !world.may_user(asked.caller, id) {
        return read(-112);
    }
    let Some(user) = world.user_mut(id).filter(|user| user.status != wanted) else { return read(0) };
    user.status = wanted;
    let packages: Vec<i32> = world.packages_of(id).map(|package| package.id).collect();
    packages.into_iter().for_each(|package| world.set_status(package, wanted));
    Ok((Data::from(0), Effect::UserStatus(id, wanted)))
}

fn authenticate(world: &World, asked: &Asked) -> i32 {
    let given = &asked.given;
    let Some(user) = world.user_named(&given.string("username")) else { return -109 };
    if user.password != given.string("password") {
        return -110;
    }
    match (user.login_status, user.status) {
        (1, _) => -114,
        (2, _) => -115,
        (_, 2) => -104,
        (_, 3) => -105,
        (_, 4) => -103,
        _ => 0,
    }
}
