//! What every answer has around its data, and the one table of the panel's errors.
//!
//! Source: COREmanager, "Errors"; the lower-case type strings beside `auth`, `access` and `extraconfirm` are not
//! documented, see docs/panels/dcimanager.md. The panel's text is for people: nothing is decided by it.

use crate::xml::Node;
use billhook_plugin_api::{Fault, FaultClass, Reply};

/// Longest text of the panel that a fault carries.
const MAX_TEXT: usize = 300;

/// The code of a fault that says that the session is over.
pub const SESSION_OVER: &str = "auth";

/// The code of a fault that says that the session may not do this.
pub const NO_ACCESS: &str = "access";

/// The document of an answer.
///
/// # Errors
///
/// The fault of its `error`; for what is no document of the panel, what it seems to be.
pub fn read(reply: &Reply) -> Result<Node, Fault> {
    // The body first, whatever the status: which one the panel gives to an error is not documented.
    let doc = match Node::parse(&reply.body) {
        Ok(doc) if doc.name() == "doc" => doc,
        Ok(_) => return Err(stranger(reply, "is XML of something else")),
        Err(why) => return Err(stranger(reply, &why.to_string())),
    };
    match doc.child("error") {
        Some(error) => Err(of(error)),
        None if reply.status >= 400 => Err(stranger(reply, "has no error in it")),
        None => Ok(doc),
    }
}

/// The document of an answer to a change. One without `ok` proves nothing: the panel died while it was at work.
pub fn accepted(reply: &Reply) -> Result<Node, Fault> {
    let doc = read(reply)?;
    if doc.has("ok") {
        return Ok(doc);
    }
    Err(Fault::new(FaultClass::InDoubt, "the panel neither accepted nor refused the change: it is looked up first"))
}

/// A member that must be there.
pub fn misfit(place: &str) -> Fault {
    Fault::panel_bug(format!("the panel's answer has no {place}, or one that cannot be read"))
}

/// The fault of an `error` element.
fn of(error: &Node) -> Fault {
    use FaultClass::{AlreadyExists, Auth, Capacity, ConflictBusy, InDoubt, InvalidInput, NotFound, Permission};
    let Some(kind) = error.attribute("type") else {
        let code = error.attribute("code").unwrap_or("none");
        return Fault::new(
            FaultClass::Unsupported,
            format!(
                "a panel of the generation before DCImanager answered (error code {code}), whose version is not supported: \
                 check the server's base URL, or update the panel to DCImanager 5"
            ),
        );
    };
    let object = error.attribute("object").unwrap_or_default();
    let (class, remedy, is_proven) = match (kind, object) {
        ("auth", "badip") => (Auth, "allow the address of the Billhook host for the account on the panel", true),
        ("auth", _) => {
            (Auth, "check login and password at the server entry; another session may also have ended this one", true)
        }
        ("access", _) => (Permission, "give the account the role Administrator on the panel", true),
        ("extraconfirm", _) => (Auth, "the account has a second factor: use one without", true),
        ("missed", _) => (NotFound, "it is gone from the panel, or its id is wrong: look there", true),
        ("exists", _) => (AlreadyExists, "look it up on the panel", true),
        ("value", _) => (InvalidInput, "correct the setting or the order that the value comes from", true),
        ("limit", _) => (Capacity, "raise the limit on the panel, or add what it counts", true),
        ("license", _) => (ConflictBusy, "renew the panel's licence", true),
        // The panel's own kinds are not all known; what it did before it failed is not said.
        _ => (InDoubt, "the panel failed inside: look into its log", false),
    };
    let mut staff = format!("the panel says {kind}");
    // What a failed sign-in quotes is the login or the session.
    let value = error.all("param").find(|param| param.attribute("name") == Some("value")).map(Node::own_text);
    let quoted = [Some(object), value.filter(|_| kind != "auth")];
    let quoted: Vec<String> = quoted.into_iter().flatten().filter(|text| !text.is_empty()).map(shortened).collect();
    if !quoted.is_empty() {
        staff.push_str(&format!(" ({})", quoted.join(", ")));
    }
    if let Some(text) = error.text("msg") {
        staff.push_str(&format!(", {:?}", shortened(text)));
    }
    staff.push_str(&format!(": {remedy}"));
    let fault = Fault::new(class, staff).with_code(shortened(kind));
    if is_proven { fault.refused() } else { fault }
}

/// The fault of an answer that is no document of the panel. It proves nothing.
fn stranger(reply: &Reply, what: &str) -> Fault {
    let status = reply.status;
    let start = reply.body.trim_ascii_start();
    let fault = if reply.is_json() || start.starts_with(b"{") || start.starts_with(b"[") {
        version_6("the panel answers JSON")
    } else if status == 429 {
        Fault::new(FaultClass::RateLimited, "the panel's web server asks for a slower pace (429)").refused()
    } else if matches!(status, 401 | 403) {
        Fault::new(
            FaultClass::Auth,
            format!("the panel's web server refused the call ({status}): check what stands before the panel"),
        )
    } else if status == 503 {
        Fault::new(FaultClass::ConflictBusy, "the panel is in maintenance (503)")
    } else if is_page(start) {
        Fault::new(
            FaultClass::InDoubt,
            format!(
                "a web page came instead of the panel's answer ({status}): check the server's base URL, \
                 https://HOST:1500 without a path, and what stands before the panel; DCImanager 6 answers so too"
            ),
        )
    } else {
        Fault::new(
            FaultClass::InDoubt,
            format!("the answer ({status}) {what}: check the server's base URL and what stands before the panel"),
        )
    };
    fault.with_code(status.to_string()).retry_after_ms(reply.retry_after_ms)
}

