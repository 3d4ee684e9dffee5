//! What a panel of the next generation says: JSON below `/api`, and its web page wherever else somebody knocks.

use serde_json::json;

use crate::panel::{Answer, Body, Place, Request};

/// Every address is one.
pub(super) fn place(request: &Request) -> Place {
    let path = request.target.split('?').next().unwrap_or_default();
    Place { path: path.to_owned(), is_read: true }
}

/// Nobody has a token.
pub(super) fn answer(request: &Request) -> Answer {
    let path = request.target.split('?').next().unwrap_or_default();
    if path.starts_with("/api/") {
        let error = json!({ "code": 3004, "msg": "Authentication required", "value": {} });
        return Answer::json(401, json!({ "error": error }));
    }
    let page = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>DCImanager 6</title>\
                <script type=\"module\" src=\"/main.js\"></script></head><body><app-root></app-root></body></html>\n";
    Answer { status: 200, headers: Vec::new(), body: Body::Html(page.to_owned()) }
}
