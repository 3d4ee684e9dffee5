//! What things are called on the panel: domains, login names, invoices, site ids. Pure.
//!
//! One argument of the panel takes a site id, a domain, an add-on domain or an invoice, whatever fits. So none of them may
//! look like another.

use billhook_plugin_api::{Fault, Service};

/// Longest login name of a site's administrator.
const MAX_USER: usize = 16;

/// Longest invoice that is taken from outside.
const MAX_INVOICE: usize = 100;

/// A host name with at least two labels, in lower case.
pub fn domain(text: &str) -> Result<String, Fault> {
    let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let last = name.rsplit('.').next().unwrap_or_default();
    if name.len() > 253 || !name.contains('.') || !name.split('.').all(is_label) || is_number(last) {
        return Err(Fault::invalid_input(
            "the service's domain is no domain name such as shop.example.com; names with other letters are entered in \
             their xn-- form",
        ));
    }
    Ok(name)
}

/// The login name for a new site: the platform's, or one made of the domain and the service's id.
pub fn username(service: &Service, domain: &str) -> Result<String, Fault> {
    if let Some(chosen) = service.username.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        return checked_username(chosen);
    }
    let plain = |text: &str| text.bytes().filter(u8::is_ascii_alphanumeric).map(char::from).collect::<String>();
    let mut name: String =
        plain(domain).trim_start_matches(|char: char| char.is_ascii_digit()).chars().take(9).collect();
    if name.is_empty() {
        name.push('s');
    }
    // The end of an id tells more than its beginning.
    let id = plain(&service.id).to_ascii_lowercase();
    name.push_str(&id[id.len().saturating_sub(MAX_USER - name.len())..]);
    checked_username(&name)
}

/// A login name that the panel takes.
pub fn checked_username(name: &str) -> Result<String, Fault> {
    let name = name.to_ascii_lowercase();
    let is_good = name.len() <= MAX_USER
        && name.starts_with(|char: char| char.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_good {
        return Err(Fault::invalid_input(format!(
            "a login name on the panel has 1 to {MAX_USER} letters and digits and begins with a letter"
        )));
    }
    Ok(name)
}

/// The invoice of a service, by which its site is found again: `billhook-whmcs-1007`.
///
/// No two services share one: what is neither letter nor digit is written in hexadecimal, and so is `-` in the platform's
/// name, so that the parts cannot run into each other.
pub fn invoice(prefix: &str, service: &Service) -> String {
    format!("{prefix}-{}-{}", escaped(&service.platform, ""), escaped(&service.id, "-"))
}

fn escaped(text: &str, also: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let char = char::from(byte);
        if char.is_ascii_alphanumeric() || also.contains(char) {
            out.push(char);
        } else {
            out.push_str(&format!("_{byte:02x}"));
        }
    }
    out
}

/// An invoice from outside, which must not be taken for a site or a domain.
pub fn checked_invoice(text: &str) -> Result<&str, Fault> {
    let is_good = (1..=MAX_INVOICE).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !is_site_id(text);
    if !is_good {
        return Err(Fault::invalid_input(format!(
            "an invoice has 1 to {MAX_INVOICE} letters, digits, - and _, and does not look like a site's id"
        )));
    }
    Ok(text)
}

/// `site12`.
pub fn is_site_id(text: &str) -> bool {
    text.strip_prefix("site")
        .is_some_and(|n| (1..=10).contains(&n.len()) && n.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(platform: &str, id: &str, username: Option<&str>) -> Service {
        Service {
            platform: platform.into(),
            id: id.into(),
            username: username.map(str::to_owned),
            ..Service::default()
        }
    }

    #[test]
    fn a_domain_is_a_host_name_of_several_labels() {
        for (text, expected) in [
            (" Shop.Example.COM. ", Some("shop.example.com")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("a.b", Some("a.b")),
            ("", None),
            ("site12", None),
            ("billhook-whmcs-7", None),
            ("a b.example", None),
            ("a..b", None),
            ("-a.b", None),
            ("bücher.example", None),
            ("192.0.2.7", None),
            ("a_b.example", None),
        ] {
            assert_eq!(domain(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_login_name_is_the_platforms_or_made_of_domain_and_id() {
        for (service, expected) in [
            (service("p", "1007", Some("Acme01")), Some("acme01")),
            (service("p", "1007", Some("acme.inc")), None),
            (service("p", "1007", Some("1acme")), None),
            (service("p", "1007", Some("a-name-far-too-long")), None),
            (service("p", "1007", Some(" ")), Some("shopexamp1007")),
            (service("p", "1007", None), Some("shopexamp1007")),
            (service("p", "0123456789-abcdef", None), Some("shopexamp9abcdef")),
            (service("p", "", None), Some("shopexamp")),
        ] {
            assert_eq!(username(&service, "shop.example.com").ok().as_deref(), expected, "{service:?}");
        }
        assert_eq!(username(&service("p", "7", None), "123.45.ab").unwrap(), "ab7");
        assert_eq!(username(&service("p", "7", None), "1.2").unwrap(), "s7");
    }

    #[test]
    fn no_two_services_share_an_invoice_and_none_looks_like_a_domain() {
        let all: Vec<String> = [("a-b", "c"), ("a", "b-c"), ("a", "b_c"), ("a", "b.c"), ("a_2d", "b"), ("a", "b%c")]
            .into_iter()
            .map(|(platform, id)| invoice("billhook", &service(platform, id, None)))
            .collect();

        assert_eq!(all[0], "billhook-a_2db-c");
        for (n, one) in all.iter().enumerate() {
            assert!(checked_invoice(one).is_ok() && domain(one).is_err() && !all[..n].contains(one), "{one}");
        }
        for bad in ["", "site7", "a.b", "a b", "ü"] {
            assert!(checked_invoice(bad).is_err(), "{bad}");
        }
    }
}
