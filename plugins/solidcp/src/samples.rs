//! Answers for the tests of readers.

use billhook_plugin_api::Reply;
use std::path::PathBuf;

/// An answer of the panel.
pub fn replied(status: u16, body: &str) -> Reply {
    let headers = vec![("Content-Type".to_owned(), "text/xml; charset=utf-8".to_owned())];
    Reply { status, headers, body: body.as_bytes().to_vec(), retry_after_ms: None }
}

/// The envelope of an answer to `operation`, with the headers that the panel adds and nobody asked for.
pub fn envelope(operation: &str, inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soap:Header><wsa:Action xmlns:wsa=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\">x</wsa:Action></soap:Header>\
         <soap:Body><{operation}Response xmlns=\"http://smbsaas/solidcp/enterpriseserver\">{inner}</{operation}Response>\
         </soap:Body></soap:Envelope>"
    )
}

/// An example message of the panel's contract; `None`, said out loud, where the contract is not beside this checkout.
pub fn example(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contracts/solidcp/examples").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("NOT COMPARED: {} cannot be read: {error}", path.display());
            None
        }
    }
}

/// The body of a request, without what stands between its elements.
pub fn squeezed(text: &str) -> String {
    let body = text.split_once("Body>").map_or(text, |(_, rest)| rest);
    let body = body.split_once("</soap:Body").map_or(body, |(inner, _)| inner);
    let lines: String = body.lines().map(str::trim).collect();
    lines.replace(" />", "/>")
}
