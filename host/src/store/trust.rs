//! How far a server must prove that it is the one that was meant, before it gets a password or a row.
//!
//! What is not said is not left to chance: a server on another machine is verified, and its connection encrypted, unless its
//! address says otherwise. The environment has no say in it.

use crate::seal::private_file;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::net::IpAddr;
use std::path::Path;

/// A certificate or a key is some kilobytes.
const MOST_BYTES: usize = 1 << 20;

const MODES: &str = "disable, prefer, require, verify-ca or verify-full";

/// Names of a parameter in the address, all that the driver knows.
const MODE: &[&str] = &["sslmode", "ssl-mode"];
const AUTHORITY: &[&str] = &["sslrootcert", "ssl-root-cert", "ssl-ca"];
const CERTIFICATE: &[&str] = &["sslcert", "ssl-cert"];
const KEY: &[&str] = &["sslkey", "ssl-key"];

/// What the connections to a server are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is asked on this machine, or its address says that it need not prove anything.
    Any,
    /// It shows a certificate of an authority that is trusted.
    Verified,
}

/// Whether the mode of the address is one; the driver's own words do not say which there are.
pub fn check(query: &[(String, String)]) -> Result<(), String> {
    match find(query, MODE) {
        None | Some("disable" | "prefer" | "require" | "verify-ca" | "verify-full") => Ok(()),
        Some(_) => Err(format!("sslmode must be {MODES}")),
    }
}

fn find<'q>(query: &'q [(String, String)], names: &[&str]) -> Option<&'q str> {
    let found = query.iter().rev().find(|(name, _)| names.contains(&name.as_str()));
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// Puts into the options what the parameters of the address ask for. The error says what is wrong and what helps.
pub fn apply(options: PgConnectOptions, query: &[(String, String)]) -> Result<(PgConnectOptions, Trust), String> {
    check(query)?;
    let find = |names| find(query, names);
    let is_socket = options.get_socket().is_some() || options.get_host().starts_with('/');
    let authority = find(AUTHORITY);
    let mode = match find(MODE) {
        _ if is_socket => PgSslMode::Disable,
        Some("disable") => PgSslMode::Disable,
        // As everybody else reads it: whoever names an authority means it.
        Some("require") if authority.is_some() => PgSslMode::VerifyCa,
        Some("require") => PgSslMode::Require,
        Some("verify-ca") => PgSslMode::VerifyCa,
        Some("verify-full") => PgSslMode::VerifyFull,
        // No other is left.
        Some(_) => PgSslMode::Prefer,
        None if is_here(options.get_host()) => PgSslMode::Prefer,
        None => PgSslMode::VerifyFull,
    };
    let is_verified = matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    let mut options = options.ssl_mode(mode);
    if is_verified {
        let authorities = match authority.filter(|name| *name != "system") {
            Some(path) => read(path, "sslrootcert")?,
            None => system()?,
        };
        options = options.ssl_root_cert_from_pem(authorities);
    }
    match (find(CERTIFICATE), find(KEY)) {
        _ if is_socket => {}
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            let certificate = read(certificate, "sslcert")?;
            let key = private_file::read(Path::new(key), MOST_BYTES)
                .map_err(|error| format!("sslkey: {:#}", anyhow::Error::new(error)))?;
            options = options.ssl_client_cert_from_pem(certificate).ssl_client_key_from_pem(key.as_slice());
        }
        _ => return Err("sslcert and sslkey belong together: name both or none".to_owned()),
    }
    Ok((options, if is_verified { Trust::Verified } else { Trust::Any }))
}

/// What helps, where it can be told.
pub fn remedy(error: &sqlx::Error) -> Option<&'static str> {
    let text = error.to_string();
    let has = |part: &str| text.contains(part);
    match error {
        _ if has("does not support TLS") => Some(
            "let it speak TLS (ssl = on), or, where nobody can listen or stand in between, write sslmode=disable into the address",
        ),
        _ if has("UnknownIssuer") || has("BadSignature") || has("CaUsedAsEndEntity") => {
            Some("name the file with the authority that signed its certificate: sslrootcert=/path in the address")
        }
        _ if has("NotValidForName") || has("not valid for name") => Some(
            "name it as its certificate does, or write sslmode=verify-ca where the authority signs for this server alone",
        ),
        _ if ["Expired", "expired", "NotValidYet", "not valid yet"].into_iter().any(has) => {
            Some("renew the server's certificate, or set this machine's clock")
        }
        _ if has("no encryption") || has("SSL off") => {
            Some("it wants an encrypted connection: write sslmode=verify-full into the address")
        }
        _ if has("certificate required") || has("requires a valid client certificate") => {
            Some("it wants a certificate of this host: sslcert=/path and sslkey=/path in the address")
        }
        _ => None,
    }
}

