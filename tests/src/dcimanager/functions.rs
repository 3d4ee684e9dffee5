//! The functions that the panel knows, with their parameters, as the contract's section 6 lists them.

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Auth,
    WhoAmI,
    NewKey,
    Users,
    UserForm,
    UserChange,
    UserNew,
    UserDelete,
    UserSuspend,
    UserResume,
    Servers,
    ServerForm,
    ServerChange,
    ServerNew,
    Enable,
    Disable,
    PowerOn,
    PowerOff,
    Reboot,
    OperationForm,
    Operation,
    Cancel,
    Connections,
    ConnectionForm,
    ConnectionOn,
    ConnectionOff,
    IpmiRedirect,
    Addresses,
    AddressChange,
    AddressNew,
    AddressDelete,
    Templates,
    Traffic,
    Burstable,
}

/// How a function is used: by whether the form is committed, and whether that names an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// It has no form.
    Plain,
    /// The form is looked at.
    View,
    /// The form of an object is committed.
    Change,
    /// The form of nothing is committed, which makes something.
    New,
}

/// A function in one use.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) usage: Usage,
    pub(super) op: Op,
    /// Whether it changes nothing that a second call would notice.
    pub(super) is_read: bool,
    /// Whether users may call it too.
    pub(super) for_users: bool,
    pub(super) fields: &'static [Field],
}

/// A parameter of a function's own.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) need: Need,
}

/// Whether a parameter is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The panel refuses a call without it.
    Must,
    /// It may be left out.
    May,
    /// Without it the panel clears the field.
    Echo,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A whole number above 0.
    Id,
    /// Such a number or `no_owner`.
    Owner,
    /// Anything that is not empty.
    Text,
    /// Anything.
    Free,
    /// Nothing at all: the panel chooses.
    Empty,
    /// One of these.
    Word(&'static [&'static str]),
}

/// The parameters of every function.
pub(super) const COMMON: &[&str] =
    &["func", "out", "lang", "auth", "authinfo", "su", "sok", "clicked_button", "filter", "p_sort", "p_order"];

/// Parameters that no address may hold, and no echo repeats.
pub(super) const SECRET: &[&str] = &["authinfo", "auth", "password", "passwd", "confirm", "checkpasswd", "key"];

const fn must(name: &'static str, form: Form) -> Field {
    Field { name, form, need: Need::Must }
}

const fn may(name: &'static str, form: Form) -> Field {
    Field { name, form, need: Need::May }
}

const fn echo(name: &'static str, form: Form) -> Field {
    Field { name, form, need: Need::Echo }
}

const ELID: Field = must("elid", Form::Id);
const PLID: Field = must("plid", Form::Id);
const LEVEL: Form = Form::Word(&["lvUser", "16"]);
const FAMILY: Form = Form::Word(&["ipv4", "ipv6"]);
const SWITCH: Form = Form::Word(&["on", "off"]);

const fn read(name: &'static str, usage: Usage, op: Op, fields: &'static [Field]) -> Function {
    Function { name, usage, op, is_read: true, for_users: false, fields }
}

const fn change(name: &'static str, usage: Usage, op: Op, fields: &'static [Field]) -> Function {
    Function { name, usage, op, is_read: false, for_users: false, fields }
}

const fn for_users(function: Function) -> Function {
    Function { for_users: true, ..function }
}

use Usage::{Change, New, Plain, View};

