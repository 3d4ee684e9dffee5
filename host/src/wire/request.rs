//! What a caller wants sent.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use zeroize::Zeroizing;

/// One request to a panel, below its base URL.
///
/// `Debug` shows method, path and sizes; header values, the query and the body may hold secrets and are left out.
#[derive(Clone)]
pub struct Request {
    /// Any method but `CONNECT` and `TRACE`.
    pub method: Method,
    /// Below the base URL: starts with `/`, **already percent-encoded**, no query. Empty means the base URL itself.
    ///
    /// The caller encodes because only it knows which slashes separate segments and which belong to a name.
    pub path: String,
    /// Query parameters, raw and in order; the wire encodes them as a form does (`+` for a space).
    pub query: Vec<(String, String)>,
    /// Headers, in order. What routes, frames or authorises is refused:
    /// [`Refusal::OwnedHeader`](super::Refusal::OwnedHeader).
    pub headers: Vec<(String, String)>,
    /// Cookies of this request, in order. The wire keeps none of its own.
    pub cookies: Vec<(String, String)>,
    /// The body. `None` sends none; the type of `Some` is the caller's to name in `content-type`.
    pub body: Option<Bytes>,
    /// How the request is authorised. The only way to send an `Authorization` header.
    pub auth: Option<Auth>,
    /// From the call of `send` to the last byte of the body.
    pub timeout: Duration,
}

impl Request {
    /// A request without query, headers, body or credentials, and with a time-out of 30 s.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            cookies: Vec::new(),
            body: None,
            auth: None,
            timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query_len", &self.query.len())
            .field("headers", &names)
            .field("cookies", &self.cookies.len())
            .field("body_len", &self.body.as_ref().map(Bytes::len))
            .field("auth", &self.auth)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Credentials of one request. Wiped from memory when dropped, never shown.
#[derive(Clone)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(Zeroizing<String>),
    /// `Authorization: Basic …`; the user name has no colon.
    Basic(String, Zeroizing<String>),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::Bearer(_) => "Bearer(…)",
            Auth::Basic(..) => "Basic(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_request_holds_no_secret() {
        let mut request = Request::new(Method::POST, "/servers");
        request.query.push(("authkey".into(), "s3cret".into()));
        request.headers.push(("x-api-key".into(), "s3cret".into()));
        request.cookies.push(("session".into(), "s3cret".into()));
        request.body = Some(Bytes::from_static(b"s3cret"));
        for auth in [Auth::Bearer("s3cret".to_owned().into()), Auth::Basic("admin".into(), "s3cret".to_owned().into())]
        {
            request.auth = Some(auth);
            let text = format!("{request:?}");
            assert!(text.contains("/servers") && !text.contains("s3cret"), "{text}");
        }
    }
}
