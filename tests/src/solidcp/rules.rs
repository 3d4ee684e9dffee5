//! The customs office: a request passes only if it is spelled as the contract says.
//!
//! The server itself is lenient: it drops what it does not know, and reads what is missing as nothing. What shows a bug of
//! the client is a violation all the same, for a test to find at its end. What an operator can get wrong (a password, an
//! id) is refused and no more.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest as _, Sha1};

use super::read::Reading;
use super::schema::{NAMESPACE, Operation, SCHEMA, Version};
use super::state::World;
use super::value::Members;
use super::view::DETAILS;
use super::write::{SOAP_1_1, SOAP_1_2, Style};
use super::wsdl;
use super::xml::{self, Element};
use crate::panel::{Answer, Body, Inspection, Place, Request};

const SERVICES: [&str; 6] =
    ["esUsers", "esPackages", "esServers", "esTasks", "esVirtualizationServer2012", "esAuthentication"];

/// A request that passed.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// For the description of a service.
    Describe(&'static str),
    /// For an operation.
    Call(Asked),
}

/// An operation with its parameters.
#[derive(Clone, Debug)]
pub struct Asked {
    pub(super) operation: &'static Operation,
    /// The account that calls; 0 where none is needed.
    pub(super) caller: i32,
    pub(super) given: Members,
    pub(super) is_1_2: bool,
}

impl Asked {
    /// Rows to leave out.
    pub(super) fn offset(&self) -> usize {
        usize::try_from(self.given.int("startRow")).unwrap_or(0)
    }

    /// The most rows to show.
    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.given.int("maximumRows")).unwrap_or(0)
    }
}

/// What a request's address and headers say.
struct Target {
    service: &'static str,
    wants_description: bool,
}

/// The service of a path: `/esUsers.asmx`, and from 2.0 on `/esUsers` and the same below `/basic`.
fn target(request: &Request, version: Version) -> Option<Target> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let name = if version < Version::V2_0 {
        path.strip_prefix('/')?.strip_suffix(".asmx")?
    } else {
        path.strip_prefix("/basic/").or_else(|| path.strip_prefix('/'))?
    };
    let service = SERVICES.into_iter().find(|service| *service == name)?;
    let wants_description = request.method == "GET" && query.eq_ignore_ascii_case("wsdl");
    (wants_description || request.method == "POST").then_some(Target { service, wants_description })
}

/// The operation that a request names, as it names it, and whether it speaks SOAP 1.2.
fn action(request: &Request) -> (Option<String>, bool) {
    let kind = request.header("content-type").unwrap_or_default();
    let is_1_2 = kind.split(';').next().unwrap_or_default().trim() == "application/soap+xml";
    let action = if is_1_2 {
        kind.split(';').find_map(|part| part.trim().strip_prefix("action=")).map(str::to_owned)
    } else {
        request.header("soapaction").map(str::to_owned)
    };
    (action, is_1_2)
}

/// Where a request goes, by its name in the ledger.
pub(super) fn place(request: &Request, version: Version) -> Option<Place> {
    let target = target(request, version)?;
    if target.wants_description {
        return Some(Place { path: request.target.trim_start_matches('/').to_owned(), is_read: true });
    }
    let (action, _) = action(request);
    let name = action.as_deref().map(|action| action.trim_matches('"').rsplit('/').next().unwrap_or_default());
    let operation =
        name.and_then(|name| SCHEMA.operation(name, version)).filter(|found| found.service == target.service);
    let path = name.filter(|name| !name.is_empty()).unwrap_or("none").to_owned();
    Some(Place { path, is_read: operation.is_none_or(|operation| operation.is_read) })
}

/// Inspects a request.
pub(super) fn inspect(world: &World, request: &Request) -> Inspection<Accepted> {
    let mut inspector = Inspector { world, violations: Vec::new(), is_authentic: false };
    let result = inspector.inspect(request);
    Inspection { result, violations: inspector.violations, is_authentic: inspector.is_authentic }
}

struct Inspector<'a> {
    world: &'a World,
    violations: Vec<String>,
    is_authentic: bool,
}

