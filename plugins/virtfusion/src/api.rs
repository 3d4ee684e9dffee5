//! The panel's calls: how each request is built and how its answer is read. Nothing here sends, waits or decides.
//!
//! Source, unless said otherwise: VirtFusion Global API reference (OpenAPI file), the operation named.

pub mod access;
pub mod catalog;
pub mod guest;
pub mod resources;

use crate::fault;
use crate::member;
use crate::owner::Relation;
use crate::server::{Resources, Server};
use crate::settings::Product;
use billhook_plugin_api::{Fault, FaultClass, Reply, Request, Secret, segment};
use serde_json::{Map, Value, json};

/// What is secret in every answer, wherever it stands.
pub const REPLY_SECRETS: &[&str] = &[
    "**.decryptedPassword",
    "**.encryptedPassword",
    "**.password",
    "**.expectedPassword",
    "**.authentication.tokens",
    "**.endpoint_complete",
    "**.wss.token",
    "**.wss.url",
    // Queue items hold cloud-init data, keys and shell commands.
    "**.primaryActions",
    "**.subActions",
];

// Without this header the panel may answer with a web page.
fn get(path: impl Into<String>) -> Request {
    Request::get(path).header("Accept", "application/json")
}

fn post(path: impl Into<String>) -> Request {
    Request::post(path).header("Accept", "application/json")
}

/// "Test connection": `[]`, without a version.
pub fn connect() -> Request {
    get("/connect")
}

/// "Retrieve packages".
pub fn packages() -> Request {
    get("/packages")
}

/// "Retrieve hypervisor groups", the first only.
pub fn groups() -> Request {
    get("/compute/hypervisors/groups").query("results", 1)
}

/// "Retrieve servers", the first only.
pub fn servers() -> Request {
    get("/servers").query("type", "simple").query("results", 1)
}

/// "Retrieve a package".
pub fn package(id: u64) -> Request {
    get(format!("/packages/{id}"))
}

/// Reads what a package holds. A help for telling servers apart, so that whatever cannot be read is left out.
pub fn package_resources(reply: &Reply) -> Option<Resources> {
    let body: Value = serde_json::from_slice(&reply.body).ok().filter(|_| reply.status == 200)?;
    let number = |name: &str| body["data"][name].as_u64();
    Some(Resources {
        memory: number("memory"),
        storage: number("primaryStorage"),
        traffic: number("traffic"),
        cpu_cores: number("cpuCores"),
    })
}

/// "Retrieve a user (by external relation)".
pub fn user(relation: &Relation) -> Request {
    let request = get(format!("/users/{}/byExtRelation", segment(&relation.to_string())));
    match relation {
        Relation::Id(_) => request,
        Relation::Text(_) => request.query("relStr", "true"),
    }
}

/// Reads a user's id; `None` when the panel says that it has none by that relation.
pub fn user_reply(reply: &Reply, relation: &Relation) -> Result<Option<u64>, Fault> {
    if fault::is_gone(reply) {
        return Ok(None);
    }
    fault::check(reply, &[200])?;
    let user = data(reply)?;
    match (relation, member::whole(&user, "extRelationId")?) {
        (Relation::Id(wanted), Some(found)) if *wanted != found => Err(Fault::panel_bug(format!(
            "the panel was asked for the user with external relation id {wanted} and answered with another one's",
        ))),
        _ => user_id(&user).map(Some),
    }
}

fn user_id(user: &Value) -> Result<u64, Fault> {
    Ok(member::needed(member::whole(user, "id"), "id")?)
}

/// "Create a user". The answer holds a password, which is not used: the billing platform logs customers in.
pub fn new_user(relation: &Relation, name: &str, email: &str, product: &Product) -> Request {
    let mut body =
        json!({ "name": name, "email": email, "selfService": product.self_service.code(), "sendMail": false });
    match relation {
        Relation::Id(id) => body["extRelationId"] = json!(id),
        Relation::Text(text) => body["relStr"] = json!(text),
    }
    post("/users").json(&body).slow()
}

/// Reads the id of a new user.
pub fn new_user_reply(reply: &Reply) -> Result<u64, Fault> {
    fault::check(reply, &[200, 201])?;
    user_id(&data(reply)?)
}

/// "Retrieve a user's servers"; not paged.
pub fn servers_of(user: u64) -> Request {
    get(format!("/servers/user/{user}"))
}

