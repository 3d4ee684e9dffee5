//! What every answer has around its data: `status`, `errorCode`, `errorMsg`.
//!
//! Source: ROOTPANEL.NET API, "result". Only an answer that can be read and says `SUCCESS` or `ERROR` is the panel's; all else is of
//! unknown origin, so that a read is repeated and a change is in doubt.

use crate::codes;
use crate::command::{Command, Effect};
use crate::tree::Tree;
use billhook_plugin_api::{Fault, FaultClass, Reply};

/// Longest text of the panel that a fault carries.
const MAX_TEXT: usize = 300;

const HINT: &str = "check the server's base URL, which has no /apih.php, and what stands before the panel";

/// An answer with `SUCCESS`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub tree: Tree,
    /// Of a change: it was accepted and is not done yet.
    pub code: Option<i64>,
}

/// Reads the answer to a command.
///
/// # Errors
///
/// The code's fault for `ERROR`; `in_doubt` for what the panel did not say; of HTTP statuses `auth`, `rate_limited`, `conflict_busy`.
pub fn read(reply: &Reply, command: Command) -> Result<Answer, Fault> {
    if !(200..=299).contains(&reply.status) {
        return Err(http_fault(reply));
    }
    let tree = Tree::read(&reply.body).map_err(|why| untrusted(reply.status, &why.to_string()))?;
    let code = match tree.member("errorCode") {
        None => None,
        // What is no number is no code that we know.
        Some(_) => Some(tree.whole("errorCode").unwrap_or(-1)).filter(|code| *code != 0),
    };
    match tree.text("status").as_deref() {
        Some("SUCCESS") => Ok(Answer { tree, code }),
        Some("ERROR") => Err(codes::fault(code, tree.text("errorMsg").map(shortened).as_deref(), command.effect())),
        _ => Err(untrusted(reply.status, "something that has no status of the panel's")),
    }
}

impl Answer {
    /// What is waited for; `None` if it is done. Reads wait for nothing.
    pub fn pending(&self, command: Command) -> Option<String> {
        if command.effect() == Effect::Reads { None } else { codes::pending(self.code) }
    }

    /// Needs an array of this name.
    pub fn rows(&self, name: &str) -> Result<Vec<&Tree>, Fault> {
        let rows = self.tree.member(name).and_then(Tree::elements).map(Iterator::collect);
        rows.ok_or_else(|| misfit(name))
    }
}

/// An answer of the panel without a member that it must have.
pub fn misfit(place: &str) -> Fault {
    Fault::panel_bug(format!("the panel's answer has no {place}, or one of another type"))
}

/// An answer that somebody else may have given: it proves nothing.
fn untrusted(status: u16, what: &str) -> Fault {
    Fault::new(FaultClass::InDoubt, format!("the panel's address answered with {what}: {HINT}"))
        .with_code(status.to_string())
}

