//! What the panel's error codes mean: one table for every hook.
//!
//! Source: ROOTPANEL.NET API, "error codes" (1 to 55; 32 to 39 are unused). The vendor says that an answer with `ERROR` was not carried
//! out; for codes that a half-done order could give as well we do not take that as proof.

use crate::command::Effect;
use billhook_plugin_api::{Fault, FaultClass};

/// Whether the code proves that nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Of every command.
    Always,
    /// Of commands that set a state. Those that order something are looked up first.
    UnlessOrdered,
}

struct Row {
    code: i64,
    class: FaultClass,
    proof: Proof,
    /// How long to leave the panel alone, in milliseconds, where the host's own back-off would be too short.
    retry_after_ms: Option<u64>,
    staff: &'static str,
    customer: Option<&'static str>,
}

const fn row(code: i64, class: FaultClass, staff: &'static str) -> Row {
    Row { code, class, proof: Proof::Always, retry_after_ms: None, staff, customer: None }
}

const fn unproven(code: i64, staff: &'static str) -> Row {
    Row { proof: Proof::UnlessOrdered, ..row(code, FaultClass::ConflictBusy, staff) }
}

const fn told(row: Row, customer: &'static str) -> Row {
    Row { customer: Some(customer), ..row }
}

const LATER: &str = "The provider cannot do this at the moment. It is tried again.";

/// Code 20: an invoice of the order is open.
pub const OPEN_INVOICE: i64 = 20;
/// Code 21: the order is suspended already.
pub const SUSPENDED: i64 = 21;
/// Code 22: the order runs already.
pub const RUNNING: i64 = 22;
/// The paid time is over.
pub const OVERDUE: [i64; 2] = [23, 53];
/// Code 44: an installation of the order is queued already.
pub const QUEUED: i64 = 44;
/// Codes of an order that may say that an earlier sending of it was carried out.
pub const ORDERED_BEFORE: [i64; 2] = [14, 27];
/// The panel has no such order, or none at all.
pub const NO_ORDER: [i64; 2] = [19, 26];
/// There are no orders.
pub const NO_ORDERS: i64 = 26;
/// There are no plans, or not that one.
pub const NO_PLAN: [i64; 2] = [10, 12];

const TABLE: &[Row] = {
    use FaultClass::{AlreadyExists, Auth, Capacity, ConflictBusy, InvalidInput, NotFound, PluginBug, Unsupported};
    &[
        told(row(1, ConflictBusy, "the panel could not reach its database: it is tried again"), LATER),
        unproven(2, "the panel could not save to its database: it is tried again"),
        row(3, PluginBug, "the login was missing: report this with the panel's version"),
        row(4, Auth, "the panel knows no such login: check `login`"),
        row(5, Auth, "access to the API is switched off for the login: switch it on in the panel's profile"),
        row(6, Auth, "neither a password nor a key was given: set `apikey` or `pass`"),
        row(7, Auth, "the panel does not accept the password or key: check `apikey` or `pass`"),
        row(8, Unsupported, "this panel does not know the command: ask the provider to update it"),
        row(9, PluginBug, "a password and a key were given together: set one of `apikey` and `pass`"),
        row(10, NotFound, "the panel has no plans for this login: ask the provider to open some for it"),
        row(11, PluginBug, "the plan's id was missing: report this with the panel's version"),
        row(12, NotFound, "the panel has no such plan: correct `tarifid`"),
        row(13, InvalidInput, "the plan needs a domain, and the service has none: give it one in the order"),
        row(14, AlreadyExists, "the plan is already ordered for this domain: look on the panel whose order that is"),
        row(15, PluginBug, "the period was missing: report this with the panel's version"),
        row(16, InvalidInput, "the plan cannot be had for this period: correct `period`"),
        row(17, InvalidInput, "an add-on is not allowed for this plan: correct `addons`"),
        row(18, PluginBug, "the order's id was missing: report this with the panel's version"),
        row(19, NotFound, "the panel has no such order: look there whether it was removed"),
        row(
            20,
            ConflictBusy,
            "the order has an invoice that is unpaid or not processed: pay or cancel it on the panel",
        ),
        row(21, InvalidInput, "the order is suspended: unsuspend it first"),
        row(22, InvalidInput, "the order is running already: there is nothing to start, look at its state"),
        told(row(23, InvalidInput, "the order is overdue: renew it first"), "The service must be renewed first."),
        row(24, InvalidInput, "the panel does not sell this type of plan by its API: correct `tarifid`"),
        row(25, Unsupported, "the panel does not support this for this kind of order: ask the provider"),
        row(26, NotFound, "the login has no orders: check `login`"),
        row(
            27,
            AlreadyExists,
            "the plan may be ordered once only, and the login has ordered it: use another plan or login",
        ),
        row(28, InvalidInput, "more pieces of an add-on than the plan allows: correct `addons`"),
        row(
            29,
            InvalidInput,
            "an add-on of a group must be chosen, such as the operating system: set `osid` or `addons`",
        ),
        row(40, InvalidInput, "the plan cannot be had in this location: correct `locationid`"),
        row(41, PluginBug, "the value of autorenew was not understood: correct `autorenew`"),
        row(42, PluginBug, "the period of autorenew was missing: correct `autorenew`"),
        row(43, PluginBug, "the period of autorenew is not allowed: correct `autorenew`"),
        told(
            row(44, ConflictBusy, "an installation of this order is queued already: wait for its end"),
            "An installation is waiting already.",
        ),
        unproven(45, "the panel could not queue the request: it is tried again"),
        row(
            46,
            InvalidInput,
            "extra traffic, the 1 GB port and the 1 Gbps port billed by use exclude each other: correct `addons`",
        ),
        row(
            47,
            InvalidInput,
            "the control panel is not available for the operating system: correct `panelid` or `osid`",
        ),
        row(48, InvalidInput, "the panel has no such operating system: set or correct `osid`"),
        row(49, InvalidInput, "the panel has no such control panel: set or correct `panelid`"),
        Row {
            retry_after_ms: Some(15 * 60_000),
            ..told(
                row(
                    50,
                    Capacity,
                    "the panel cannot do this in this location for the time being: it is tried again; use another `locationid` if it lasts",
                ),
                LATER,
            )
        },
        row(51, InvalidInput, "an extra disk and weekly backups cannot be ordered together: order them one by one"),
        row(52, PluginBug, "the add-on's id was missing: report this with the panel's version"),
        told(row(53, InvalidInput, "the order must be renewed first: renew it"), "The service must be renewed first."),
        row(
            54,
            Auth,
            "the panel's allow-list for the API does not have this host's address: add it in the panel's profile",
        ),
        unproven(55, "the panel failed to carry out the command: it is tried again; ask the provider if it lasts"),
    ]
};