/// Reads the ids of a user's servers.
pub fn servers_of_reply(reply: &Reply) -> Result<Vec<u64>, Fault> {
    fault::check(reply, &[200])?;
    let mut body = body(reply)?;
    // A part of the list would make old servers look new.
    if member::whole(&body, "last_page")?.is_some_and(|last| last > 1) {
        return Err(Fault::panel_bug("the panel answered with a part of the user's servers"));
    }
    match taken(&mut body) {
        Value::Array(rows) => rows.iter().map(|row| global_id(&row["id"])).collect(),
        _ => Err(no_data(reply)),
    }
}

/// "Create a server". `hypervisorId` is a hypervisor *group's* id. `ipv4` is always sent: without it panels have made
/// servers without an address.
pub fn order(user: u64, product: &Product) -> Request {
    let mut body = Map::new();
    body.insert("packageId".into(), json!(product.package_id));
    body.insert("userId".into(), json!(user));
    body.insert("hypervisorId".into(), json!(product.hypervisor_group_id));
    body.insert("ipv4".into(), json!(product.default_ipv4));
    for (name, value) in [
        ("memory", product.memory_mb),
        ("storage", product.storage_gb),
        ("traffic", product.traffic_gb),
        ("cpuCores", product.cpu_cores),
        ("networkSpeedInbound", product.network_speed_inbound_kbs),
        ("networkSpeedOutbound", product.network_speed_outbound_kbs),
        ("storageProfile", product.storage_profile),
        ("networkProfile", product.network_profile),
    ] {
        body.extend(value.map(|value| (name.to_owned(), json!(value))));
    }
    for (name, ids) in
        [("firewallRulesets", &product.firewall_rulesets), ("hypervisorAssetGroups", &product.hypervisor_asset_groups)]
    {
        body.extend(ids.as_ref().map(|ids| (name.to_owned(), json!(ids))));
    }
    post("/servers").json(&body).slow()
}

/// Reads the id of an ordered server; the owner must be the one that it was ordered for.
pub fn order_reply(reply: &Reply, user: u64) -> Result<u64, Fault> {
    fault::check(reply, &[200, 201]).map_err(|fault| match reply.status {
        // The order itself cannot be busy: what it clashes with stays until somebody changes it.
        409 => fault.in_class(FaultClass::InvalidInput),
        _ => fault,
    })?;
    let ordered = data(reply)?;
    let id = global_id(&ordered["id"])?;
    match member::whole(&ordered, "ownerId")? {
        Some(owner) if owner == user => Ok(id),
        _ => Err(Fault::panel_bug(format!(
            "server {id} was ordered for user {user} and the panel does not show it as theirs"
        ))),
    }
}

/// "Retrieve a server".
pub fn server(id: u64) -> Request {
    get(format!("/servers/{id}"))
}

/// "Retrieve a server", with what the hypervisor says of it: a call to the hypervisor, so only where that is wanted.
pub fn server_with_power(id: u64) -> Request {
    server(id).query("remoteState", "true")
}

/// Reads a server; `None` when the panel says in words that it has none.
pub fn server_reply(reply: &Reply, id: u64) -> Result<Option<Server>, Fault> {
    if fault::is_gone(reply) {
        return Ok(None);
    }
    fault::check(reply, &[200])?;
    let found = Server::read(&server_data(reply)?)?;
    if found.id == id {
        Ok(Some(found))
    } else {
        Err(Fault::panel_bug(format!("the panel was asked for server {id} and answered with server {}", found.id)))
    }
}

/// "Modify server name". Source of the path: V7; the older `PATCH …/name` is gone.
pub fn rename(id: u64, name: &str) -> Request {
    Request::put(format!("/servers/{id}/modify/name"))
        .header("Accept", "application/json")
        .json(&json!({ "name": name }))
}

/// Reads the answer to [`rename`], which has no body.
pub fn rename_reply(reply: &Reply) -> Result<(), Fault> {
    fault::check(reply, &[200, 201, 204])
}

/// "Build a server".
pub fn build(id: u64, name: &str, hostname: Option<&str>, os_template: u64, product: &Product) -> Request {
    let mut body = json!({
        "operatingSystemId": os_template, "name": name, "ipv6": product.build_ipv6, "email": product.build_email,
    });
    if let Some(hostname) = hostname {
        body["hostname"] = json!(hostname);
    }
    if !product.ssh_keys.is_empty() {
        body["sshKeys"] = json!(product.ssh_keys);
    }
    post(format!("/servers/{id}/build")).json(&body).slow()
}

