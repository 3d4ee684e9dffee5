//! Connections to a server over a network: whom they trust, and what they say before they do.

use super::cluster::Secured;
use super::samples::*;
use super::{Store, StoreError, StoreOptions};
use crate::store::model::{Look, Way};
use billhook_plugin_api::Secret;
use std::io::{Read, Write};
use std::net::TcpListener;

async fn look(url: &str) -> Result<Look, String> {
    let options = StoreOptions { password: Some(Secret::new("hunter2-hunter2".into())), ..StoreOptions::default() };
    Store::look_at(url, &options).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_server_is_trusted_by_its_certificate() {
    let server = Secured::start();
    let (ca, other) = (server.file("ca.pem"), server.file("other.pem"));
    let (certificate, key) = (server.file("client.pem"), server.file("client.key"));
    let url = |who: &str, query: String| format!("postgres://{who}:{}/postgres?{query}", server.port());
    let full = format!("sslmode=verify-full&sslrootcert={ca}");

    let place = Place::new(On::Sqlite).await;
    let store = Store::open(&url("billhook@localhost", full.clone()), place.sealer(), StoreOptions::default()).await;
    let store = store.unwrap();
    store.accept(new("1", "42")).await.unwrap();
    assert!(store.operation(&id("1")).await.unwrap().is_some(), "readers go the same way");
    store.close().await;

    for (who, query, expected) in [
        ("billhook@localhost", full.clone(), ""),
        ("billhook@localhost", format!("sslmode=verify-full&sslrootcert={other}"), "sslrootcert=/path"),
        ("billhook@localhost", "sslmode=verify-full".to_owned(), "sslrootcert=/path"),
        ("billhook@localhost", format!("sslmode=verify-ca&sslrootcert={other}"), "sslrootcert=/path"),
        ("billhook@localhost", format!("sslmode=require&sslrootcert={other}"), "sslrootcert=/path"),
        ("billhook@127.0.0.1", full.clone(), "name it as its certificate does"),
        ("billhook@127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}"), ""),
        ("billhook@localhost", "sslmode=require".to_owned(), ""),
        ("billhook@localhost", "sslmode=prefer".to_owned(), ""),
        ("billhook@localhost", "sslmode=disable".to_owned(), "sslmode=verify-full"),
        ("certified@localhost", full.clone(), "sslcert=/path"),
        ("certified@localhost", format!("{full}&sslcert={certificate}&sslkey={key}"), ""),
    ] {
        match look(&url(who, query.clone())).await {
            Ok(look) => assert!(expected.is_empty() && look.facts.is_some() && look.way == Way::Near, "{who} {query}"),
            Err(error) => {
                assert!(!expected.is_empty() && error.contains(expected), "{who} {query}: {error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }
}

/// A server that has no TLS, and what it was told.
fn deaf() -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = vec![0; 8];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(b"N").unwrap();
        stream.read_to_end(&mut heard).unwrap();
        heard
    });
    (port, heard)
}

#[tokio::test]
async fn nothing_is_said_in_clear_where_tls_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem()).unwrap();
    for mode in ["require", "verify-ca", "verify-full"] {
        let (port, heard) = deaf();
        let url = format!("postgres://u@localhost:{port}/d?sslmode={mode}&sslrootcert={}", ca.display());

        let refused = look(&url).await.unwrap_err();

        assert!(refused.contains("ssl = on") && refused.contains("sslmode=disable"), "{refused}");
        // The wish for TLS, and no more.
        assert_eq!(heard.join().unwrap(), [0, 0, 0, 8, 4, 210, 22, 47], "{mode}");
    }
    let refused = Store::look_at("postgres://u@h/d?sslmode=maybe", &StoreOptions::default()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Open { .. }) && refused.to_string().contains("verify-full"), "{refused}");
}
