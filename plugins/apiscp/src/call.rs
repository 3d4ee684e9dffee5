//! One call of the panel: how its request is built and how its answer is opened. Nothing here sends or decides.

use crate::settings::KeyIn;
use crate::{api, fault};
use billhook_plugin_api::{Fault, Reply, Request, Secret};
use billhook_soap::{Answer, Limits, Node, Param, ReadError, Tree};

/// The namespace of an operation.
pub const API: &str = "urn:net.apnscp.api";

/// What comes before the operation's name in `SOAPAction`.
const ACTION: &str = "urn:net.apnscp.soap#";

/// A server with ten thousand sites answers a list of them with some 20 MB.
pub const LIMITS: Limits = Limits { bytes: 32 << 20, depth: 32, nodes: 1_500_000, attributes: 16 };

/// Who calls: the key and where it goes.
pub struct Caller {
    pub key: Secret<String>,
    pub key_in: KeyIn,
}

impl Caller {
    /// The request for the panel's description of its operations. Needs no key, and gets none.
    pub fn description() -> Request {
        Request::get("/apnscp.wsdl")
    }

    /// The request for an operation with its parts. A part is never left out: the panel's methods take null for what is
    /// missing, and fail.
    ///
    /// # Errors
    ///
    /// `invalid_input` for a value with a character that XML cannot carry.
    pub fn request(&self, operation: &'static str, parts: &[(&str, Param)]) -> Result<Request, Fault> {
        let body = billhook_soap::encoded(API, operation, parts)
            .map_err(|error| Fault::invalid_input(error.to_string()).refused())?;
        let request = Request::post("/soap")
            .header("Accept", "text/xml")
            .header("SOAPAction", billhook_soap::soap_action(ACTION, operation))
            // Without it, only the worst errors are told; the others are a mere false.
            .header("Abort-On", "error")
            .body(billhook_soap::CONTENT_TYPE, body.into_bytes());
        let key = self.key.expose().clone();
        Ok(match self.key_in {
            KeyIn::Query => request.query("authkey", key),
            KeyIn::Header => request.header("Auth-Key", key),
        })
    }
}

/// An answer that was opened.
pub struct Opened<'b> {
    tree: Tree<'b>,
    operation: &'static str,
    reply: &'b Reply,
}

/// Opens the answer to an operation.
///
/// # Errors
///
/// What the status says, where there is no envelope in it; what cannot be read.
pub fn open<'b>(reply: &'b Reply, operation: &'static str) -> Result<Opened<'b>, Fault> {
    if let Some(fault) = fault::of_status(reply) {
        return Err(fault);
    }
    let tree = LIMITS.read(reply.header("content-type"), &reply.body).map_err(|e| fault::unreadable(reply, &e))?;
    Ok(Opened { tree, operation, reply })
}

impl Opened<'_> {
    /// What the operation returned; `None` for null.
    ///
    /// # Errors
    ///
    /// The panel's own fault, or an envelope with something else in it.
    pub fn returned(&self) -> Result<Option<Node<'_>>, Fault> {
        match billhook_soap::answer(&self.tree, self.operation) {
            // A fault has 500; a response with it was put there by something else.
            Ok(Answer::Response(_)) if self.reply.status == 500 => {
                Err(self.unreadable(&ReadError::NotSoap("a failure with a response in it".into())))
            }
            Ok(Answer::Response(response)) => Ok(response.find("return")),
            Ok(Answer::Fault(fault)) => Err(fault::of_panel(&fault)),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// The fault of an answer of another shape.
    pub fn unreadable(&self, error: &ReadError) -> Fault {
        fault::unreadable(self.reply, error)
    }
}