/// Reads the password of the administrator from the answer to [`build`]: the only place where it ever stands in clear.
pub fn build_reply(reply: &Reply, id: u64) -> Result<Option<Secret<String>>, Fault> {
    fault::check(reply, &[200, 201])?;
    let found = server_data(reply)?;
    if found["id"].as_u64() != Some(id) {
        return Err(Fault::panel_bug(format!(
            "the panel was asked to build server {id} and answered with another one"
        )));
    }
    let password = member::text(&found, "settings.decryptedPassword")?;
    Ok(password.filter(|password| !password.is_empty()).map(|password| Secret::new(password.to_owned())))
}

/// "Suspend a server".
pub fn suspend(id: u64) -> Request {
    post(format!("/servers/{id}/suspend"))
}

/// "Unsuspend a server".
pub fn unsuspend(id: u64) -> Request {
    post(format!("/servers/{id}/unsuspend"))
}

/// "Delete a server". `delay_min` is always sent: panels differ in what they do without it.
pub fn delete(id: u64, delay_min: u32) -> Request {
    Request::delete(format!("/servers/{id}")).header("Accept", "application/json").query("delay", delay_min)
}

/// Reads the answer to [`suspend`], [`unsuspend`] or [`delete`]: accepted, perhaps for later.
pub fn accepted(reply: &Reply) -> Result<(), Fault> {
    fault::check(reply, &[200, 202, 204])?;
    match fault::Shape::of(reply) {
        fault::Shape::Words(text) => Err(complaint(reply, &text)),
        _ => Ok(()),
    }
}

/// A path on the panel's host, as the panel gives for its own pages. What would lead to another host is refused: the
/// customer would take the keys there.
fn panel_path(value: &Value, place: &str) -> Result<String, Fault> {
    match value.as_str() {
        Some(path)
            if path.starts_with('/')
                && !path.starts_with("//")
                && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') =>
        {
            Ok(path.to_owned())
        }
        _ => Err(Fault::panel_bug(format!("the panel's answer has no path of its own pages, at {place}"))),
    }
}

/// The whole of an answer that must have a body.
fn body(reply: &Reply) -> Result<Value, Fault> {
    serde_json::from_slice(&reply.body).map_err(|_| fault::untrusted(reply.status, "nothing where data belongs"))
}

/// The `data` of an answer. What is no object has none; to index it for a change would be a panic.
fn taken(body: &mut Value) -> Value {
    body.get_mut("data").map(Value::take).unwrap_or_default()
}

/// The `data` of an answer that is one thing.
fn data(reply: &Reply) -> Result<Value, Fault> {
    match taken(&mut body(reply)?) {
        data @ Value::Object(_) => Ok(data),
        _ => Err(no_data(reply)),
    }
}

/// A failure that calls itself a success.
fn complaint(reply: &Reply, text: &str) -> Fault {
    Fault::panel_bug(format!("the panel answered {} and complains: {text}", reply.status))
        .with_code(reply.status.to_string())
}

/// An answer that has something else, perhaps the panel's words, in place of its data.
fn no_data(reply: &Reply) -> Fault {
    if let fault::Shape::Words(text) = fault::Shape::of(reply) {
        return complaint(reply, &text);
    }
    Fault::panel_bug(format!("the panel's answer ({}) has not the data that it should have, at data", reply.status))
        .with_code(reply.status.to_string())
}

/// The `data` of an answer that is a server, once its id says that this is the right API.
fn server_data(reply: &Reply) -> Result<Value, Fault> {
    let data = data(reply)?;
    global_id(&data["id"])?;
    Ok(data)
}

