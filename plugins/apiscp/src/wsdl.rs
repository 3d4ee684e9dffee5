//! The panel's own description of its operations, which `test` holds against ours.
//!
//! The names of parts are known from documentation and not from the vendor's file, and they matter: where some of a call's names
//! fit and others do not, PHP takes null for the others.

use crate::api;
use crate::call::API;
use billhook_soap::{Node, Tree};

/// Each operation with its parts, as `api` sends them.
pub const OPERATIONS: &[(&str, &[&str])] = &[
    (api::ADD, &["domain", "admin", "opts", "flags"]),
    (api::EDIT, &["site", "opts", "flags"]),
    (api::DELETE, &["site", "flags"]),
    (api::SUSPEND, &["site", "flags"]),
    (api::ACTIVATE, &["site"]),
    (api::COLLECT, &["params", "query", "sites"]),
    (api::USAGE, &["field", "sites"]),
    (api::PLAN, &["plan"]),
    (api::SITE_ID, &["domain"]),
    (api::HIJACK, &["site", "user", "gate"]),
    (api::PASSWORD, &["password", "user", "domain"]),
    (api::VERSION, &["field"]),
    (api::IS_BANNED, &["ip", "jail"]),
    (api::UNBAN, &["ip", "jail"]),
    (api::PLANS, &[]),
    (api::WHOAMI, &[]),
    (api::IS_INACTIVE, &[]),
    (api::REASON, &[]),
];

/// Operations that are used now and then, and that a panel may be without.
const OPTIONAL: &[&str] = &[api::IS_BANNED, api::UNBAN, api::VERSION];

/// Where the description differs from what we send. Nothing, if it does not.
///
/// A part of ours that the panel does not name is left out by it, which is as it should be for flags that an older version
/// does not have. A part of the panel's that we do not send may be one that can be left out, and is told.
pub fn differences(tree: &Tree<'_>) -> Vec<String> {
    let root = tree.root();
    if root.name() != "definitions" {
        return vec![format!("this is no WSDL: it begins with {}", root.path())];
    }
    let mut told = Vec::new();
    for (operation, ours) in OPERATIONS {
        let Some(parts) = parts_of(root, operation) else {
            if !OPTIONAL.contains(operation) {
                told.push(format!("the panel does not have {operation}"));
            }
            continue;
        };
        let lacks = |has: &[&str], wants: &[&str]| wants.iter().any(|want| !has.contains(want));
        let known: Vec<&str> = ours.iter().copied().filter(|part| *part != "flags").collect();
        if lacks(ours, &parts) || lacks(&parts, &known) {
            told.push(format!("{operation} takes ({}), and is sent ({})", parts.join(", "), ours.join(", ")));
        }
    }
    if let Some(other) = body_namespaces(root).into_iter().find(|namespace| *namespace != API) {
        told.push(format!("operations are in the namespace {other}, and are sent in {API}"));
    }
    told
}

/// The names of an operation's parts. A message is called after its operation, as PHP's tools do it, or named by the operation.
fn parts_of<'t>(root: Node<'t>, operation: &str) -> Option<Vec<&'t str>> {
    let named = root
        .all("portType")
        .flat_map(|port| port.all("operation"))
        .find(|found| found.attribute("", "name") == Some(operation))?;
    let message = named.find("input")?.attribute("", "message")?;
    let message = message.rsplit(':').next().unwrap_or_default();
    let found = root.all("message").find(|found| found.attribute("", "name") == Some(message))?;
    Some(found.all("part").filter_map(|part| part.attribute("", "name")).collect())
}

/// The namespaces of the bodies of requests.
fn body_namespaces(root: Node<'_>) -> Vec<&str> {
    let inputs =
        root.all("binding").flat_map(|binding| binding.all("operation")).filter_map(|found| found.find("input"));
    inputs.filter_map(|input| input.find("body")?.attribute("", "namespace")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use billhook_soap::Limits;

    fn wsdl(change: impl Fn(&str, &[&str]) -> Option<Vec<String>>, namespace: &str) -> String {
        let (mut messages, mut ports, mut bindings) = (String::new(), String::new(), String::new());
        for (operation, parts) in OPERATIONS {
            let Some(parts) = change(operation, parts) else { continue };
            let parts: String = parts.iter().map(|part| format!("<part name='{part}' type='x:string'/>")).collect();
            messages.push_str(&format!("<message name='{operation}In'>{parts}</message>"));
            ports.push_str(&format!("<operation name='{operation}'><input message='t:{operation}In'/></operation>"));
            bindings.push_str(&format!(
                "<operation name='{operation}'><input><s:body namespace='{namespace}'/></input></operation>"
            ));
        }
        format!(
            "<definitions xmlns='http://schemas.xmlsoap.org/wsdl/' xmlns:s='u' xmlns:t='t'>{messages}<portType>{ports}</portType>\
             <binding>{bindings}</binding></definitions>"
        )
    }

    fn told(text: &str) -> Vec<String> {
        differences(&Limits::default().read(None, text.as_bytes()).unwrap())
    }

    fn same(parts: &[&str]) -> Option<Vec<String>> {
        Some(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    #[test]
    fn a_panel_that_takes_what_we_send_is_fine() {
        assert!(told(&wsdl(|_, parts| same(parts), API)).is_empty());
        let old =
            wsdl(|_, parts| same(&parts.iter().copied().filter(|part| *part != "flags").collect::<Vec<_>>()), API);
        assert!(told(&old).is_empty(), "{:?}", told(&old));
        assert!(
            told(&wsdl(|operation, parts| (operation != api::UNBAN).then(|| same(parts)).flatten(), API)).is_empty()
        );
    }

    #[test]
    fn a_difference_is_told_in_words() {
        let renamed =
            wsdl(|operation, parts| if operation == api::ACTIVATE { same(&["id"]) } else { same(parts) }, API);
        assert_eq!(told(&renamed), ["admin_activate_site takes (id), and is sent (site)"]);
        let missing = wsdl(|operation, parts| (operation != api::COLLECT).then(|| same(parts)).flatten(), API);
        assert_eq!(told(&missing), ["the panel does not have admin_collect"]);
        assert_eq!(
            told(&wsdl(|_, parts| same(parts), "urn:other")),
            ["operations are in the namespace urn:other, and are sent in urn:net.apnscp.api"]
        );
        assert_eq!(told("<html/>"), ["this is no WSDL: it begins with html"]);
    }
}
