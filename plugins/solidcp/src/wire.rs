//! SOAP as the Enterprise Server speaks it: how an operation is asked, and where its result stands.

use crate::codes;
use billhook_plugin_api::{Fault, FaultClass, Reply, Request};
use billhook_soap::{Answer, CONTENT_TYPE, Content, Limits, Node, ReadError, Tree, literal, soap_action};

/// The namespace of the services that are used here. Operations are named below it.
const NAMESPACE: &str = "http://smbsaas/solidcp/enterpriseserver";
const ACTION_BASE: &str = "http://smbsaas/solidcp/enterpriseserver/";

/// The services of the panel.
pub const USERS: &str = "esUsers";
pub const PACKAGES: &str = "esPackages";
pub const SERVERS: &str = "esServers";
pub const TASKS: &str = "esTasks";
pub const MACHINES: &str = "esVirtualizationServer2012";
pub const AUTHENTICATION: &str = "esAuthentication";

/// What a call writes between the tags of its operation.
pub type Params<'a> = &'a dyn Fn(&mut Content<'_>);

/// A call that changes something.
///
/// # Errors
///
/// `invalid_input` for a value that XML cannot carry; it is not quoted.
pub fn change(service: &str, operation: &str, params: Params<'_>) -> Result<Request, Fault> {
    let body = literal(NAMESPACE, operation, |content| params(content))
        .map_err(|error| Fault::invalid_input(error.to_string()))?;
    Ok(Request::post(format!("/{service}.asmx"))
        .header("SOAPAction", soap_action(ACTION_BASE, operation))
        .body(CONTENT_TYPE, body.into_bytes()))
}

/// A call that reads.
pub fn read(service: &str, operation: &str, params: Params<'_>) -> Result<Request, Fault> {
    Ok(change(service, operation, params)?.reading())
}

/// The answer as a tree.
///
/// # Errors
///
/// What the HTTP status says; `in_doubt` for what is no SOAP, since something else than the panel may have answered.
pub fn tree<'r>(reply: &'r Reply, operation: &str) -> Result<Tree<'r>, Fault> {
    let status = reply.status;
    let fault = match status {
        200 | 500 => {
            return Limits::default()
                .read(reply.header("content-type"), &reply.body)
                .map_err(|error| untrusted(operation, status, &error.to_string()));
        }
        401 => Fault::new(
            FaultClass::Auth,
            "the panel does not accept login and password; a password with a colon or with letters beyond ASCII is \
             accepted as the Base64 form of its SHA-1 only",
        )
        .refused(),
        404 => untrusted(
            operation,
            status,
            "the Enterprise Server is not at this address, or it is SolidCP 2.x: `test` tells which",
        ),
        503 => {
            Fault::new(FaultClass::ConflictBusy, format!("the Enterprise Server is starting or stopped ({operation})"))
        }
        _ => untrusted(operation, status, "that is the answer of something else than the Enterprise Server"),
    };
    Err(fault.with_code(status.to_string()).retry_after_ms(reply.retry_after_ms))
}

/// The result; `None` where it is null, which for a thing that was asked for means "not found or not visible".
pub fn result<'t>(tree: &'t Tree<'_>, operation: &str) -> Result<Option<Node<'t>>, Fault> {
    match billhook_soap::answer(tree, operation) {
        Ok(Answer::Response(response)) => Ok(response.holder().map_err(misread)?.find(&format!("{operation}Result"))),
        Ok(Answer::Fault(fault)) => Err(codes::of_fault(operation, &fault.text)),
        Err(error) => Err(untrusted(operation, 200, &error.to_string())),
    }
}

/// A result that holds elements; `None` where it is null. A text in their place is no empty one.
pub fn object<'t>(tree: &'t Tree<'_>, operation: &str) -> Result<Option<Node<'t>>, Fault> {
    result(tree, operation)?.map(Node::holder).transpose().map_err(misread)
}

/// The rows of this name in a result, or in the list of that name within it; none where either is null.
pub fn list<'t>(
    tree: &'t Tree<'_>,
    operation: &str,
    within: Option<&str>,
    row: &'t str,
) -> Result<Vec<Node<'t>>, Fault> {
    let result = object(tree, operation)?;
    let list = match within {
        Some(name) => result.and_then(|page| page.find(name)).map(Node::holder).transpose().map_err(misread)?,
        None => result,
    };
    Ok(list.map(|list| list.all(row).collect()).unwrap_or_default())
}

/// The result of an operation that always has one.
pub fn some<'t>(tree: &'t Tree<'_>, operation: &str) -> Result<Node<'t>, Fault> {
    result(tree, operation)?.ok_or_else(|| Fault::panel_bug(format!("the panel's answer to {operation} has no result")))
}

/// A number; one below zero is an error of the table.
pub fn number(reply: &Reply, operation: &str) -> Result<i64, Fault> {
    let tree = tree(reply, operation)?;
    let code = some(&tree, operation)?.i64().map_err(misread)?;
    if code < 0 { Err(codes::of_number(operation, code)) } else { Ok(code) }
}

/// What an operation did that answers with a result object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The id of what was made, for an operation that makes something.
    pub value: i64,
    /// Codes that came with a success.
    pub codes: Vec<String>,
}

/// A result object. Only `IsSuccess` decides: a success may carry codes that look like errors.
pub fn outcome(reply: &Reply, operation: &str) -> Result<Outcome, Fault> {
    let tree = tree(reply, operation)?;
    let result = some(&tree, operation)?;
    let list = result.find("ErrorCodes");
    let texts: Vec<&str> =
        list.iter().flat_map(|list| list.all("string")).map(|code| code.text().unwrap_or_default()).collect();
    if !result.child("IsSuccess").and_then(Node::bool).map_err(misread)? {
        return Err(codes::of_words(operation, texts));
    }
    let value = result.find("Value").map_or(Ok(0), Node::i64).map_err(misread)?;
    Ok(Outcome { value, codes: texts.into_iter().map(|code| codes::cut(code).to_owned()).collect() })
}