/// Whether a server of that name is on this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn read(path: &str, name: &str) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: cannot read {path}: {error}"))?;
    let is_one = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    if is_one { Ok(bytes) } else { Err(format!("{name}: {path} holds no certificate in PEM form")) }
}

/// The authorities of this machine, those that can be read.
fn system() -> Result<Vec<u8>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut pem = String::new();
    for certificate in found.certs {
        let mut one = rustls::RootCertStore::empty();
        if one.add(certificate.clone()).is_ok() {
            pem += "-----BEGIN CERTIFICATE-----\n";
            let text = STANDARD.encode(&certificate);
            for line in text.as_bytes().chunks(64) {
                pem += &String::from_utf8_lossy(line);
                pem.push('\n');
            }
            pem += "-----END CERTIFICATE-----\n";
        }
    }
    match pem.is_empty() {
        true => Err(
            "this machine trusts no authority: install ca-certificates, or name the server's with sslrootcert=/path"
                .to_owned(),
        ),
        false => Ok(pem.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<(String, Trust), String> {
        let options: PgConnectOptions = url.parse().unwrap();
        let query: Vec<(String, String)> = url::Url::parse(url).unwrap().query_pairs().into_owned().collect();
        apply(options, &query).map(|(options, trust)| (format!("{:?}", options.get_ssl_mode()), trust))
    }

    #[test]
    fn what_is_not_said_is_the_safe_side() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n").unwrap();
        let ca = format!("sslrootcert={}", file.display());
        for (url, mode, trust) in [
            (format!("postgres://u@db.example.net/d?{ca}"), "VerifyFull", Trust::Verified),
            (format!("postgres://u@192.0.2.1/d?{ca}"), "VerifyFull", Trust::Verified),
            ("postgres://u@db.example.net/d?sslmode=disable".into(), "Disable", Trust::Any),
            ("postgres://u@db.example.net/d?sslmode=prefer".into(), "Prefer", Trust::Any),
            ("postgres://u@db.example.net/d?sslmode=require".into(), "Require", Trust::Any),
            (format!("postgres://u@db.example.net/d?sslmode=require&{ca}"), "VerifyCa", Trust::Verified),
            (format!("postgres://u@db.example.net/d?ssl-mode=verify-ca&{ca}"), "VerifyCa", Trust::Verified),
            ("postgres://u@127.0.0.1/d".into(), "Prefer", Trust::Any),
            ("postgres://u@localhost/d".into(), "Prefer", Trust::Any),
            (format!("postgres://u@localhost/d?sslmode=verify-full&{ca}"), "VerifyFull", Trust::Verified),
            ("postgres:///d?host=/run/postgresql&user=u&sslmode=require".into(), "Disable", Trust::Any),
        ] {
            assert_eq!(of(&url), Ok((mode.to_owned(), trust)), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (text, key) = (folder.path().join("text"), folder.path().join("key"));
        std::fs::write(&text, "hello").unwrap();
        std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let (text, key) = (text.display(), key.display());
        for (query, expected) in [
            ("sslmode=allow".to_owned(), "must be disable, prefer"),
            ("sslrootcert=/nowhere/ca.pem".to_owned(), "sslrootcert: cannot read /nowhere/ca.pem"),
            (format!("sslrootcert={text}"), "holds no certificate"),
            (format!("sslmode=require&sslcert={key}"), "belong together"),
            (format!("sslmode=require&sslcert={key}&sslkey=/nowhere"), "sslkey: cannot read /nowhere"),
        ] {
            let refused = of(&format!("postgres://u@h/d?{query}")).unwrap_err();
            assert!(refused.contains(expected), "{query}: {refused}");
        }
    }
}
