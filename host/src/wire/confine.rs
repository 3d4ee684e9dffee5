//! Keeps a request below its base URL, and its headers the caller's own.
//!
//! Pure. What a plugin hands over is checked in the form in which it will be sent; nothing is repaired. A path must survive
//! decoding any number of times, since proxies and panels in front of each other decode more than once.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use super::request::{Auth, Request};

/// A request that may leave: everything checked, credentials added.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

/// Checks `request` against `base`, a URL that [`Target::check`](super::Target::check) has passed.
///
/// # Errors
///
/// The first rule broken. Nothing has been sent then, and nothing will be.
pub(super) fn confine(base: &Url, request: &Request) -> Result<Confined, Refusal> {
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::Method);
    }
    let url = url_below(base, &request.path, &request.query)?;
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
    for (name, value) in &request.headers {
        let (name, value) = header(name, value)?;
        headers.append(name, value);
    }
    if !request.cookies.is_empty() {
        headers.insert(COOKIE, cookies(&request.cookies)?);
    }
    if let Some(auth) = &request.auth {
        headers.insert(AUTHORIZATION, authorization(auth)?);
    }
    Ok(Confined { method: request.method.clone(), url, headers })
}

/// The URL of `path` below `base`. `path` is percent-encoded and starts with `/`, or is empty for `base` itself; `query` is raw.
///
/// # Errors
///
/// The first rule of [`Refusal`] that the path breaks.
pub fn url_below(base: &Url, path: &str, query: &[(String, String)]) -> Result<Url, Refusal> {
    check_path(path)?;
    let root = base.path().trim_end_matches('/');
    let joined = if path.is_empty() { base.path().to_owned() } else { format!("{root}{path}") };

    let mut url = base.clone();
    url.set_path(&joined);
    url.set_fragment(None);
    url.set_query(None);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }

    // The rules above already give this; it stands here in case the URL parser knows a rewriting that they do not.
    let is_below = (url.scheme(), url.host(), url.port()) == (base.scheme(), base.host(), base.port())
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == joined
        && (path.is_empty() || url.path().starts_with(&format!("{root}/")));
    if is_below { Ok(url) } else { Err(Refusal::Outside) }
}

fn check_path(path: &str) -> Result<(), Refusal> {
    if path.is_empty() {
        return Ok(());
    }
    let Some(relative) = path.strip_prefix('/') else {
        return Err(Refusal::NotRelative);
    };
    check_characters(relative)?;
    let mut segments = relative.split('/').peekable();
    while let Some(segment) = segments.next() {
        // Only the last one may be empty: a closing slash.
        if segment.is_empty() && segments.peek().is_some() {
            return Err(Refusal::EmptySegment);
        }
        check_segment(segment)?;
    }
    Ok(())
}

/// Lets through what RFC 3986 calls `pchar`, and slashes.
fn check_characters(path: &str) -> Result<(), Refusal> {
    let mut rest = path.chars();
    while let Some(char) = rest.next() {
        match char {
            '/' | ':' | '@' | '-' | '.' | '_' | '~' => {}
            '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' => {}
            '%' => {
                let is_hex = |digit: Option<char>| digit.is_some_and(|d| d.is_ascii_hexdigit());
                if !is_hex(rest.next()) || !is_hex(rest.next()) {
                    return Err(Refusal::NotEncoded);
                }
            }
            '\\' => return Err(Refusal::Backslash),
            '?' => return Err(Refusal::Query),
            '#' => return Err(Refusal::Fragment),
            char if char.is_ascii_alphanumeric() => {}
            char if char.is_control() => return Err(Refusal::Control),
            _ => return Err(Refusal::NotEncoded),
        }
    }
    Ok(())
}

/// Looks at a segment as it is and after each decoding, until decoding changes nothing.
fn check_segment(segment: &str) -> Result<(), Refusal> {
    let mut text = segment.to_owned();
    loop {
        if text.contains('/') {
            return Err(Refusal::EncodedSlash);
        }
        if text.contains('\\') {
            return Err(Refusal::Backslash);
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::Control);
        }
        // `..;x` and `.. ` are `..` to some servlet containers and to Windows.
        let name = text.split(';').next().unwrap_or_default().trim();
        if !name.is_empty() && name.bytes().all(|byte| byte == b'.') {
            return Err(Refusal::DotSegment);
        }
        // Not UTF-8 after decoding: the overlong forms of dot and slash are among these.
        let decoded = percent_decode_str(&text).decode_utf8().map_err(|_| Refusal::NotUtf8)?.into_owned();
        // Each decoding shortens the text or leaves it alone, so this ends.
        if decoded == text {
            return Ok(());
        }
        text = decoded;
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Refusal> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Refusal::HeaderName)?;
    if is_owned_by_the_wire(name.as_str()) {
        return Err(Refusal::OwnedHeader(name.as_str().to_owned()));
    }
    let value = HeaderValue::from_str(value).map_err(|_| Refusal::HeaderValue(name.as_str().to_owned()))?;
    Ok((name, value))
}

