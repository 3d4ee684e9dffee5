//! The commands that the panel knows, as the contract's section 4 lists them.

use super::codes::Code;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    CreateOrder,
    RenewOrder,
    SuspendOrder,
    UnsuspendOrder,
    GetTarifs,
    ReinstallOrder,
    GetOrders,
    GetBalance,
    AddonsOrder,
    StartServer,
    ShutdownServer,
    RebootServer,
    ResetServer,
    GetVnc,
}

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) op: Op,
    pub(super) is_read: bool,
    pub(super) fields: &'static [Field],
}

/// A field of a command's own.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// The refusal of a call without it; `None` when it may be left out.
    pub(super) missing: Option<Code>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A whole number above 0.
    Number,
    /// Such numbers with commas between them.
    Numbers,
    /// 0 or 1.
    Flag,
    /// The only kind of plan.
    Vid,
    /// Anything.
    Text,
}

/// The fields of every command.
pub(super) const COMMON: &[&str] = &["command", "login", "pass", "apikey", "json"];

const fn needs(name: &'static str, form: Form, missing: Code) -> Field {
    Field { name, form, missing: Some(missing) }
}

const fn may(name: &'static str, form: Form) -> Field {
    Field { name, form, missing: None }
}

const VID: Field = needs("vid", Form::Vid, Code::WRONG_KIND);
const ORDER: Field = needs("orderid", Form::Number, Code::ORDER_MISSING);
const PERIOD: Field = needs("period", Form::Number, Code::PERIOD_MISSING);

const fn read(name: &'static str, op: Op, fields: &'static [Field]) -> Command {
    Command { name, op, is_read: true, fields }
}

const fn change(name: &'static str, op: Op, fields: &'static [Field]) -> Command {
    Command { name, op, is_read: false, fields }
}

pub(super) const COMMANDS: &[Command] = &[
    change(
        "createOrder",
        Op::CreateOrder,
        &[
            VID,
            needs("tarifid", Form::Number, Code::PLAN_MISSING),
            may("locationid", Form::Number),
            PERIOD,
            may("addons", Form::Numbers),
            may("autorenew", Form::Flag),
            may("autorenewperiod", Form::Number),
            may("domain", Form::Text),
        ],
    ),
    change("renewOrder", Op::RenewOrder, &[ORDER, PERIOD]),
    change("suspendOrder", Op::SuspendOrder, &[ORDER]),
    change("unSuspendOrder", Op::UnsuspendOrder, &[ORDER]),
    read("getTarifs", Op::GetTarifs, &[VID, may("tarifid", Form::Number)]),
    change(
        "reinstallOrder",
        Op::ReinstallOrder,
        &[ORDER, needs("osid", Form::Number, Code::UNKNOWN_OS), may("panelid", Form::Number)],
    ),
    read("getOrders", Op::GetOrders, &[may("orderid", Form::Number)]),
    read("getBalance", Op::GetBalance, &[]),
    change("addonsOrder", Op::AddonsOrder, &[ORDER, needs("addons", Form::Numbers, Code::ADDONS_MISSING)]),
    change("startServer", Op::StartServer, &[ORDER]),
    change("shutdownServer", Op::ShutdownServer, &[ORDER]),
    change("rebootServer", Op::RebootServer, &[ORDER]),
    change("resetServer", Op::ResetServer, &[ORDER]),
    // It hands out a password, but changes nothing that a second call would notice.
    read("getVnc", Op::GetVnc, &[ORDER]),
];
