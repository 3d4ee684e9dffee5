//! Planted secrets are nowhere in clear: not in the database's bytes, the log, errors, or what others may read.

use crate::loader::bench::Bench;
use crate::loader::edit::Plugin;
use base64::Engine as _;
use billhook::operation::State;
use billhook::request::HookBody;
use billhook::store::LogFilter;
use billhook_plugin_api::Hook;
use billhook_tests::cluster::administer;
use billhook_tests::harness::{PLATFORM, Rig, body};
use billhook_tests::virtfusion::{Fault, Plan};
use serde_json::json;
use sha1::Digest as _;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const PASSWORD: &str = "pl4nted-Passw\"ord-Ü7&<x>/q+z";
const VISIBLE: &str = "marker-that-is-no-secret-8c1f";

/// The forms in which a value could stand somewhere.
pub(crate) fn forms(secret: &str) -> Vec<(String, Vec<u8>)> {
    let standard = base64::engine::general_purpose::STANDARD_NO_PAD;
    let url: String = secret
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    let json = serde_json::to_string(secret).unwrap();
    let sha1 = sha1::Sha1::digest(secret.as_bytes());
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let xml = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut forms = vec![
        ("plain".to_owned(), secret.as_bytes().to_vec()),
        ("url".to_owned(), url.to_lowercase().into_bytes()),
        ("url".to_owned(), url.into_bytes()),
        ("json".to_owned(), json.trim_matches('"').as_bytes().to_vec()),
        ("xml".to_owned(), xml.into_bytes()),
        ("hex".to_owned(), hex(secret.as_bytes()).into_bytes()),
        ("sha1 hex".to_owned(), hex(&sha1).into_bytes()),
        ("sha1 base64".to_owned(), base64::engine::general_purpose::STANDARD.encode(sha1).into_bytes()),
        ("utf-16".to_owned(), secret.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ];
    // Base64 of the value at the three places it can have within a longer text; what neighbours decide is left away.
    for shift in 0..3 {
        let mut bytes = vec![0; shift];
        bytes.extend(secret.as_bytes());
        let text = standard.encode(&bytes);
        let from = [0, 2, 3][shift];
        let to = text.len() - if bytes.len() % 3 == 0 { 0 } else { 1 };
        forms.push((format!("base64 at {shift}"), text.as_bytes()[from..to].to_vec()));
    }
    forms
}

/// Every byte that the host left on the disk: files as they are, and every zstd frame in them unpacked.
pub(crate) fn left_behind(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The operator's own file; the host only reads it.
        if path.is_file() && name != "token" {
            found.push((name, std::fs::read(&path).unwrap()));
        }
    }
    found
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_secrets_are_nowhere_in_clear() {
    let rig = Rig::new();
    let host = rig.host().await;
    let mut create = body(Hook::Create, "1007");
    create["password"] = json!(PASSWORD);
    // A password where none belongs: in a text that is kept and sent.
    create["client"]["name"] = json!(format!("my password is {PASSWORD}"));
    create["service"]["domain"] = json!(format!("{VISIBLE}.example.net"));
    // A panel that shouts what it was told, and answers that do not parse.
    rig.panel().arm(Plan::on("POST", "/servers/{server}/build", Fault::CutOff));
    let id = host.send(Hook::Create, create).await.unwrap();
    let created = host.drive(&id).await;
    assert_eq!(created.state, State::Succeeded, "{created:#?}");
    for hook in [Hook::Suspend, Hook::Unsuspend, Hook::Renew] {
        host.run(hook, "1007").await;
    }
    // And as a member that the hook does not take.
    let mut odd = body(Hook::Suspend, "1007");
    odd["password"] = json!(PASSWORD);
    let refused = host.send(Hook::Suspend, odd).await.unwrap_err();
    assert!(refused.to_string().contains("password") && !format!("{refused:?}").contains(PASSWORD), "{refused:?}");
    let store = host.engine.env().store.clone();
    store.flush().await.unwrap();

    let mut secrets: Vec<String> = rig.panel().secrets();
    secrets.push(rig.running.token().to_owned());
    secrets.push(PASSWORD.to_owned());
    secrets.retain(|secret| secret.len() >= 8);
    secrets.sort();
    secrets.dedup();
    assert!(secrets.len() >= 3, "the panel plants its own: {}", secrets.len());

    let mut places = left_behind(rig.folder.path());
    if let Some(database) = &rig.database {
        administer("CHECKPOINT");
        for folder in [database.data().join("pg_wal"), database.data().join("base/".to_owned() + &database.number())] {
            places.extend(left_behind(&folder).into_iter().map(|(name, bytes)| (format!("billhook.db {name}"), bytes)));
        }
    } else {
        assert!(places.iter().any(|(name, _)| name.ends_with("-wal")), "the WAL is looked at too");
    }
    let rows = store.log(&LogFilter { limit: 1_000, ..LogFilter::default() }).await.unwrap().rows;
    let mut log = String::new();
    for row in &rows {
        log.push_str(&serde_json::to_string(row).unwrap());
        // Bodies stand packed in the database; here every one of them is unpacked.
        if let Some((_, detail)) = store.log_detail(&row.id).await.unwrap() {
            log.push_str(&serde_json::to_string(&detail).unwrap());
        }
    }
    places.push(("the log, unpacked".to_owned(), log.into_bytes()));
    for operation in store.list_operations(&LogFilter { limit: 1_000, ..LogFilter::default() }).await.unwrap() {
        places.push((format!("operation {}", operation.id), format!("{operation:?}").into_bytes()));
    }

    let database = places.iter().filter(|(name, _)| name.starts_with("billhook.db")).map(|(_, bytes)| bytes);
    let seen = database.clone().any(|bytes| contains(bytes, VISIBLE.as_bytes()));
    assert!(seen, "the check itself is broken: planted clear text is not found in the database");
    assert!(
        contains(&places.iter().find(|(name, _)| name.starts_with("the log")).unwrap().1, b"/servers"),
        "bodies are read"
    );
    for secret in &secrets {
        for (form, needle) in forms(secret) {
            for (place, bytes) in &places {
                assert!(!contains(bytes, &needle), "a secret stands in {place}, as {form}");
            }
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_a_create_reaches_its_caller_and_goes_when_acknowledged() {
    let rig = Rig::new();
    let host = rig.host().await;
    let created = host.run(Hook::Create, "1007").await;
    let store = &host.engine.env().store;

    let secrets = store.result_secrets(&created.id).await.unwrap();
    let password = secrets.get("root_password").expect("the panel's password").expose().clone();
    assert!(rig.panel().secrets().contains(&password));
    assert!(store.acknowledge(&created.id, 0).await.unwrap());

    assert!(store.result_secrets(&created.id).await.unwrap().is_empty());
    host.stop().await;
}

/// A host with little to do makes the log's bodies while the panel and the plugin work: before the plugin says what is secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_called_secret_only_after_it_was_seen_is_not_in_the_log() {
    let (sent, said) = ("open-sesame-4711", "close-sesame-4712");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut bench = Bench::new();
    bench.install("fixture", &Plugin::good());
    bench.server_at(&listener.local_addr().unwrap().to_string(), "good", "fixture", &format!("blurts = \"{sent}\""));
    let panel = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !contains(&heard, sent.as_bytes()) {
            stream.read_buf(&mut heard).await.unwrap();
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", said.len());
        stream.write_all((head + said).as_bytes()).await.unwrap();
        stream
    });
    let host = bench.start().await;

    let asked = HookBody::parse(br#"{ "server": "good" }"#).unwrap();
    host.engine.read_hook(PLATFORM, Hook::Test, asked).await.unwrap();
    panel.await.unwrap();

    let store = &host.engine.env().store;
    store.flush().await.unwrap();
    let row = store.log(&LogFilter { limit: 1, ..LogFilter::default() }).await.unwrap().rows.remove(0);
    let (_, detail) = store.log_detail(&row.id).await.unwrap().unwrap();
    let exchange = &detail.exchanges[0];
    let (request, reply) = (exchange.request_body.as_deref().unwrap(), exchange.reply_body.as_deref().unwrap());
    assert!(request.starts_with("the word is ") && !request.contains(sent), "{request}");
    assert!(!reply.contains(said), "{reply}");
    host.stop().await;
}
