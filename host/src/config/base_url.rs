//! A panel's address, and what makes two servers the same panel. Pure.

use std::fmt;

use url::{Host, Url};

/// The base URL of a panel's API: https, or http to a loopback host; no user, query or fragment.
///
/// Normalised: scheme and host in lower case, names in their ASCII form, no default port, no slash at the end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseUrl {
    url: Url,
}

impl BaseUrl {
    /// Reads an address. `allow_http` lets http through, to a loopback host only.
    ///
    /// # Errors
    ///
    /// [`BaseUrlError`], which never quotes the address: it may hold a password.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, BaseUrlError> {
        let text = text.trim();
        // The parser drops tabs and line ends and turns backslashes without a word.
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(BaseUrlError::Characters);
        }
        let mut url = Url::parse(text).map_err(|source| BaseUrlError::Unreadable { source })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Userinfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::QueryOrFragment);
        }
        match url.scheme() {
            "https" => {}
            "http" if !is_loopback(&url) => return Err(BaseUrlError::HttpAbroad),
            "http" if !allow_http => return Err(BaseUrlError::HttpNotAllowed),
            "http" => {}
            _ => return Err(BaseUrlError::Scheme),
        }
        // `https:example.com` and `https:///example.com` are read as if they had two slashes.
        if !text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://") && !rest.starts_with(":///")) {
            return Err(BaseUrlError::Characters);
        }
        if url.host_str().is_none_or(|host| host.is_empty() || host == ".") {
            return Err(BaseUrlError::Scheme);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if path.contains("//") {
            return Err(BaseUrlError::Characters);
        }
        url.set_path(&path);
        Ok(Self { url })
    }

    /// The address for an HTTP client. A URL without a path has `/` here; append with care.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address without a slash at the end: a path that begins with one can be appended.
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// What makes two servers the same panel, stored with every operation and service.
    ///
    /// `login` is given where goods belong to it; a token never is part of it. The dot that may end a host name is left out.
    pub fn panel_identity(&self, login: Option<&str>) -> String {
        let host = self.url.host_str().unwrap_or_default().trim_end_matches('.');
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = self.url.path().trim_end_matches('/');
        // A base URL has no fragment, so all behind the first `#` is the login.
        let login = login.map(|login| format!("#{}", login.trim())).unwrap_or_default();
        format!("{}://{host}{port}{path}{login}", self.url.scheme())
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.') == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Why a text is no base URL. The text is not quoted: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// Not a URL at all.
    #[error("is not a URL ({source}); write it as https://panel.example.com/api/v1")]
    Unreadable {
        /// What the reader stumbled over.
        source: url::ParseError,
    },
    /// Something that is silently changed by one reader or another.
    #[error(
        "holds a space, a backslash, a control character, or a doubled or missing slash; \
         write it as https://panel.example.com/api/v1"
    )]
    Characters,
    /// Neither https nor http, or no host.
    #[error("is not https to a host; write it as https://panel.example.com/api/v1")]
    Scheme,
    /// http, and `allow_http` is not set.
    #[error("is http; use https, or set allow_http = true for a panel on this machine")]
    HttpNotAllowed,
    /// http to another machine.
    #[error("is http to another machine, where credentials could be read on the way; use https")]
    HttpAbroad,
    /// Credentials in the URL.
    #[error("holds a user or password; give credentials in `settings`")]
    Userinfo,
    /// A query or fragment.
    #[error("holds a query or a fragment; leave out everything from `?` or `#` on")]
    QueryOrFragment,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(text: &str, login: Option<&str>) -> String {
        BaseUrl::parse(text, true).unwrap_or_else(|error| panic!("{text}: {error}")).panel_identity(login)
    }

    #[test]
    fn ways_to_write_one_panel_have_one_identity() {
        for text in [
            "https://cp.example.com/api/v1",
            "https://cp.example.com/api/v1/",
            "https://cp.example.com/api/v1///",
            "HTTPS://CP.Example.COM/api/v1",
            "https://cp.example.com:443/api/v1",
            "https://cp.example.com./api/v1",
            "https://cp.example.com/x/../api/./v1",
            "  https://cp.example.com/api/v1\n",
        ] {
            assert_eq!(identity(text, None), "https://cp.example.com/api/v1", "{text:?}");
        }
    }

    #[test]
    fn what_differs_on_the_panel_differs_in_its_identity() {
        for (text, login, expected) in [
            ("https://cp.example.com", None, "https://cp.example.com"),
            ("https://cp.example.com/", None, "https://cp.example.com"),
            ("https://cp.example.com/API", None, "https://cp.example.com/API"),
            ("https://cp.example.com:8443/", None, "https://cp.example.com:8443"),
            ("https://cp.example.com:80", None, "https://cp.example.com:80"),
            ("https://bücher.example/a", None, "https://xn--bcher-kva.example/a"),
            ("https://[2001:DB8:0::1]:443/a", None, "https://[2001:db8::1]/a"),
            ("https://192.0.2.7/", None, "https://192.0.2.7"),
            ("http://127.0.0.1:80/a", None, "http://127.0.0.1/a"),
            ("http://[::1]:8080", None, "http://[::1]:8080"),
            ("https://my.example.net/apih.php", Some("acme"), "https://my.example.net/apih.php#acme"),
            ("https://my.example.net/apih.php", Some(" Acme "), "https://my.example.net/apih.php#Acme"),
        ] {
            assert_eq!(identity(text, login), expected, "{text}");
        }
    }

    #[test]
    fn an_identity_is_itself_an_address_with_that_identity() {
        for text in ["https://cp.example.com/api/v1/", "https://bücher.example", "https://[::2]:1/x"] {
            let once = identity(text, None);
            assert_eq!(identity(&once, None), once);
        }
    }

    #[test]
    fn a_path_can_be_appended() {
        for (text, expected) in [
            ("https://cp.example.com", "https://cp.example.com"),
            ("https://cp.example.com/a/", "https://cp.example.com/a"),
        ] {
            assert_eq!(BaseUrl::parse(text, false).expect(text).as_str(), expected);
        }
    }

    #[test]
    fn unsafe_addresses_are_refused_without_being_quoted() {
        use BaseUrlError as E;
        for (text, allow_http, expected) in [
            ("http://panel.example.com", true, E::HttpAbroad),
            ("http://panel.example.com", false, E::HttpAbroad),
            ("http://192.168.0.4", true, E::HttpAbroad),
            ("http://localhost.example.com", true, E::HttpAbroad),
            ("http://127.0.0.1:8080", false, E::HttpNotAllowed),
            ("http://localhost", false, E::HttpNotAllowed),
            ("ftp://panel.example.com", true, E::Scheme),
            ("unix:/run/x", true, E::Scheme),
            ("https://admin:hunter2@panel.example.com", false, E::Userinfo),
            ("https://hunter2@panel.example.com", false, E::Userinfo),
            ("https://panel.example.com/?token=hunter2", false, E::QueryOrFragment),
            ("https://panel.example.com/#hunter2", false, E::QueryOrFragment),
            ("https://panel.example.com/a?", false, E::QueryOrFragment),
            ("https://panel.exa\tmple.com", false, E::Characters),
            ("https:\\\\panel.example.com", false, E::Characters),
            ("https:panel.example.com", false, E::Characters),
            ("https:///panel.example.com", false, E::Characters),
            ("https://panel.example.com/a//b", false, E::Characters),
            ("panel.example.com", false, E::Unreadable { source: url::ParseError::RelativeUrlWithoutBase }),
            ("", false, E::Unreadable { source: url::ParseError::RelativeUrlWithoutBase }),
            ("https://", false, E::Unreadable { source: url::ParseError::EmptyHost }),
        ] {
            let error = BaseUrl::parse(text, allow_http).expect_err(text);
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for text in ["http://localhost:8080/api", "http://127.9.9.9", "http://[::1]"] {
            assert!(BaseUrl::parse(text, true).is_ok(), "{text}");
        }
    }
}
