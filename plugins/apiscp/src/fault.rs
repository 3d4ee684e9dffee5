//! What the panel's answers mean: one table for every hook.
//!
//! The panel has no codes, only English texts, which are matched in part and in any case. Sources: the panel's modules as
//! published, its documentation, and what PHP's SOAP extension says by itself. The wording of a newer panel may differ: then
//! the text is passed on.

use billhook_plugin_api::{Fault, FaultClass, Reply};
use billhook_soap::ReadError;

/// Longest text of the panel that a fault carries.
const MAX_TEXT: usize = 300;

struct Row {
    fragments: &'static [&'static str],
    class: FaultClass,
    /// Whether it proves that nothing was executed: it is said before anything is done.
    is_proven: bool,
    text: &'static str,
}

const fn row(fragments: &'static [&'static str], class: FaultClass, is_proven: bool, text: &'static str) -> Row {
    Row { fragments, class, is_proven, text }
}

/// The first row that holds a part of the text counts.
const TABLE: &[Row] = &[
    row(
        &["must be of type array", "must be of the type array", "typeerror"],
        FaultClass::PluginBug,
        true,
        "the panel could not read our request: report this with the panel's version",
    ),
    row(
        &["not present", "is not a valid method", "not a valid method"],
        FaultClass::Unsupported,
        true,
        "this version of the panel does not have the call: update the panel",
    ),
    row(
        &["insufficient privileges", "command does not exist", "permission denied"],
        FaultClass::Permission,
        true,
        "the key may not do this: use one of the appliance administrator, and see that [auth] admin_api is not off",
    ),
    row(
        &["may not be specified"],
        FaultClass::Unsupported,
        true,
        "this version of the panel lets only its administrator say this: update the panel, or take the setting away",
    ),
    row(
        &["invalid key", "authentication failed", "invalid api key", "unable to authenticate"],
        FaultClass::Auth,
        true,
        "the panel does not accept the key: set a current one at the server entry, then test",
    ),
    row(
        &["exclusive lock", "failed to lock"],
        FaultClass::ConflictBusy,
        true,
        "the panel is at work on the same thing: it is tried again",
    ),
    row(
        &["already exists", "in use on another account", "already in use", "is in use"],
        FaultClass::AlreadyExists,
        true,
        "the domain or login name is taken on the panel: look there whose it is, and use another",
    ),
    row(&["weak password"], FaultClass::InvalidInput, true, "the panel finds the password too weak: use a longer one"),
    row(
        &["unknown domain", "unknown site", "not found on server", "user not found", "not found in domain map"],
        FaultClass::NotFound,
        true,
        "the panel does not know it: look there whether it was removed or renamed",
    ),
    row(
        &["invalid domain", "invalid email", "unknown option", "unknown service", "unknown plan", "invalid plan"],
        FaultClass::InvalidInput,
        true,
        "the panel refused the input: correct the order or the product's settings",
    ),
    row(
        &["failed to read response"],
        FaultClass::InDoubt,
        false,
        "the panel lost its own answer: what it did is looked up first",
    ),
    row(&["demo mode", "demo account"], FaultClass::Permission, true, "the panel is a demonstration: use another"),
];

/// The code of a fault by which the panel says that it knows no such user, in whatever order it says so.
pub const NO_SUCH_USER: &str = "no_such_user";

/// The code of a fault by which the panel says that it failed, in whatever words, or that it did without one.
pub const FAILED: &str = "failed";

/// The fault that the panel's own fault stands for.
pub fn of_panel(fault: &billhook_soap::Fault) -> Fault {
    let said = fault.text.to_lowercase();
    if said.contains("user") && said.contains("does not exist") {
        return told(
            FaultClass::NotFound,
            "the panel does not know the user: look there whether it was renamed",
            &fault.text,
        )
        .with_code(NO_SUCH_USER)
        .refused();
    }
    let Some(row) = TABLE.iter().find(|row| row.fragments.iter().any(|part| said.contains(part))) else {
        return told(FaultClass::PanelBug, "the panel failed: see its log", &fault.text).with_code(FAILED);
    };
    let found = told(row.class, row.text, &fault.text).with_code(shortened(&fault.code));
    if row.is_proven { found.refused() } else { found }
}

