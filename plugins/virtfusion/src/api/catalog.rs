//! Lists of what the panel has, a page at a time.

use super::{Value, body, get, global_id, member, no_data};
use crate::fault;
use billhook_plugin_api::{Fault, Reply, Request};

/// Rows of a page; the most that the panel gives.
const PER_PAGE: u32 = 200;

/// "Retrieve servers".
pub fn servers_page(page: u64) -> Request {
    get("/servers").query("type", "simple").query("results", PER_PAGE).query("page", page)
}

/// "Retrieve hypervisor groups".
pub fn groups_page(page: u64) -> Request {
    get("/compute/hypervisors/groups").query("results", PER_PAGE).query("page", page)
}

/// "Retrieve the resources of a hypervisor group".
pub fn group_resources_page(group: u64, page: u64) -> Request {
    get(format!("/compute/hypervisors/groups/{group}/resources")).query("results", PER_PAGE).query("page", page)
}

/// One page of a list. Its links to other pages are not looked at: they may hold an address that only the panel can reach.
pub struct Page {
    pub rows: Vec<Value>,
    pub last: u64,
}

/// Reads a page.
pub fn page_reply(reply: &Reply) -> Result<Page, Fault> {
    fault::check(reply, &[200])?;
    let mut body = body(reply)?;
    match (super::taken(&mut body), member::whole(&body, "last_page")?) {
        (Value::Array(rows), Some(last)) => Ok(Page { rows, last }),
        _ => Err(no_data(reply)),
    }
}

/// A server in the panel's list.
pub struct Row {
    pub id: u64,
    pub uuid: Option<String>,
    pub name: Option<String>,
    pub owner_id: Option<u64>,
    pub suspended: bool,
    /// 0 allocated, 1 queued, 2 failed, 3 complete.
    pub commissioned: Option<u64>,
    pub created: Option<String>,
}

/// Reads a row of [`servers_page`].
pub fn server_row(row: &Value) -> Result<Row, Fault> {
    let text =
        |place: &str| Ok::<_, Fault>(member::text(row, place)?.filter(|text| !text.is_empty()).map(str::to_owned));
    Ok(Row {
        id: global_id(&row["id"])?,
        uuid: text("uuid")?,
        name: text("name")?,
        owner_id: member::whole(row, "owner")?,
        suspended: member::truth(row, "suspended")?.unwrap_or_default(),
        commissioned: member::whole(row, "commissioned")?,
        created: text("created")?,
    })
}

/// "Retrieve a server's backups".
pub fn backups(id: u64) -> Request {
    get(format!("/backups/server/{id}"))
}

/// Reads a list that is passed on as it is.
pub fn list_reply(reply: &Reply) -> Result<Vec<Value>, Fault> {
    fault::check(reply, &[200])?;
    match super::taken(&mut body(reply)?) {
        Value::Array(rows) => Ok(rows),
        _ => Err(no_data(reply)),
    }
}