/// Reads what an operation returned, unless it is null.
pub fn read<T>(
    reply: &Reply,
    operation: &'static str,
    reader: fn(Node<'_>) -> Result<T, ReadError>,
) -> Result<Option<T>, Fault> {
    let opened = open(reply, operation)?;
    match opened.returned()? {
        Some(node) => reader(node).map(Some).map_err(|error| opened.unreadable(&error)),
        None => Ok(None),
    }
}

/// Passes a change that the panel says it made.
///
/// # Errors
///
/// The panel's fault. Null is `in_doubt`; false is a failure without a word, which may have been made in part.
pub fn accepted(reply: &Reply, operation: &'static str) -> Result<(), Fault> {
    match read(reply, operation, api::boolean)? {
        Some(true) => Ok(()),
        Some(false) => Err(fault::refused_silently(operation)),
        None => Err(fault::null(operation)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billhook_plugin_api::FaultClass;

    fn reply(status: u16, body: &str) -> Reply {
        let headers = vec![("Content-Type".to_owned(), "text/xml; charset=utf-8".to_owned())];
        Reply { status, headers, body: body.as_bytes().to_vec(), retry_after_ms: None }
    }

    fn envelope(inner: &str) -> String {
        format!(
            "<S:Envelope xmlns:S='http://schemas.xmlsoap.org/soap/envelope/' \
             xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'><S:Body>{inner}</S:Body></S:Envelope>"
        )
    }

    fn changed(status: u16, inner: &str) -> Result<(), (FaultClass, bool)> {
        accepted(&reply(status, &envelope(inner)), "op").map_err(|fault| (fault.class, fault.refused))
    }

    #[test]
    fn only_true_is_a_change_that_was_made() {
        for (status, inner, expected) in [
            (200, "<opResponse><return>true</return></opResponse>", Ok(())),
            (200, "<opResponse><return>1</return></opResponse>", Ok(())),
            (200, "<opResponse><return>false</return></opResponse>", Err((FaultClass::PanelBug, false))),
            (200, "<opResponse><return xsi:nil='true'/></opResponse>", Err((FaultClass::InDoubt, false))),
            (200, "<opResponse/>", Err((FaultClass::InDoubt, false))),
            (200, "<opResponse><return>maybe</return></opResponse>", Err((FaultClass::PanelBug, false))),
            (200, "<otherResponse><return>true</return></otherResponse>", Err((FaultClass::InDoubt, false))),
            (500, "<opResponse><return>true</return></opResponse>", Err((FaultClass::InDoubt, false))),
            (
                500,
                "<S:Fault><faultstring>Unknown domain `x'</faultstring></S:Fault>",
                Err((FaultClass::NotFound, true)),
            ),
            (200, "<S:Fault><faultstring>huh</faultstring></S:Fault>", Err((FaultClass::PanelBug, false))),
        ] {
            assert_eq!(changed(status, inner), expected, "{status} {inner}");
        }
        for body in ["", "<html><body>true</body></html>", "<!DOCTYPE html>", "Fatal error: x", "<S:Envelope"] {
            let fault = accepted(&reply(200, body), "op").unwrap_err();
            assert_eq!((fault.class, fault.refused), (FaultClass::InDoubt, false), "{body}");
        }
        assert_eq!(accepted(&reply(401, ""), "op").unwrap_err().class, FaultClass::Auth);
    }

    #[test]
    fn the_key_goes_where_the_setting_says_and_errors_are_asked_for() {
        for (key_in, query, header) in [(KeyIn::Query, Some("k1"), None), (KeyIn::Header, None, Some("k1"))] {
            let caller = Caller { key: Secret::new("k1".to_owned()), key_in };

            let request = caller.request("common_whoami", &[]).unwrap();

            let named = |list: &[(String, String)], name: &str| {
                list.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
            };
            assert_eq!(named(&request.query, "authkey").as_deref(), query);
            assert_eq!(named(&request.headers, "Auth-Key").as_deref(), header);
            assert_eq!(named(&request.headers, "Abort-On").as_deref(), Some("error"));
            assert_eq!(named(&request.headers, "SOAPAction").as_deref(), Some("\"urn:net.apnscp.soap#common_whoami\""));
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/soap"));
            assert!(!request.is_read() && request.cookies.is_empty());
        }
    }

    #[test]
    fn a_password_that_xml_cannot_carry_is_refused_before_anything_is_sent() {
        let caller = Caller { key: Secret::new("k".to_owned()), key_in: KeyIn::Query };
        let fault = caller.request("auth_change_password", &[("password", Param::text("hun\u{1}ter2"))]).unwrap_err();
        assert_eq!(fault.class, FaultClass::InvalidInput);
        assert!(!fault.staff.contains("ter2"), "{fault}");
    }
}