/// Headers that route, frame or authorise a request. `name` is in lower case.
fn is_owned_by_the_wire(name: &str) -> bool {
    // Gateways in the CGI tradition cannot tell the two characters apart.
    let name = name.replace('_', "-");
    name.starts_with("proxy-")
        || matches!(
            name.as_str(),
            "host"
                | "content-length"
                | "transfer-encoding"
                | "connection"
                | "keep-alive"
                | "te"
                | "trailer"
                | "upgrade"
                | "expect"
                | "cookie"
                | "authorization"
        )
}

/// The header of cookies. Nothing is encoded: a cookie means what it says, and what cannot stand in one is refused.
fn cookies(cookies: &[(String, String)]) -> Result<HeaderValue, Refusal> {
    let mut text = Zeroizing::new(String::new());
    for (name, value) in cookies {
        let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok();
        let is_value = value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\'));
        if !is_name || !is_value {
            return Err(Refusal::Cookie);
        }
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    let mut value = HeaderValue::from_str(&text).map_err(|_| Refusal::Cookie)?;
    value.set_sensitive(true);
    Ok(value)
}

fn authorization(auth: &Auth) -> Result<HeaderValue, Refusal> {
    let text = match auth {
        Auth::Bearer(secret) => Zeroizing::new(format!("Bearer {}", secret.as_str())),
        Auth::Basic(user, _) if user.contains(':') => return Err(Refusal::Credential),
        Auth::Basic(user, secret) => {
            let pair = Zeroizing::new(format!("{user}:{}", secret.as_str()));
            let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
            Zeroizing::new(format!("Basic {}", encoded.as_str()))
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| Refusal::Credential)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Why a request was not sent: a mistake of the plugin or, for [`Credential`](Refusal::Credential), of a setting.
///
/// The texts hold neither path nor value, since either may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `CONNECT` or `TRACE`.
    #[error("the methods CONNECT and TRACE are not sent")]
    Method,
    /// A whole URL, or a path without its slash.
    #[error("the path must start with '/' and lie below base_url")]
    NotRelative,
    /// `//` within the path.
    #[error("the path holds an empty segment")]
    EmptySegment,
    /// `.` or `..`, plain or encoded.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// `%2f`.
    #[error("the path holds an encoded slash")]
    EncodedSlash,
    /// `\`, plain or encoded.
    #[error("the path holds a backslash")]
    Backslash,
    /// A control character, plain or encoded.
    #[error("the path holds a control character")]
    Control,
    /// `?`.
    #[error("the path holds a query; name the parameters in query instead")]
    Query,
    /// `#`.
    #[error("the path holds a fragment")]
    Fragment,
    /// A character that has to be percent-encoded, or half an encoding.
    #[error("the path is not percent-encoded")]
    NotEncoded,
    /// Encoded bytes that are no text.
    #[error("the path does not decode to UTF-8")]
    NotUtf8,
    /// The joined URL is not below the base URL.
    #[error("the path leads out of base_url")]
    Outside,
    /// Not a header name.
    #[error("a header has no valid name")]
    HeaderName,
    /// Line breaks and the like, or text beyond ASCII.
    #[error("the value of header {0} holds a character that no header can carry")]
    HeaderValue(String),
    /// A header that the wire sets itself or never sends.
    #[error("header {0} is not the plugin's to set")]
    OwnedHeader(String),
    /// A name that is no token, a value with a blank, a comma, a semicolon or the like.
    #[error("a cookie holds a character that no cookie can carry")]
    Cookie,
    /// A line break in the token, a colon in the user name.
    #[error("the credential configured for this server holds a character that its header cannot carry")]
    Credential,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://cp.example.com:8443/api/v1";

    fn below(base: &str, path: &str) -> Result<String, Refusal> {
        let base: Url = base.parse().expect(base);
        url_below(&base, path, &[]).map(String::from)
    }

    #[test]
    fn a_path_is_joined_below_the_base_url_and_left_as_it_is() {
        for (base, path, expected) in [
            (BASE, "/servers", "https://cp.example.com:8443/api/v1/servers"),
            (BASE, "/servers/", "https://cp.example.com:8443/api/v1/servers/"),
            (BASE, "/", "https://cp.example.com:8443/api/v1/"),
            (BASE, "", "https://cp.example.com:8443/api/v1"),
            ("https://h.example/x/", "", "https://h.example/x/"),
            ("https://h.example/x/", "/y", "https://h.example/x/y"),
            ("https://h.example", "", "https://h.example/"),
            ("https://h.example", "/", "https://h.example/"),
            ("https://h.example/", "/y.asmx", "https://h.example/y.asmx"),
            (BASE, "/a%20b/%C3%A4", "https://cp.example.com:8443/api/v1/a%20b/%C3%A4"),
            (BASE, "/a@b:c;d=1,2'(!$&*+~_-)", "https://cp.example.com:8443/api/v1/a@b:c;d=1,2'(!$&*+~_-)"),
            (BASE, "/...a/.hidden/a..b/x.", "https://cp.example.com:8443/api/v1/...a/.hidden/a..b/x."),
            (BASE, "/100%25", "https://cp.example.com:8443/api/v1/100%25"),
            (BASE, "/@evil.example/x", "https://cp.example.com:8443/api/v1/@evil.example/x"),
            (BASE, "/https:evil", "https://cp.example.com:8443/api/v1/https:evil"),
        ] {
            assert_eq!(below(base, path).as_deref(), Ok(expected), "{base} + {path:?}");
        }
    }

    #[test]
    fn a_path_that_could_lead_elsewhere_is_refused() {
        use Refusal as R;
        for (path, expected) in [
            ("servers", R::NotRelative),
            ("https://evil.example/", R::NotRelative),
            ("http:/x", R::NotRelative),
            ("@evil.example/", R::NotRelative),
            (":9999/", R::NotRelative),
            (".evil.example/", R::NotRelative),
            ("?a=b", R::NotRelative),
            ("\\evil.example", R::NotRelative),
            (" /servers", R::NotRelative),
            ("//evil.example/x", R::EmptySegment),
            ("//", R::EmptySegment),
            ("/a//b", R::EmptySegment),
            ("/a//", R::EmptySegment),
            ("/..", R::DotSegment),
            ("/.", R::DotSegment),
            ("/../v2", R::DotSegment),
            ("/a/../../..", R::DotSegment),
            ("/a/./b", R::DotSegment),
            ("/%2e%2e/v2", R::DotSegment),
            ("/%2E./v2", R::DotSegment),
            ("/.%2e", R::DotSegment),
            ("/%2e", R::DotSegment),
            ("/%252e%252e/v2", R::DotSegment),
            ("/%25252e%25252e", R::DotSegment),
            ("/..;jsessionid=1/v2", R::DotSegment),
            ("/..%3bx/v2", R::DotSegment),
            ("/..%20/v2", R::DotSegment),
            ("/.../v2", R::DotSegment),
            ("/a%2fb", R::EncodedSlash),
            ("/a%2Fb", R::EncodedSlash),
            ("/a%252fb", R::EncodedSlash),
            ("/..%2f..%2fv2", R::EncodedSlash),
            ("/\\evil.example", R::Backslash),
            ("/a\\..\\b", R::Backslash),
            ("/a%5cb", R::Backslash),
            ("/a%5Cb", R::Backslash),
            ("/a%255cb", R::Backslash),
            ("/a\r\nHost: x", R::Control),
            ("/a\tb", R::Control),
            ("/a\0b", R::Control),
            ("/a\u{7f}", R::Control),
            ("/a\u{85}", R::Control),
            ("/a%0d%0aHost:%20x", R::Control),
            ("/a%00", R::Control),
            ("/a%250a", R::Control),
            ("/a%7f", R::Control),
            ("/a%c2%85", R::Control),
            ("/a?b=c", R::Query),
            ("/a#b", R::Fragment),
            ("/#", R::Fragment),
            ("/a b", R::NotEncoded),
            ("/ä", R::NotEncoded),
            ("/a|b", R::NotEncoded),
            ("/a{b}", R::NotEncoded),
            ("/a\"b", R::NotEncoded),
            ("/a%", R::NotEncoded),
            ("/a%2", R::NotEncoded),
            ("/a%zz", R::NotEncoded),
            ("/a%2\u{ff11}", R::NotEncoded),
            ("/%c0%ae%c0%ae/v2", R::NotUtf8),
            ("/a%c0%afb", R::NotUtf8),
            ("/%ff", R::NotUtf8),
        ] {
            for base in [BASE, "https://h.example", "https://h.example/x/"] {
                assert_eq!(below(base, path), Err(expected.clone()), "{base} + {path:?}");
            }
        }
    }

    #[test]
    fn the_query_is_encoded_and_cannot_escape() {
        let base: Url = BASE.parse().expect(BASE);
        let query = [("na me".to_owned(), "a&b=c#d\r\n%2f".to_owned()), ("ä".to_owned(), String::new())];

        let url = url_below(&base, "/find", &query).expect("a query holds any text");

        assert_eq!(url.path(), "/api/v1/find");
        assert_eq!(url.query(), Some("na+me=a%26b%3Dc%23d%0D%0A%252f&%C3%A4="));
        assert_eq!(url.fragment(), None);
    }

    #[test]
    fn headers_that_route_frame_or_authorise_are_refused() {
        for name in [
            "Host",
            "content-length",
            "Content-Length",
            "Transfer-Encoding",
            "transfer_encoding",
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Upgrade",
            "Expect",
            "Cookie",
            "COOKIE",
            "Authorization",
            "Proxy-Authorization",
            "proxy-connection",
            "Proxy-Anything",
        ] {
            assert!(matches!(header(name, "x"), Err(Refusal::OwnedHeader(_))), "{name}");
        }
        for name in ["", "a b", "a:b", "a\r\nb", "a\0", "ä"] {
            assert_eq!(header(name, "x"), Err(Refusal::HeaderName), "{name:?}");
        }
        for value in ["a\r\nHost: x", "a\nb", "a\rb", "a\0b", "a\u{7f}", "\u{1}"] {
            let expected = Refusal::HeaderValue("x-a".to_owned());
            assert_eq!(header("X-A", value), Err(expected), "{value:?}");
        }
        for (name, value) in [
            ("Accept", "application/json"),
            ("SOAPAction", "\"urn:x#y\""),
            ("x-hosted", "tab\tand space"),
            ("accept-encoding", ""),
        ] {
            assert!(header(name, value).is_ok(), "{name}");
        }
    }

    #[test]
    fn cookies_go_out_as_they_are_or_not_at_all() {
        let base: Url = BASE.parse().expect(BASE);
        for (pairs, expected) in [
            (&[("esprit_id", "Ab3=")][..], Ok("esprit_id=Ab3=")),
            (&[("a", "1"), ("b", "")], Ok("a=1; b=")),
            (&[("a", "1; b=2")], Err(Refusal::Cookie)),
            (&[("a", "1\r\nHost: x")], Err(Refusal::Cookie)),
            (&[("a", "\u{e4}")], Err(Refusal::Cookie)),
            (&[("a b", "1")], Err(Refusal::Cookie)),
            (&[("", "1")], Err(Refusal::Cookie)),
        ] {
            let mut request = Request::new(Method::POST, "/x");
            request.cookies = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();

            let confined = confine(&base, &request);

            let value = confined.as_ref().map(|confined| &confined.headers[COOKIE]);
            assert_eq!(value.map(|v| v.to_str().expect("ascii")).map_err(Clone::clone), expected, "{pairs:?}");
            assert!(value.is_err() || value.is_ok_and(HeaderValue::is_sensitive));
        }
    }

    #[test]
    fn credentials_are_added_and_marked_as_secret() {
        let base: Url = BASE.parse().expect(BASE);
        let mut request = Request::new(Method::GET, "/x");
        for (auth, expected) in [
            (Auth::Bearer("t0ken".to_owned().into()), Ok("Bearer t0ken")),
            (Auth::Basic("Aladdin".into(), "open sesame".to_owned().into()), Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
            (Auth::Bearer("t0ken\n".to_owned().into()), Err(Refusal::Credential)),
            (Auth::Basic("a:b".into(), "x".to_owned().into()), Err(Refusal::Credential)),
        ] {
            request.auth = Some(auth);
            let confined = confine(&base, &request);
            let value = confined.as_ref().map(|confined| &confined.headers[AUTHORIZATION]);
            assert_eq!(value.map(|v| v.to_str().expect("ascii")).map_err(Clone::clone), expected);
            assert!(value.is_err() || value.is_ok_and(HeaderValue::is_sensitive));
        }
    }

    #[test]
    fn methods_that_reach_beyond_a_request_are_refused() {
        let base: Url = BASE.parse().expect(BASE);
        for (method, is_sent) in [
            (Method::GET, true),
            (Method::POST, true),
            (Method::DELETE, true),
            (Method::CONNECT, false),
            (Method::TRACE, false),
        ] {
            let confined = confine(&base, &Request::new(method.clone(), "/x"));
            assert_eq!(confined.is_ok(), is_sent, "{method}");
        }
    }
}