fn http_fault(reply: &Reply) -> Fault {
    let status = reply.status;
    let fault = match status {
        401 | 403 => Fault::new(FaultClass::Auth, format!("the panel's web server refused the call ({status})")),
        429 => Fault::new(FaultClass::RateLimited, "the panel's web server asks for a slower pace (429)").refused(),
        503 => Fault::new(FaultClass::ConflictBusy, "the panel is in maintenance (503)"),
        500..=599 => Fault::new(FaultClass::InDoubt, format!("the panel failed inside ({status})")),
        300..=399 => return untrusted(status, "a redirect"),
        _ => return untrusted(status, &format!("the status {status}")),
    };
    fault.with_code(status.to_string()).retry_after_ms(reply.retry_after_ms)
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: vec![], body: body.as_bytes().to_vec(), retry_after_ms: Some(7_000) }
    }

    fn of(body: &str) -> Result<Option<i64>, (FaultClass, bool)> {
        let answer = read(&reply(200, body), Command::CreateOrder);
        answer.map(|answer| answer.code).map_err(|fault| (fault.class, fault.refused))
    }

    #[test]
    fn status_and_code_decide() {
        use FaultClass::{Auth, ConflictBusy, InDoubt, PanelBug};
        for (body, expected) in [
            (r#"{"status":"SUCCESS"}"#, Ok(None)),
            (r#"{"status":"SUCCESS","errorCode":""}"#, Ok(None)),
            (r#"{"status":"SUCCESS","errorCode":"0"}"#, Ok(None)),
            (r#"{"status":"SUCCESS","errorCode":0}"#, Ok(None)),
            (r#"{"status":"SUCCESS","errorCode":null}"#, Ok(None)),
            (r#"{"status":"SUCCESS","errorCode":30}"#, Ok(Some(30))),
            (r#"{"status":"SUCCESS","errorCode":"31"}"#, Ok(Some(31))),
            (r#"{"status":"SUCCESS","errorCode":77}"#, Ok(Some(77))),
            (r#"{"status":"ERROR","errorCode":7}"#, Err((Auth, true))),
            (r#"{"status":"ERROR","errorCode":"7"}"#, Err((Auth, true))),
            (r#"{"status":"ERROR","errorCode":55}"#, Err((ConflictBusy, false))),
            (r#"{"status":"ERROR","errorCode":77}"#, Err((PanelBug, false))),
            (r#"{"status":"ERROR","errorCode":"x"}"#, Err((PanelBug, false))),
            (r#"{"status":"ERROR"}"#, Err((PanelBug, false))),
            (r#"{"status":"success"}"#, Err((InDoubt, false))),
            (r#"{"errorCode":7}"#, Err((InDoubt, false))),
            ("{}", Err((InDoubt, false))),
            ("<html>", Err((InDoubt, false))),
            ("", Err((InDoubt, false))),
            ("a:1:{", Err((InDoubt, false))),
        ] {
            assert_eq!(of(body), expected, "{body}");
        }
    }

    #[test]
    fn a_status_of_http_never_proves_a_change_but_429() {
        use FaultClass::{Auth, ConflictBusy, InDoubt, RateLimited};
        for (statuses, class, refused) in [
            (&[301, 302, 400, 404, 405, 500, 502, 504, 520][..], InDoubt, false),
            (&[401, 403], Auth, false),
            (&[429], RateLimited, true),
            (&[503], ConflictBusy, false),
        ] {
            for status in statuses {
                let fault = read(&reply(*status, r#"{"status":"SUCCESS"}"#), Command::CreateOrder).unwrap_err();
                assert_eq!((fault.class, fault.refused), (class, refused), "{status}");
            }
        }
        assert_eq!(read(&reply(429, ""), Command::GetOrders).unwrap_err().retry_after_ms, Some(7_000));
    }

    #[test]
    fn the_samples_are_read_as_what_they_are() {
        let Some(samples) = samples::all() else { return };
        for (name, code) in [
            ("balance", Ok(None)),
            ("create_ok", Ok(None)),
            ("create_await_payment", Ok(Some(31))),
            ("error_auth", Err(FaultClass::Auth)),
            ("error_auth_int", Err(FaultClass::Auth)),
            ("orders_list", Ok(None)),
            ("orders_keyed_by_id", Ok(None)),
            ("tarifs", Ok(None)),
            ("vnc", Ok(None)),
        ] {
            for ending in ["json", "ser"] {
                let body = samples[&format!("{name}.{ending}")].clone();
                let reply = Reply { status: 200, headers: vec![], body, retry_after_ms: None };
                let read = read(&reply, Command::CreateOrder);
                assert_eq!(read.map(|answer| answer.code).map_err(|fault| fault.class), code, "{name}.{ending}");
            }
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let body = format!(r#"{{"status":"ERROR","errorCode":7,"errorMsg":"{}"}}"#, "\u{44f}".repeat(2 * MAX_TEXT));
        let fault = read(&reply(200, &body), Command::GetOrders).unwrap_err();
        assert!(fault.staff.ends_with("\u{44f}…") && fault.staff.chars().count() < 2 * MAX_TEXT, "{fault}");
    }

    #[test]
    fn reads_wait_for_nothing() {
        let answer = read(&reply(200, r#"{"status":"SUCCESS","errorCode":31}"#), Command::GetOrders).unwrap();
        assert_eq!(answer.pending(Command::GetOrders), None);
        assert!(answer.pending(Command::RenewOrder).unwrap().contains("31"));
    }
}