/// The rows of a DataSet.
pub fn rows<'t>(tree: &'t Tree<'_>, operation: &str) -> Result<Vec<Node<'t>>, Fault> {
    match result(tree, operation)? {
        Some(set) => billhook_soap::rows(set, "Table").map_err(misread),
        None => Ok(Vec::new()),
    }
}

/// A whole number that must be there.
pub fn int(node: Node<'_>, name: &str) -> Result<i64, Fault> {
    node.child(name).and_then(Node::i64).map_err(misread)
}

/// A whole number, or 0 where the panel leaves it out.
pub fn int_or_zero(node: Node<'_>, name: &str) -> Result<i64, Fault> {
    node.find(name).map_or(Ok(0), Node::i64).map_err(misread)
}

/// A text, or nothing where the panel leaves it out.
pub fn text(node: Node<'_>, name: &str) -> Result<String, Fault> {
    Ok(node.find(name).map_or(Ok(""), Node::text).map_err(misread)?.to_owned())
}

/// A flag, off where the panel leaves it out.
pub fn flag(node: Node<'_>, name: &str) -> Result<bool, Fault> {
    node.find(name).map_or(Ok(false), Node::bool).map_err(misread)
}

/// Writes an element again as it was read, with all that it holds, also what this version of the plugin does not know.
/// What is null is left out. `edit` may write an element by itself; then it says `true`.
pub fn copy(to: &mut Content<'_>, node: Node<'_>, edit: &dyn Fn(&mut Content<'_>, &str) -> bool) {
    for child in node.children().filter(|child| !child.is_nil()) {
        let name = child.name();
        if edit(to, name) {
            continue;
        }
        match child.text() {
            Ok(value) => to.text(name, value),
            Err(_) => to.element(name, |inner| copy(inner, child, &|_, _| false)),
        };
    }
}

/// An answer of the panel that is not as its contract has it.
pub fn misread(error: ReadError) -> Fault {
    Fault::panel_bug(format!("the panel's answer cannot be used: {error}"))
}

/// An answer whose author is not known: the call may have been carried out.
fn untrusted(operation: &str, status: u16, why: &str) -> Fault {
    Fault::new(FaultClass::InDoubt, format!("the answer to {operation} ({status}) is not the panel's: {why}"))
        .with_code(status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{envelope, replied};

    fn class<T: std::fmt::Debug>(read: Result<T, Fault>) -> (FaultClass, bool) {
        let fault = read.unwrap_err();
        (fault.class, fault.refused)
    }

    #[test]
    fn a_status_that_is_no_answer_is_told_apart() {
        use FaultClass::{Auth, ConflictBusy, InDoubt};
        for (status, expected) in [
            (401, (Auth, true)),
            (404, (InDoubt, false)),
            (503, (ConflictBusy, false)),
            (502, (InDoubt, false)),
            (302, (InDoubt, false)),
            (200, (InDoubt, false)),
            (500, (InDoubt, false)),
        ] {
            assert_eq!(class(number(&replied(status, "<html><body>x</body></html>"), "AddUser")), expected, "{status}");
        }
        assert_eq!(class(number(&replied(200, ""), "AddUser")), (InDoubt, false));
    }

    #[test]
    fn the_answer_to_another_operation_is_none() {
        let reply = replied(200, &envelope("GetUsers", "<GetUsersResult>1</GetUsersResult>"));
        assert_eq!(class(number(&reply, "AddUser")), (FaultClass::InDoubt, false));
        let empty = replied(200, &envelope("AddUser", ""));
        assert_eq!(class(number(&empty, "AddUser")), (FaultClass::PanelBug, false));
    }

    #[test]
    fn only_is_success_decides() {
        let says = |success: &str, codes: &str| {
            let result = format!(
                "<OpResult><IsSuccess>{success}</IsSuccess><ErrorCodes>{codes}</ErrorCodes><Value>7</Value></OpResult>"
            );
            outcome(&replied(200, &envelope("Op", &result)), "Op")
        };
        let started = says("true", "<string>VPS_JOB_START_ERROR:JobStarted</string>").unwrap();
        assert_eq!((started.value, started.codes), (7, vec!["VPS_JOB_START_ERROR".to_owned()]));
        assert_eq!(class(says("false", "<string>ERROR_PACKAGE_SUSPENDED</string>")), (FaultClass::InvalidInput, true));
        assert_eq!(class(says("false", "")), (FaultClass::PanelBug, false));
        assert_eq!(class(says("maybe", "")), (FaultClass::PanelBug, false));
    }

    #[test]
    fn what_is_copied_keeps_what_nobody_knows() {
        let body = "<R xmlns='urn:x'><A>1 &amp; 2</A><New><int>1</int><int>2</int></New><B/></R>";
        let tree = Limits::default().read(None, body.as_bytes()).unwrap();
        let request = change(USERS, "Op", &|to| {
            copy(to, tree.root(), &|to, name| {
                name == "B" && {
                    to.int("B", 9);
                    true
                }
            });
        })
        .unwrap();
        let sent = String::from_utf8(request.body).unwrap();
        assert!(sent.contains("<A>1 &amp; 2</A><New><int>1</int><int>2</int></New><B>9</B></Op>"), "{sent}");
    }
}
