use crate::fault::{Fault, FaultClass};
use crate::place::Misfit;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One request to the panel, named by a path below the server's base URL.
///
/// The host adds scheme, host, credentials of the manifest's scheme, and the time limits of the server. It refuses a
/// path that could leave the base URL (`//`, backslash, `..`, control characters) and headers that are its own
/// (`Host`, `Authorization`, `Cookie`, lengths), each as `plugin_bug`, before anything is sent. Cookies have a place of
/// their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Begins with `/`; segments that hold data must be encoded, see [`segment`].
    pub path: String,
    /// Encoded by the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// Beyond those that the host sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Cookies of this one request; the host keeps none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<(String, String)>,
    /// Travels beside the JSON head as raw bytes.
    #[serde(skip)]
    pub body: Vec<u8>,
    /// Paths in the request's body whose values are secret: `password`, `data.items[].token`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_secrets: Vec<String>,
    /// Paths in the reply whose values are secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reply_secrets: Vec<String>,
    /// Uses the server's time limit for making things, which is longer than that for reading.
    #[serde(default)]
    pub slow: bool,
    /// A call that reads although its method is not `GET` or `HEAD`, as with SOAP.
    #[serde(default)]
    pub reads: bool,
}

impl Request {
    /// A request without body.
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            cookies: Vec::new(),
            body: Vec::new(),
            request_secrets: Vec::new(),
            reply_secrets: Vec::new(),
            slow: false,
            reads: false,
        }
    }

    /// A read.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// A `POST`.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// A `PUT`.
    pub fn put(path: impl Into<String>) -> Self {
        Self::new("PUT", path)
    }

    /// A `DELETE`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a cookie, such as the session that a [`Cx::sign_in`](crate::Cx::sign_in) opened.
    ///
    /// It goes out with this request and no other, so that no call acts for the session's owner unless it says so. In the log it is masked.
    #[must_use]
    pub fn cookie(mut self, name: &str, value: impl Into<String>) -> Self {
        self.cookies.push((name.to_owned(), value.into()));
        self
    }

    /// Sets a JSON body with its content type.
    #[must_use]
    pub fn json(self, body: &impl Serialize) -> Self {
        // A plugin's own body types hold no maps with keys that JSON lacks, the one way in which this could fail.
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        self.body("application/json", bytes)
    }

    /// Sets a raw body with its content type.
    #[must_use]
    pub fn body(mut self, content_type: &str, bytes: Vec<u8>) -> Self {
        self.body = bytes;
        self.header("Content-Type", content_type)
    }

    /// Declares a secret in this request's body.
    #[must_use]
    pub fn secret(mut self, path: &str) -> Self {
        self.request_secrets.push(path.to_owned());
        self
    }

    /// Declares a secret in the reply.
    #[must_use]
    pub fn reply_secret(mut self, path: &str) -> Self {
        self.reply_secrets.push(path.to_owned());
        self
    }

    /// Takes the server's longer time limit.
    #[must_use]
    pub fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// Declares that this call only reads.
    #[must_use]
    pub fn reading(mut self) -> Self {
        self.reads = true;
        self
    }

    /// Whether the call is declared or known to change nothing.
    pub fn is_read(&self) -> bool {
        self.reads || self.method == "GET" || self.method == "HEAD"
    }
}

/// Encodes one path segment, so that data can never add segments or a query.
pub fn segment(data: &str) -> String {
    let mut out = String::with_capacity(data.len());
    for byte in data.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // A lone dot segment has a meaning of its own in paths.
            b'.' if data != "." && data != ".." => out.push('.'),
            other => {
                const HEX: [u8; 16] = *b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(HEX[usize::from(other >> 4)]));
                out.push(char::from(HEX[usize::from(other & 15)]));
            }
        }
    }
    out
}

/// What the panel answered. A redirect is an answer too; it is never followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// In the order received.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Decompressed. Travels beside the JSON head as raw bytes.
    #[serde(skip)]
    pub body: Vec<u8>,
    /// `Retry-After` as the host read it (seconds or date, capped), in milliseconds.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

impl Reply {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether the content type is JSON.
    pub fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            kind == "application/json" || kind.ends_with("+json")
        })
    }

    /// Reads a JSON body.
    ///
    /// # Errors
    ///
    /// `panel_bug`, naming the path of the first member that does not fit; never quoting a value.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let place = Misfit::of(&self.body, &error);
            let kind = match error.classify() {
                serde_json::error::Category::Eof => "ends too early",
                serde_json::error::Category::Syntax => "is not JSON",
                _ => "has a member that is missing or of another type",
            };
            Fault::new(
                FaultClass::PanelBug,
                format!("the panel's answer ({}) {kind}, at {place}, line {}", self.status, error.line()),
            )
            .with_code(self.status.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_its_segment() {
        for (data, expected) in
            [("7", "7"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("x?y#z", "x%3Fy%23z"), ("ü", "%C3%BC"), ("a.b", "a.b")]
        {
            assert_eq!(segment(data), expected);
        }
    }

    #[test]
    fn an_unreadable_answer_names_the_place_and_no_value() {
        #[derive(Debug, Deserialize)]
        struct Data {
            #[expect(dead_code, reason = "read by serde alone")]
            id: u64,
        }
        let reply =
            Reply { status: 200, headers: vec![], body: br#"{"id":"secret-text"}"#.to_vec(), retry_after_ms: None };

        let fault = reply.json::<Data>().unwrap_err();

        assert_eq!(fault.class, FaultClass::PanelBug);
        assert!(fault.staff.contains("at id"), "{fault}");
        assert!(!fault.staff.contains("secret-text"), "{fault}");
    }
}