pub(super) const FUNCTIONS: &[Function] = &[
    // A second session or key is noticed by nobody.
    for_users(read(
        "auth",
        Plain,
        Op::Auth,
        &[
            must("username", Form::Text),
            may("password", Form::Text),
            may("key", Form::Text),
            may("checkcookie", Form::Word(&["no"])),
        ],
    )),
    for_users(read("whoami", Plain, Op::WhoAmI, &[])),
    read("session.newkey", Plain, Op::NewKey, &[must("username", Form::Text), must("key", Form::Text)]),
    read("user", Plain, Op::Users, &[]),
    read("user.edit", View, Op::UserForm, &[ELID]),
    change(
        "user.edit",
        Change,
        Op::UserChange,
        &[
            ELID,
            echo("name", Form::Text),
            must("passwd", Form::Text),
            must("confirm", Form::Text),
            echo("level", LEVEL),
        ],
    ),
    change(
        "user.edit",
        New,
        Op::UserNew,
        &[must("name", Form::Text), must("passwd", Form::Text), must("confirm", Form::Text), must("level", LEVEL)],
    ),
    change("user.delete", Plain, Op::UserDelete, &[ELID]),
    change("user.suspend", Plain, Op::UserSuspend, &[ELID]),
    change("user.resume", Plain, Op::UserResume, &[ELID]),
    for_users(read(
        "server",
        Plain,
        Op::Servers,
        &[
            may("elid", Form::Id),
            may("clickstat", Form::Word(&["title"])),
            may("hint_field", Form::Word(&["install_in_progress"])),
        ],
    )),
    read("server.edit", View, Op::ServerForm, &[ELID]),
    change(
        "server.edit",
        Change,
        Op::ServerChange,
        &[
            ELID,
            echo("mac", Form::Free),
            echo("name", Form::Free),
            echo("notes", Form::Free),
            echo("type", Form::Id),
            echo("owner", Form::Owner),
        ],
    ),
    change(
        "server.edit",
        New,
        Op::ServerNew,
        &[
            echo("mac", Form::Free),
            echo("name", Form::Free),
            echo("notes", Form::Free),
            echo("type", Form::Id),
            echo("owner", Form::Owner),
        ],
    ),
    change("server.enable", Plain, Op::Enable, &[ELID]),
    change("server.disable", Plain, Op::Disable, &[ELID]),
    for_users(change("server.poweron", Plain, Op::PowerOn, &[ELID])),
    for_users(change("server.poweroff", Plain, Op::PowerOff, &[ELID])),
    for_users(change("server.reboot", Plain, Op::Reboot, &[ELID])),
    for_users(read("server.operations", View, Op::OperationForm, &[ELID])),
    for_users(change(
        "server.operations",
        Change,
        Op::Operation,
        &[
            ELID,
            must("operation", Form::Word(&["ostemplate"])),
            must("ostemplate", Form::Text),
            must("passwd", Form::Text),
            must("confirm", Form::Text),
            must("checkpasswd", Form::Text),
            must("recipe", Form::Text),
            may("hostname", Form::Text),
            may("ipaddr", Form::Text),
            may("isotemplate", Form::Word(&["no_iso_template"])),
            may("clearhdd", SWITCH),
            may("fullhddclear", SWITCH),
        ],
    )),
    for_users(change("server.opercancel", Plain, Op::Cancel, &[ELID])),
    read("server.connection", Plain, Op::Connections, &[ELID]),
    read("server.connection.edit", View, Op::ConnectionForm, &[ELID, PLID]),
    change("server.connection.on", Plain, Op::ConnectionOn, &[ELID, PLID]),
    change("server.connection.off", Plain, Op::ConnectionOff, &[ELID, PLID]),
    for_users(read(
        "ipmiredirect",
        Plain,
        Op::IpmiRedirect,
        &[ELID, must("value", Form::Text), must("newwindow", Form::Word(&["yes"]))],
    )),
    for_users(read("iplist", Plain, Op::Addresses, &[ELID])),
    change("iplist.edit", Change, Op::AddressChange, &[ELID, PLID, must("domain", Form::Text)]),
    change(
        "iplist.edit",
        New,
        Op::AddressNew,
        &[PLID, must("family", FAMILY), must("iptype", Form::Text), may("ip", Form::Empty), must("domain", Form::Text)],
    ),
    change("iplist.delete", Plain, Op::AddressDelete, &[ELID, PLID]),
    read("osmgr", Plain, Op::Templates, &[]),
    read("traffic", Change, Op::Traffic, &[must("period", Form::Word(&["currentmonth"]))]),
    read("trafficburstable", Plain, Op::Burstable, &[]),
];

/// What a name and the two parameters that decide on the use make of a call.
pub(super) fn find(name: &str, is_commit: bool, names_object: bool) -> Option<&'static Function> {
    let usage = match (is_commit, names_object) {
        (false, _) => View,
        (true, true) => Change,
        (true, false) => New,
    };
    let mut named = FUNCTIONS.iter().filter(|function| function.name == name);
    let fits = |function: &&Function| {
        // A report is a form without an object.
        let is_report = function.op == Op::Traffic && is_commit;
        function.usage == Plain || function.usage == usage || is_report
    };
    named.find(fits)
}

impl Function {
    /// The name in ledger and fault plans.
    pub(super) fn path(&self) -> String {
        match self.usage {
            Plain | View => self.name.to_owned(),
            Change => format!("{}/ok", self.name),
            New => format!("{}/new", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_without_an_object_makes_a_new_one() {
        let cases = [
            ("server.edit", false, true, Some(Op::ServerForm)),
            ("server.edit", true, true, Some(Op::ServerChange)),
            ("server.edit", true, false, Some(Op::ServerNew)),
            ("server", false, false, Some(Op::Servers)),
            ("server.enable", false, true, Some(Op::Enable)),
            ("server.enable", true, true, Some(Op::Enable)),
            ("server.operations", true, false, None),
            ("traffic", true, false, Some(Op::Traffic)),
            ("traffic", false, false, None),
            ("Server", false, false, None),
        ];
        for (name, is_commit, names_object, expected) in cases {
            let found = find(name, is_commit, names_object).map(|function| function.op);
            assert_eq!(found, expected, "{name} {is_commit} {names_object}");
        }
    }

    #[test]
    fn every_use_of_every_function_has_a_path_of_its_own() {
        let mut paths: Vec<String> = FUNCTIONS.iter().map(Function::path).collect();
        paths.sort_unstable();
        paths.dedup();

        assert_eq!(paths.len(), FUNCTIONS.len());
    }
}
