//! One panel as the wire sees it: where it is and whom to trust there.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::{Host, Url};

/// Where requests go and how the other end proves itself. Made from one server's settings.
///
/// Trust is exactly one of: the system's authorities (neither `ca_file` nor `pin_sha256`), the authorities of `ca_file` and no
/// others, or the one certificate named by `pin_sha256`. There is no way to trust everybody.
#[derive(Debug, Clone)]
pub struct Target {
    /// The panel's API root, prefix included (`https://cp.example.com/api/v1`). Every request stays below its path.
    pub base_url: Url,
    /// Permits `http`, and only to this machine.
    pub allow_http: bool,
    /// PEM file with the authorities to trust instead of the system's. Read when the first request is sent.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the panel's own certificate in DER form. Name and expiry of a pinned certificate do not matter.
    pub pin_sha256: Option<[u8; 32]>,
    /// How long resolving, connecting and the TLS handshake may take together, in real time.
    pub connect_timeout: Duration,
    /// Bound on a reply's body, counted before and after decompression.
    pub max_reply_bytes: usize,
    /// Connections kept while nothing is sent over them: as many as are in use at once, so that none is made anew for each
    /// exchange.
    pub idle_connections: usize,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Target {
    /// Checks the settings against each other.
    ///
    /// # Errors
    ///
    /// The first rule broken, named by its setting.
    pub fn check(&self) -> Result<(), TargetError> {
        let url = &self.base_url;
        match url.scheme() {
            "https" => {}
            "http" if !self.allow_http => return Err(TargetError::PlainHttp),
            "http" if !is_loopback(url) => return Err(TargetError::HttpBeyondLoopback),
            "http" if self.ca_file.is_some() => return Err(TargetError::TrustWithoutTls("ca_file")),
            "http" if self.pin_sha256.is_some() => {
                return Err(TargetError::TrustWithoutTls("pin_sha256"));
            }
            "http" => {}
            _ => return Err(TargetError::Scheme),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(TargetError::NoHost);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        if url.query().is_some() {
            return Err(TargetError::Query);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        if self.ca_file.is_some() && self.pin_sha256.is_some() {
            return Err(TargetError::TwoTrusts);
        }
        Ok(())
    }

    /// Host and port as they appear in messages, `cp.example.com:443`.
    pub fn host(&self) -> String {
        let host = self.base_url.host_str().unwrap_or_default();
        match self.base_url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

/// Why a [`Target`] cannot be used. The texts name the setting, never the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Neither `https` nor `http`.
    #[error("base_url must start with https://")]
    Scheme,
    /// `http` without consent.
    #[error("base_url is plain http, which needs allow_http and a loopback host")]
    PlainHttp,
    /// `http` to another machine.
    #[error("base_url is plain http to another machine; allow_http covers loopback hosts only")]
    HttpBeyondLoopback,
    /// A trust setting that nothing would look at.
    #[error("{0} has no meaning with a plain http base_url")]
    TrustWithoutTls(&'static str),
    /// No host name in the URL.
    #[error("base_url names no host")]
    NoHost,
    /// Credentials in the URL.
    #[error("base_url must not hold a user name or password")]
    UserInfo,
    /// `?…` in the URL.
    #[error("base_url must not hold a query")]
    Query,
    /// `#…` in the URL.
    #[error("base_url must not hold a fragment")]
    Fragment,
    /// Two trust settings, of which one would be silently ignored.
    #[error("ca_file and pin_sha256 exclude each other")]
    TwoTrusts,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(base_url: &str) -> Target {
        Target {
            base_url: base_url.parse().expect(base_url),
            allow_http: true,
            ca_file: None,
            pin_sha256: None,
            connect_timeout: Duration::from_secs(10),
            max_reply_bytes: 1024,
            idle_connections: 8,
            user_agent: "billhook".to_owned(),
        }
    }

    #[test]
    fn only_https_or_a_permitted_loopback_is_a_base_url() {
        for (base_url, expected) in [
            ("https://cp.example.com/api/v1", Ok(())),
            ("https://192.0.2.7:8443", Ok(())),
            ("http://127.0.0.1:8080", Ok(())),
            ("http://127.8.9.1/x", Ok(())),
            ("http://[::1]:8080", Ok(())),
            ("http://LOCALHOST", Ok(())),
            ("http://localhost.example.com", Err(TargetError::HttpBeyondLoopback)),
            ("http://192.0.2.7", Err(TargetError::HttpBeyondLoopback)),
            ("http://0.0.0.0", Err(TargetError::HttpBeyondLoopback)),
            ("ftp://cp.example.com", Err(TargetError::Scheme)),
            ("file:///etc/passwd", Err(TargetError::Scheme)),
            ("https://user@cp.example.com", Err(TargetError::UserInfo)),
            ("https://:pw@cp.example.com", Err(TargetError::UserInfo)),
            ("https://cp.example.com/?a=b", Err(TargetError::Query)),
            ("https://cp.example.com/?", Err(TargetError::Query)),
            ("https://cp.example.com/#x", Err(TargetError::Fragment)),
        ] {
            assert_eq!(target(base_url).check(), expected, "{base_url}");
        }
    }

    #[test]
    fn settings_that_fight_each_other_are_refused() {
        let mut no_consent = target("http://127.0.0.1");
        no_consent.allow_http = false;
        assert_eq!(no_consent.check(), Err(TargetError::PlainHttp));

        let mut useless_pin = target("http://127.0.0.1");
        useless_pin.pin_sha256 = Some([0; 32]);
        assert_eq!(useless_pin.check(), Err(TargetError::TrustWithoutTls("pin_sha256")));

        let mut both = target("https://cp.example.com");
        both.pin_sha256 = Some([0; 32]);
        both.ca_file = Some("/etc/ca.pem".into());
        assert_eq!(both.check(), Err(TargetError::TwoTrusts));
    }

    #[test]
    fn a_message_names_host_and_port() {
        assert_eq!(target("https://cp.example.com/api").host(), "cp.example.com:443");
        assert_eq!(target("http://[::1]:8080").host(), "[::1]:8080");
    }
}
