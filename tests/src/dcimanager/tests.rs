mod lifecycle;
mod samples;
mod strictness;

use std::time::Duration;

use super::xml::{Element, read};
use super::*;
use crate::clock::ManualClock;
use crate::panel::client::{self, Reply};

const FORM: &str = "content-type: application/x-www-form-urlencoded";
const DEBIAN: &str = "ISPsystem__Debian-11-x86_64";

/// A panel, its clock, and a client that does everything right unless told otherwise.
struct Bench {
    running: Running,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = ManualClock::default();
        let mut config = Config::at(&clock);
        change(&mut config);
        Self { running: DciManager::start(config).unwrap(), clock }
    }

    fn panel(&self) -> &Panel {
        self.running.panel()
    }

    fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    async fn send(&self, fields: &[(&str, &str)]) -> io::Result<Reply> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish();
        client::send(self.running.address(), "POST", "/dcimgr", &[FORM], &body).await
    }

    /// With these credentials.
    async fn call_as(&self, credentials: (&str, &str), func: &str, fields: &[(&str, &str)]) -> Element {
        let mut all = vec![("func", func), ("out", "xml"), ("lang", "en"), credentials];
        all.extend(fields);
        document(&self.send(&all).await.unwrap())
    }

    /// As the administrator.
    async fn call(&self, func: &str, fields: &[(&str, &str)]) -> Element {
        let admin = self.running.admin();
        let authinfo = format!("{}:{}", admin.name, admin.password);
        self.call_as(("authinfo", &authinfo), func, fields).await
    }

    /// A call that must be done.
    #[track_caller]
    fn done<'a>(&'a self, func: &'a str, fields: &'a [(&'a str, &'a str)]) -> impl Future<Output = Element> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let doc = self.call(func, fields).await;
            assert!(doc.child("error").is_none() && doc.child("ok").is_some(), "{at}: {doc:?}");
            doc
        }
    }

    async fn session(&self, name: &str, password: &str) -> String {
        let fields = [("func", "auth"), ("out", "xml"), ("username", name), ("password", password)];
        let doc = document(&self.send(&fields).await.unwrap());
        doc.child("auth").unwrap_or_else(|| panic!("{doc:?}")).attribute("id").unwrap().to_owned()
    }

    /// Claims 42 with a mark.
    async fn claimed(&self) {
        self.edit("5", "[svc:1007]").await;
    }

    /// Writes owner and notes of 42.
    async fn edit(&self, owner: &str, notes: &str) {
        let form = self.call("server.edit", &[("elid", "42")]).await;
        let fields = [
            ("elid", "42"),
            ("sok", "ok"),
            ("mac", form.of("mac")),
            ("name", form.of("name")),
            ("notes", notes),
            ("type", form.of("type")),
            ("owner", owner),
        ];
        self.done("server.edit", &fields).await;
    }

    /// Orders an installation on 42.
    async fn install(&self) -> Element {
        self.call("server.operations", INSTALL).await
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.panel().violations(), Vec::<String>::new());
        assert_eq!(self.panel().check(), Vec::<String>::new());
    }
}

const INSTALL: &[(&str, &str)] = &[
    ("elid", "42"),
    ("sok", "ok"),
    ("operation", "ostemplate"),
    ("ostemplate", DEBIAN),
    ("passwd", "Root-pass-1"),
    ("confirm", "Root-pass-1"),
    ("checkpasswd", "Root-pass-1"),
    ("recipe", "null"),
];

const ACCOUNT: &[(&str, &str)] =
    &[("sok", "ok"), ("level", "lvUser"), ("name", "acme01"), ("passwd", "Acme-pass-1"), ("confirm", "Acme-pass-1")];

fn document(reply: &Reply) -> Element {
    let text = String::from_utf8(reply.body.clone()).unwrap();
    read::document(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The row of this id.
fn row<'a>(list: &'a Element, id: &str) -> &'a Element {
    let mut rows = list.children.iter().filter(|row| row.name == "elem");
    rows.find(|row| row.of("id") == id).unwrap_or_else(|| panic!("no row {id} in {list:?}"))
}

/// Type and object of the error, or two empty texts.
fn error(doc: &Element) -> (&str, &str) {
    let error = doc.child("error");
    let attribute = |name| error.and_then(|error| error.attribute(name)).unwrap_or_default();
    (attribute("type"), attribute("object"))
}