impl Inspector<'_> {
    fn inspect(&mut self, request: &Request) -> Result<Accepted, Answer> {
        let version = self.world.version;
        let (action, is_1_2) = action(request);
        let style = Style { manners: &self.world.knobs.manners, version, is_1_2 };
        let Some(Target { service, wants_description }) = target(request, version) else {
            return Err(Answer::html(404));
        };
        if wants_description {
            return Ok(Accepted::Describe(service));
        }
        if version >= Version::V2_0 {
            return Err(style.fault("No anonymous access allowed."));
        }
        if !is_1_2 && !request.header("content-type").is_some_and(|kind| kind.starts_with("text/xml")) {
            self.bug("a body that is not labelled as XML");
            return Err(Answer::html(415));
        }
        let body = self.body(request, is_1_2).map_err(|text| {
            self.bug(&text);
            style.fault(&format!("Server was unable to read request. ---> {text}"))
        })?;
        let caller = match service {
            "esAuthentication" => 0,
            _ => self.authenticate(request).ok_or_else(unauthorized)?,
        };
        let operation = self.operation(action.as_deref(), service).map_err(|text| {
            // What another version has may be tried: nothing else tells them apart.
            if !SCHEMA
                .operations(Some(service))
                .any(|known| text.trim_matches('"') == format!("{NAMESPACE}/{}", known.name))
            {
                self.bug(&text);
            }
            style.fault(&format!("Server did not recognize the value of HTTP Header SOAPAction: {text}."))
        })?;
        if body.name != operation.name || body.space != NAMESPACE {
            self.bug(&format!("the body is {{{}}}{}", body.space, body.name));
            return Err(style.fault("Object reference not set to an instance of an object."));
        }
        let mut reading = Reading::new(version);
        let given = reading.members(&body, &operation.parameters, "");
        self.violations.append(&mut reading.bugs);
        let given = given.map_err(|text| style.fault(&text))?;
        self.judge(operation, &given);
        Ok(Accepted::Call(Asked { operation, caller, given, is_1_2 }))
    }

    /// The one element in the body of the envelope.
    fn body(&mut self, request: &Request, is_1_2: bool) -> Result<Element, String> {
        let envelope = xml::read(&request.body)?;
        let space = if is_1_2 { SOAP_1_2 } else { SOAP_1_1 };
        if envelope.space != space || envelope.name != "Envelope" {
            return Err(format!("{{{}}}{} instead of an envelope", envelope.space, envelope.name));
        }
        if let Some(header) = envelope.child(space, "Header") {
            for member in &header.children {
                self.bug(&format!("a header {} that nobody reads", member.name));
            }
        }
        let body = envelope.child(space, "Body").ok_or("an envelope without a body")?;
        match body.children.as_slice() {
            [one] => Ok(one.clone()),
            many => Err(format!("{} elements in a body", many.len())),
        }
    }

    fn operation(&self, action: Option<&str>, service: &str) -> Result<&'static Operation, String> {
        let action = action.ok_or("none")?;
        let quoted =
            action.strip_prefix('"').and_then(|action| action.strip_suffix('"')).ok_or("one without quotes")?;
        let name = quoted.strip_prefix(NAMESPACE).and_then(|rest| rest.strip_prefix('/')).ok_or(action)?;
        let found = SCHEMA.operation(name, self.world.version).filter(|operation| operation.service == service);
        found.ok_or_else(|| action.to_owned())
    }

    /// The account of Basic credentials, read with the server's own carelessness: of `user:password` the second piece
    /// is the password, whatever follows, and a byte beyond ASCII is a question mark.
    fn authenticate(&mut self, request: &Request) -> Option<i32> {
        let header = request.header("authorization")?;
        let decoded = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?.trim()).ok()?;
        if decoded.iter().filter(|byte| **byte == b':').count() > 1 {
            self.bug("a password with a colon, of which only the first piece is read");
        }
        let ascii: String = decoded.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect();
        let mut pieces = ascii.split(':');
        let (username, password) = (pieces.next()?, pieces.next()?);
        let user = self.world.user_named(username)?;
        let fits = password == user.password || password == digest(&user.password);
        if !fits {
            return None;
        }
        self.is_authentic = true;
        Some(user.id)
    }

    /// What is well formed and a mistake all the same.
    fn judge(&mut self, operation: &Operation, given: &Members) {
        if matches!(operation.name, "GetVirtualMachines" | "GetPackageIPAddresses") {
            for name in ["filterColumn", "filterValue", "sortColumn"] {
                if given.text(name).is_some_and(|text| !text.is_empty()) {
                    self.bug(&format!("{name} goes into the text of a query unread"));
                }
            }
        }
        if operation.name == "GetPackageIPAddresses" && given.int("packageId") <= 1 {
            self.bug("every address of the installation is asked for");
        }
        if given.text("maximumRows").is_some() && given.int("maximumRows") < 100 {
            self.bug("pages overlap: one large page is asked for, not many small ones");
        }
        if let Some(user) = given.members("user") {
            for (number, name, kind) in [
                ("RoleId", "Role", "UserRole"),
                ("StatusId", "Status", "UserStatus"),
                ("LoginStatusId", "LoginStatus", "UserLoginStatus"),
            ] {
                let named = user.text(name).and_then(|name| SCHEMA.number(kind, name));
                if named != Some(user.int(number)) {
                    self.bug(&format!("{number} and {name} do not agree"));
                }
            }
            for (name, length) in DETAILS.into_iter().chain([("Username", 50)]) {
                if length > 0 && user.string(name).chars().count() > length {
                    self.bug(&format!("{name} is longer than {length} and is cut in silence"));
                }
            }
        }
        if let Some(settings) = given.members("VMSettings").or(given.members("vmSettings")) {
            if settings.texts("Properties").is_some_and(|properties| !properties.is_empty()) {
                self.bug("Properties of an item");
            }
            let label = settings.string("Name");
            let label = label.split('.').next().unwrap_or_default();
            if label.is_empty() || label.len() > 15 {
                self.bug(&format!("the name's first label is {label:?}, which is not 1 to 15 characters"));
            }
        }
    }

    fn bug(&mut self, text: &str) {
        self.violations.push(text.to_owned());
    }
}

/// What the server takes for a password besides the password.
pub(super) fn digest(password: &str) -> String {
    BASE64_STANDARD.encode(Sha1::digest(password.as_bytes()))
}

pub(super) fn unauthorized() -> Answer {
    let body = Body::Bytes("text/plain; charset=utf-8", b"401 Access Denied".into());
    let answer = Answer { status: 401, headers: Vec::new(), body };
    answer.with_header("www-authenticate", "Basic Realm=\"SolidCP Enterprise Server\"")
}

/// The description of a service.
pub(super) fn describe(service: &str, version: Version) -> Answer {
    wsdl::describe(service, version)
}