/// Whether the body is a web page.
pub fn is_page(body: &[u8]) -> bool {
    let start: Vec<u8> = body.trim_ascii_start().iter().take(200).map(u8::to_ascii_lowercase).collect();
    start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
}

/// The fault of a panel of the next generation.
pub fn version_6(evidence: &str) -> Fault {
    Fault::new(
        FaultClass::Unsupported,
        format!("{evidence}, as DCImanager 6 does: version 6 is not supported yet, this provider speaks version 5"),
    )
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: vec![], body: body.as_bytes().to_vec(), retry_after_ms: None }
    }

    fn error(attributes: &str, inner: &str) -> String {
        format!("<doc><tparams><error type='x'/></tparams><error {attributes}>{inner}</error></doc>")
    }

    #[test]
    fn every_type_is_one_class_with_a_remedy() {
        use FaultClass::{
            AlreadyExists, Auth, Capacity, ConflictBusy, InDoubt, InvalidInput, NotFound, Permission, Unsupported,
        };
        for (attributes, class, is_proven, hint) in [
            ("type='auth' object='badpassword'", Auth, true, "login and password"),
            ("type='auth' object='badip'", Auth, true, "address"),
            ("type='auth'", Auth, true, "login and password"),
            ("type='access'", Permission, true, "Administrator"),
            ("type='extraconfirm'", Auth, true, "second factor"),
            ("type='missed' object='server'", NotFound, true, "server"),
            ("type='exists' object='user'", AlreadyExists, true, "user"),
            ("type='value' object='passwd'", InvalidInput, true, "passwd"),
            ("type='limit' object='ip'", Capacity, true, "limit"),
            ("type='license'", ConflictBusy, true, "licence"),
            ("type='db'", InDoubt, false, "log"),
            ("type='xml'", InDoubt, false, "log"),
            ("type='never_heard'", InDoubt, false, "never_heard"),
            ("code='3' obj='x'", Unsupported, false, "generation"),
        ] {
            for status in [200, 400, 500] {
                let fault = read(&reply(status, &error(attributes, ""))).unwrap_err();
                assert_eq!((fault.class, fault.refused), (class, is_proven), "{attributes}");
                assert!(fault.staff.contains(hint), "{fault}");
            }
        }
    }

    #[test]
    fn the_texts_are_kept_and_what_a_sign_in_quotes_is_not() {
        let inner =
            "<param name='object'>server</param><param name='value'>42</param><msg>Server 42 is not there</msg>";
        let fault = read(&reply(200, &error("type='missed' object='server'", inner))).unwrap_err();
        assert_eq!(fault.code.as_deref(), Some("missed"));
        assert!(fault.staff.contains("(server, 42), \"Server 42 is not there\""), "{fault}");

        let fault = read(&reply(200, &error("type='auth'", "<param name='value'>s3ssion</param>"))).unwrap_err();
        assert!(!fault.staff.contains("s3ssion"), "{fault}");
    }

    #[test]
    fn only_ok_is_a_success_of_a_change() {
        assert!(accepted(&reply(200, "<doc><id>7</id><ok/></doc>")).is_ok());
        for body in ["<doc/>", "<doc><id>7</id></doc>", "<doc><tparams><ok/></tparams></doc>"] {
            let fault = accepted(&reply(200, body)).unwrap_err();
            assert_eq!((fault.class, fault.refused), (FaultClass::InDoubt, false), "{body}");
        }
    }

    #[test]
    fn what_the_panel_did_not_say_is_told_by_its_kind() {
        use FaultClass::{Auth, ConflictBusy, InDoubt, RateLimited, Unsupported};
        for (status, body, class, is_proven) in [
            (200, r#"{"error":{"code":3000}}"#, Unsupported, false),
            (404, "[]", Unsupported, false),
            (200, "<!DOCTYPE html><html></html>", InDoubt, false),
            (200, "<html/>", InDoubt, false),
            (500, "", InDoubt, false),
            (200, "<other/>", InDoubt, false),
            (302, "", InDoubt, false),
            (500, "<doc/>", InDoubt, false),
            (401, "<html/>", Auth, false),
            (429, "", RateLimited, true),
            (503, "<html/>", ConflictBusy, false),
        ] {
            let fault = read(&reply(status, body)).unwrap_err();
            assert_eq!((fault.class, fault.refused), (class, is_proven), "{status} {body}");
        }
        assert!(read(&reply(200, "{}")).unwrap_err().staff.contains("version 6"));
    }
}