/// An id of the Global API is a number; the end users' API has UUIDs in its place.
fn global_id(id: &Value) -> Result<u64, Fault> {
    id.as_u64().ok_or_else(|| {
        if id.as_str().is_none_or(|text| text.len() != 36) {
            return member::misfit("id");
        }
        Fault::new(
            FaultClass::Auth,
            "wrong API: the id of a server is no number but a UUID, as with an end user's token; make a token of the Global API in \
             the admin area under Configuration, API",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Build;
    use crate::stage::product;

    fn reply(status: u16, body: &str) -> Reply {
        let headers = vec![("Content-Type".into(), "application/json".into())];
        Reply { status, headers, body: body.into(), retry_after_ms: None }
    }

    /// `METHOD path?query`, the headers' names, and the body.
    fn shown(request: &Request) -> (String, Vec<&str>, Value) {
        let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let headers = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        (
            format!("{} {}{query}", request.method, request.path),
            headers,
            serde_json::from_slice(&request.body).unwrap_or_default(),
        )
    }

    #[test]
    fn requests_without_a_body_are_exact() {
        let text = Relation::Text("shop-4".into());
        for (request, expected) in [
            (connect(), "GET /connect"),
            (packages(), "GET /packages"),
            (package(3), "GET /packages/3"),
            (groups(), "GET /compute/hypervisors/groups?results=1"),
            (servers(), "GET /servers?type=simple&results=1"),
            (user(&Relation::Id(42)), "GET /users/42/byExtRelation"),
            (user(&text), "GET /users/shop-4/byExtRelation?relStr=true"),
            (servers_of(300), "GET /servers/user/300"),
            (server(7), "GET /servers/7"),
            (server_with_power(7), "GET /servers/7?remoteState=true"),
            (suspend(7), "POST /servers/7/suspend"),
            (unsuspend(7), "POST /servers/7/unsuspend"),
            (delete(7, 0), "DELETE /servers/7?delay=0"),
            (delete(7, 43_799), "DELETE /servers/7?delay=43799"),
        ] {
            assert_eq!(shown(&request), (expected.to_owned(), vec!["Accept"], Value::Null));
            assert!(request.body.is_empty());
        }
    }

    #[test]
    fn requests_with_a_body_are_exact() {
        let plain = product(json!({}));
        let full = product(json!({
            "default_ipv4": 0, "memory_mb": 2048, "storage_gb": 20, "traffic_gb": 0, "cpu_cores": 2,
            "network_speed_inbound_kbs": 12500, "network_speed_outbound_kbs": 125000, "storage_profile": 4,
            "network_profile": 5, "firewall_rulesets": [-1], "hypervisor_asset_groups": [6], "build_ipv6": true,
            "build_email": true, "ssh_keys": [8, 9], "self_service": "both",
        }));
        let text = Relation::Text("shop-4".into());
        for (request, call, body) in [
            (
                new_user(&Relation::Id(42), "Ann", "ann@example.com", &plain),
                "POST /users",
                json!({ "name": "Ann", "email": "ann@example.com", "selfService": 0, "sendMail": false, "extRelationId": 42 }),
            ),
            (
                new_user(&text, "Ann", "ann@example.com", &full),
                "POST /users",
                json!({ "name": "Ann", "email": "ann@example.com", "selfService": 3, "sendMail": false, "relStr": "shop-4" }),
            ),
            (
                order(300, &plain),
                "POST /servers",
                json!({ "packageId": 1, "userId": 300, "hypervisorId": 2, "ipv4": 1 }),
            ),
            (
                order(300, &full),
                "POST /servers",
                json!({
                    "packageId": 1, "userId": 300, "hypervisorId": 2, "ipv4": 0, "memory": 2048, "storage": 20,
                    "traffic": 0, "cpuCores": 2, "networkSpeedInbound": 12500, "networkSpeedOutbound": 125000,
                    "storageProfile": 4, "networkProfile": 5, "firewallRulesets": [-1], "hypervisorAssetGroups": [6],
                }),
            ),
            (rename(7, "n"), "PUT /servers/7/modify/name", json!({ "name": "n" })),
            (
                build(7, "n", None, 10, &plain),
                "POST /servers/7/build",
                json!({ "operatingSystemId": 10, "name": "n", "ipv6": false, "email": false }),
            ),
            (
                build(7, "n", Some("vm.example.com"), 10, &full),
                "POST /servers/7/build",
                json!({
                    "operatingSystemId": 10, "name": "n", "ipv6": true, "email": true, "hostname": "vm.example.com",
                    "sshKeys": [8, 9],
                }),
            ),
        ] {
            assert_eq!(shown(&request), (call.to_owned(), vec!["Accept", "Content-Type"], body));
            assert!(!request.is_read());
        }
    }

    const ALLOCATED: &str = r#"{"data":{"id":7,"ownerId":300,"uuid":"u","state":"allocated","commissionStatus":0,
        "suspended":false,"buildFailed":false,"built":null,"name":"","settings":{"osTemplateInstallId":0}}}"#;

    #[test]
    fn members_that_are_not_needed_may_be_absent_and_new_ones_anything() {
        let odd = ALLOCATED.replace(
            r#""name":"""#,
            r#""tasks":[],"network":{},"owner":null,"hypervisor":{"maintenance":null},"remoteState":false,"new":{}"#,
        );

        let server = server_reply(&reply(200, &odd), 7).unwrap().unwrap();

        assert_eq!((server.build(), server.ips.len(), server.power()), (Build::Awaited, 0, None));
    }

    #[test]
    fn a_member_that_is_needed_is_named_when_it_does_not_fit() {
        for (from, to, place) in [
            (r#""ownerId":300"#, r#""ownerId":"three""#, "data.ownerId"),
            (r#""name":"""#, r#""name":5"#, "data.name"),
            (r#""name":"""#, r#""remoteState":true"#, "data.remoteState.state"),
            (r#""name":"""#, r#""hypervisor":{"maintenance":"no"}"#, "data.hypervisor.maintenance"),
            (r#""osTemplateInstallId":0"#, r#""osTemplateInstallId":{}"#, "data.settings.osTemplateInstallId"),
            (r#""suspended":false"#, r#""suspended":"no""#, "data.suspended"),
            (r#""state":"allocated""#, r#""state":1"#, "data.state"),
            (r#""built":null,"#, "", "data.built"),
            (r#""data""#, r#""date""#, "data"),
        ] {
            let fault = server_reply(&reply(200, &ALLOCATED.replace(from, to)), 7).unwrap_err();
            assert_eq!((fault.class, fault.refused), (FaultClass::PanelBug, false), "{to}");
            assert!(fault.staff.contains(&format!("at {place}")), "{fault}");
        }
    }

    #[test]
    fn a_server_without_a_number_is_of_the_wrong_api() {
        const UUID: &str = "2f1c6d8e-0a51-4c6e-9f0e-3b8a3c1d2e4f";
        let body = ALLOCATED.replace(r#""id":7"#, &format!(r#""id":"{UUID}""#));
        for fault in [
            server_reply(&reply(200, &body), 7).unwrap_err(),
            order_reply(&reply(201, &body), 300).unwrap_err(),
            servers_of_reply(&reply(200, &format!(r#"{{"data":[{{"id":"{UUID}"}}]}}"#))).unwrap_err(),
        ] {
            assert_eq!((fault.class, fault.refused), (FaultClass::Auth, false));
            assert!(fault.staff.starts_with("wrong API"), "{fault}");
        }
    }

    #[test]
    fn a_success_without_its_data_is_a_failure() {
        let complaint = order_reply(&reply(200, r#"{"errors":["no room"]}"#), 300).unwrap_err();
        assert!(complaint.staff.ends_with("no room"), "{complaint}");
        let empty = server_reply(&reply(200, ""), 7).unwrap_err();
        assert_eq!((empty.class, empty.refused), (FaultClass::InDoubt, false));
        let complaint = accepted(&reply(200, r#"{"msg":"no"}"#)).unwrap_err();
        assert_eq!((complaint.class, complaint.refused), (FaultClass::PanelBug, false));
        assert_eq!(accepted(&reply(204, "")), Ok(()));
    }

    #[test]
    fn an_answer_about_another_thing_is_not_taken() {
        assert!(server_reply(&reply(200, ALLOCATED), 8).is_err());
        assert!(build_reply(&reply(200, ALLOCATED), 8).is_err());
        assert!(order_reply(&reply(201, ALLOCATED), 301).is_err());
        assert_eq!(order_reply(&reply(201, ALLOCATED), 300), Ok(7));
        let user = reply(200, r#"{"data":{"id":300,"extRelationId":42}}"#);
        assert!(user_reply(&user, &Relation::Id(43)).is_err());
        assert_eq!(user_reply(&user, &Relation::Id(42)), Ok(Some(300)));
        assert_eq!(user_reply(&user, &Relation::Text("shop-4".into())), Ok(Some(300)));
    }

    #[test]
    fn a_part_of_the_users_servers_is_not_taken_for_all() {
        let page = |last| format!(r#"{{"current_page":1,"last_page":{last},"data":[{{"id":7}}]}}"#);
        assert_eq!(servers_of_reply(&reply(200, &page(1))), Ok(vec![7]));
        assert!(servers_of_reply(&reply(200, &page(2))).is_err());
        assert_eq!(servers_of_reply(&reply(200, r#"{"data":[]}"#)), Ok(vec![]));
    }

    #[test]
    fn a_build_may_answer_without_a_password() {
        assert_eq!(build_reply(&reply(200, ALLOCATED), 7), Ok(None));
        let with = ALLOCATED.replace(r#""osTemplateInstallId":0"#, r#""decryptedPassword":"clear-1""#);
        assert_eq!(build_reply(&reply(200, &with), 7), Ok(Some(Secret::new("clear-1".to_owned()))));
    }
}
