//! The response or the fault in an envelope.

use crate::ENVELOPE;
use crate::error::ReadError;
use crate::tree::{Node, Tree};

/// The namespace of SOAP 1.2 envelopes, which some servers answer with whatever they were asked.
const ENVELOPE_12: &str = "http://www.w3.org/2003/05/soap-envelope";

/// Longest text of a fault.
const MAX_TEXT: usize = 2_000;

/// What an envelope holds.
#[derive(Debug, Clone)]
pub enum Answer<'t> {
    /// `<findResponse>`, around the result.
    Response(Node<'t>),
    /// The operation failed.
    Fault(Fault),
}

/// A SOAP fault, in the service's words. Texts are cut at 2000 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// The code without its prefix: `Server`, `Client.Authentication`.
    pub code: String,
    /// What happened.
    pub text: String,
    /// The texts within `detail`, one after the other.
    pub detail: Option<String>,
}

/// Finds the answer to `operation`. Headers are passed over.
///
/// # Errors
///
/// [`ReadError::NotSoap`], also for the response of another operation.
pub fn answer<'t>(tree: &'t Tree<'_>, operation: &str) -> Result<Answer<'t>, ReadError> {
    let root: Node<'t> = tree.root();
    let namespace = root.namespace();
    if root.name() != "Envelope" || ![ENVELOPE, ENVELOPE_12].contains(&namespace) {
        return Err(ReadError::NotSoap(format!("it begins with {}", root.path())));
    }
    let body = root.children().find(|child| child.is(namespace, "Body"));
    let body = body.ok_or_else(|| ReadError::NotSoap("it has no Body".into()))?;
    let Some(first) = body.children().next() else {
        return Err(ReadError::NotSoap("its Body is empty".into()));
    };
    if first.is(namespace, "Fault") {
        return Ok(Answer::Fault(fault(first)));
    }
    if first.name().strip_suffix("Response") != Some(operation) {
        return Err(ReadError::NotSoap(format!("it has {} where {operation}Response should be", first.path())));
    }
    Ok(Answer::Response(first))
}

/// A fault is read leniently: whatever it lacks, the operation has failed.
fn fault(node: Node<'_>) -> Fault {
    let text = |node: Option<Node<'_>>| node.map(gathered).unwrap_or_default();
    let code = text(node.find("faultcode").or_else(|| node.find("Code").and_then(|code| code.find("Value"))));
    Fault {
        code: code.rsplit(':').next().unwrap_or_default().trim().to_owned(),
        text: text(node.find("faultstring").or_else(|| node.find("Reason"))),
        detail: node.find("detail").or_else(|| node.find("Detail")).map(gathered).filter(|detail| !detail.is_empty()),
    }
}

/// All text within an element, cut. As deep as the reader went, which has a limit.
fn gathered(node: Node<'_>) -> String {
    fn gather(node: Node<'_>, out: &mut String) {
        if out.len() > 4 * MAX_TEXT {
            return;
        }
        if let Ok(text) = node.text().map(str::trim)
            && !text.is_empty()
        {
            if !out.is_empty() {
                out.push(' ');
            }
            out.extend(text.chars().take(MAX_TEXT));
        }
        node.children().for_each(|child| gather(child, out));
    }
    let mut out = String::new();
    gather(node, &mut out);
    match out.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => out[..end].to_owned(),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn read(body: &str) -> Result<Result<String, Fault>, ReadError> {
        let tree = Limits::default().read(None, body.as_bytes())?;
        Ok(match answer(&tree, "find")? {
            Answer::Response(node) => Ok(node.path()),
            Answer::Fault(fault) => Err(fault),
        })
    }

    fn envelope(body: &str) -> String {
        format!(
            "<?xml version='1.0'?><s:Envelope xmlns:s='{ENVELOPE}'><s:Header><a/></s:Header>\
             <s:Body>{body}</s:Body></s:Envelope>"
        )
    }

    #[test]
    fn the_response_is_that_of_the_operation() {
        let found = read(&envelope("<x:findResponse xmlns:x='urn:x'/>")).unwrap();
        assert_eq!(found, Ok("Envelope/Body/findResponse".to_owned()));
        for (body, said) in [
            (envelope("<lostResponse/>"), "lostResponse where findResponse should be"),
            (envelope("<find/>"), "Body/find where"),
            (envelope(""), "Body is empty"),
            (format!("<Envelope xmlns='{ENVELOPE}'/>"), "no Body"),
            ("<Envelope><Body><findResponse/></Body></Envelope>".into(), "begins with Envelope"),
            ("<html><body>It works</body></html>".into(), "begins with html"),
        ] {
            let error = read(&body).unwrap_err();
            assert!(matches!(error, ReadError::NotSoap(_)) && error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn a_fault_says_what_it_has_to_say() {
        let whole = "<s:Fault><faultcode>s:Server.Busy</faultcode><faultstring> no\n</faultstring><faultactor/>\
                     <detail><e><code>7</code><text>why</text></e></detail></s:Fault>";
        let fault = read(&envelope(whole)).unwrap().unwrap_err();
        assert_eq!(fault, Fault { code: "Server.Busy".into(), text: "no".into(), detail: Some("7 why".into()) });
        assert_eq!(read(&envelope("<s:Fault/>")).unwrap(), Err(Fault::default()));
        let newer = format!(
            "<s:Envelope xmlns:s='{ENVELOPE_12}'><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>\
             <s:Reason><s:Text xml:lang='en'>no</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"
        );
        let fault = read(&newer).unwrap().unwrap_err();
        assert_eq!((fault.code.as_str(), fault.text.as_str()), ("Sender", "no"));
        let long = envelope(&format!("<s:Fault><faultstring>{}</faultstring></s:Fault>", "ü".repeat(9_000)));
        assert_eq!(read(&long).unwrap().unwrap_err().text.chars().count(), MAX_TEXT);
    }
}