/// The fault that an answer's status stands for, when there is no envelope to ask. `None`: an envelope is to be expected.
pub fn of_status(reply: &Reply) -> Option<Fault> {
    let fault = match reply.status {
        // 500 is the status of every fault.
        200..=299 | 500 => return None,
        401 => Fault::new(
            FaultClass::Auth,
            "the panel does not accept the key; it locks this host out after 20 refusals: correct the key, then test",
        )
        .refused(),
        403 => {
            let fault = Fault::new(FaultClass::Permission, "the panel refuses the key, or this host's address");
            // A page may have been put in the place of the panel's answer.
            if reply.body.iter().all(u8::is_ascii_whitespace) { fault.refused() } else { fault }
        }
        404 => Fault::invalid_input(
            "the panel has no SOAP service at this address: check the base URL and its port, and [soap] enabled there",
        ),
        429 => Fault::new(FaultClass::RateLimited, "the panel asks for a slower pace")
            .retry_after_ms(reply.retry_after_ms)
            .refused(),
        503 => Fault::new(FaultClass::ConflictBusy, "the panel is not in service").retry_after_ms(reply.retry_after_ms),
        501..=599 | 408 => Fault::new(FaultClass::InDoubt, "something before the panel gave up on it"),
        300..=399 => Fault::new(FaultClass::InDoubt, "the panel's address answered with a redirect"),
        _ => Fault::panel_bug("the panel answered with a status that SOAP does not have"),
    };
    Some(fault.with_code(reply.status.to_string()))
}

/// The fault of an answer that cannot be read: of a change, it may have been executed.
pub fn unreadable(reply: &Reply, error: &ReadError) -> Fault {
    let class = match error {
        // The panel's own words, in another shape.
        ReadError::Missing { .. } | ReadError::Misfit { .. } | ReadError::TooMuch { .. } => FaultClass::PanelBug,
        // Somebody else's: a page of the panel, of a proxy, of PHP.
        _ => FaultClass::InDoubt,
    };
    Fault::new(class, format!("{error} ({})", reply.status)).with_code(reply.status.to_string())
}

/// A change that was answered with null: whether it was executed is to be looked up.
pub fn null(operation: &str) -> Fault {
    Fault::new(FaultClass::InDoubt, format!("the panel answered {operation} with null"))
}

/// A change that was answered with false, and no word why.
pub fn refused_silently(operation: &str) -> Fault {
    Fault::panel_bug(format!("the panel answered {operation} with false, and does not say why: see the panel's log"))
        .with_code(FAILED)
}

fn told(class: FaultClass, what: &str, text: &str) -> Fault {
    let text = shortened(text);
    Fault::new(class, if text.is_empty() { what.to_owned() } else { format!("{what}: {text}") })
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (FaultClass, bool) {
        let fault = of_panel(&billhook_soap::Fault { code: "Server".into(), text: text.into(), detail: None });
        (fault.class, fault.refused)
    }

    #[test]
    fn every_text_of_the_panel_has_one_class() {
        use FaultClass as C;
        for (text, expected) in [
            ("Unknown domain `x.example'", (C::NotFound, true)),
            ("unknown site `site9'", (C::NotFound, true)),
            ("domain `x' not found on server", (C::NotFound, true)),
            ("User `x' does not exist", (C::NotFound, true)),
            ("x not found in domain map", (C::NotFound, true)),
            ("domain x.example already exists", (C::AlreadyExists, true)),
            ("database prefix in use on another account", (C::AlreadyExists, true)),
            ("Weak password disallowed", (C::InvalidInput, true)),
            ("invalid domain `x'", (C::InvalidInput, true)),
            ("unknown service `x'", (C::InvalidInput, true)),
            ("Unable to gain exclusive lock on x", (C::ConflictBusy, true)),
            ("failed to lock", (C::ConflictBusy, true)),
            ("insufficient privileges to execute admin_add_site", (C::Permission, true)),
            ("command does not exist", (C::Permission, true)),
            ("action not permitted in demo mode", (C::Permission, true)),
            ("Procedure 'admin_x' not present", (C::Unsupported, true)),
            ("admin_x is not a valid method", (C::Unsupported, true)),
            ("IP address may not be specified if site admin", (C::Unsupported, true)),
            ("f(): Argument #3 ($opts) must be of type array, null given", (C::PluginBug, true)),
            ("failed to read response", (C::InDoubt, false)),
            ("something new", (C::PanelBug, false)),
            ("", (C::PanelBug, false)),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn every_status_has_one_class() {
        use FaultClass as C;
        let page = Reply { status: 403, headers: vec![], body: b"<html>".to_vec(), retry_after_ms: None };
        assert!(of_status(&page).is_some_and(|fault| !fault.refused));
        for (statuses, expected) in [
            (&[200, 202, 500][..], None),
            (&[401], Some((C::Auth, true))),
            (&[403], Some((C::Permission, true))),
            (&[404], Some((C::InvalidInput, false))),
            (&[429], Some((C::RateLimited, true))),
            (&[503], Some((C::ConflictBusy, false))),
            (&[502, 504, 520, 408], Some((C::InDoubt, false))),
            (&[301, 302], Some((C::InDoubt, false))),
            (&[100, 400, 405, 600], Some((C::PanelBug, false))),
        ] {
            for status in statuses {
                let reply = Reply { status: *status, headers: vec![], body: vec![], retry_after_ms: None };
                assert_eq!(of_status(&reply).map(|fault| (fault.class, fault.refused)), expected, "{status}");
            }
        }
    }
}