/// The fault of an answer with `ERROR`. `words` are the panel's own, in Russian: for the staff only.
pub fn fault(code: Option<i64>, words: Option<&str>, effect: Effect) -> Fault {
    let found = code.and_then(|code| TABLE.iter().find(|row| row.code == code));
    let what = found.map_or(
        "the panel refused with a code that its documentation does not have: ask the provider what its `errorCode` means",
        |row| row.staff,
    );
    let shown = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
    let staff = match words {
        Some(words) => format!("{what} (code {shown}): {words}"),
        None => format!("{what} (code {shown})"),
    };
    let Some(row) = found else { return Fault::panel_bug(staff).with_code(shown) };
    let mut fault = Fault::new(row.class, staff);
    fault.customer = row.customer.map(str::to_owned);
    let fault = fault.with_code(shown).retry_after_ms(row.retry_after_ms);
    if row.proof == Proof::Always || effect == Effect::Sets { fault.refused() } else { fault }
}

/// Whether the fault is one of the panel's answers with one of these codes.
pub fn is(fault: &Fault, codes: &[i64]) -> bool {
    let code = fault.code.as_deref().and_then(|code| code.parse::<i64>().ok());
    // A status of HTTP is a code too, and none of these proves anything.
    fault.refused && code.is_some_and(|code| codes.contains(&code))
}

/// What is waited for after an answer with `SUCCESS` and this code; `None` if nothing is.
pub fn pending(code: Option<i64>) -> Option<String> {
    Some(match code? {
        30 => "the panel has accepted it, and its staff will carry it out by hand (code 30)".to_owned(),
        31 => "the panel has accepted it, and waits for the payment of its invoice (code 31)".to_owned(),
        QUEUED => "an installation of this order was queued already (code 44)".to_owned(),
        OPEN_INVOICE => "an invoice of the order is unpaid or not processed (code 20)".to_owned(),
        other => format!("the panel has accepted it with the note {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row_in_order() {
        let codes: Vec<i64> = TABLE.iter().map(|row| row.code).collect();
        let expected: Vec<i64> = (1..=29).chain(40..=55).collect();
        assert_eq!(codes, expected);
    }

    #[test]
    fn every_code_has_its_class_and_proof() {
        use FaultClass::{
            AlreadyExists, Auth, Capacity, ConflictBusy, InvalidInput, NotFound, PanelBug, PluginBug, Unsupported,
        };
        for (codes, class, is_proof_of_orders) in [
            (&[1][..], ConflictBusy, true),
            (&[2, 45, 55], ConflictBusy, false),
            (&[3, 9, 11, 15, 18, 41, 42, 43, 52], PluginBug, true),
            (&[4, 5, 6, 7, 54], Auth, true),
            (&[8, 25], Unsupported, true),
            (&[10, 12, 19, 26], NotFound, true),
            (&[14, 27], AlreadyExists, true),
            (&[13, 16, 17, 21, 22, 23, 24, 28, 29, 40, 46, 47, 48, 49, 51, 53], InvalidInput, true),
            (&[20, 44], ConflictBusy, true),
            (&[50], Capacity, true),
            (&[0, 30, 31, 32, 39, 56, -1], PanelBug, false),
        ] {
            for code in codes {
                let fault = fault(Some(*code), None, Effect::Orders);
                assert_eq!((fault.class, fault.refused), (class, is_proof_of_orders), "{code}");
                assert_eq!(fault.code, Some(code.to_string()));
            }
        }
        assert!(!fault(None, None, Effect::Sets).refused);
        for code in [2, 45, 55] {
            assert!(fault(Some(code), None, Effect::Sets).refused, "{code}");
        }
        assert_eq!(fault(Some(50), None, Effect::Reads).retry_after_ms, Some(900_000));
    }

    #[test]
    fn the_panels_words_are_for_the_staff_alone() {
        for row in TABLE {
            let fault = fault(Some(row.code), Some("\u{417}\u{430}\u{44f}\u{432}\u{43a}\u{430}"), Effect::Orders);
            assert!(fault.staff.ends_with(": \u{417}\u{430}\u{44f}\u{432}\u{43a}\u{430}"), "{fault}");
            assert!(fault.customer.as_ref().is_none_or(|text| text.is_ascii()), "{}", row.code);
        }
    }
}
