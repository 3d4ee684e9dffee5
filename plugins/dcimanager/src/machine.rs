//! A machine as the panel shows it: a row of the list, and its form.

use crate::answer::misfit;
use crate::form::{Form, Id};
use crate::mark::Mark;
use crate::xml::Node;
use billhook_plugin_api::Fault;
use serde_json::{Map, Value, json};

/// The name by which a machine is for sale.
pub const FREE_HOST: &str = "free.ds";

/// The key that clears an owner.
pub const NO_OWNER: &str = "no_owner";

/// A row of the list. Flags are elements whose presence means true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub hostname: String,
    pub ip: Option<String>,
    /// Name or id, as the panel likes; absent for none.
    pub owner: Option<String>,
    pub kind: Option<String>,
    pub chassis: Option<String>,
    pub rack: Option<String>,
    /// Label of the IPMI connection.
    pub ipmi: Option<String>,
    pub on: bool,
    pub off: bool,
    pub power_error: bool,
    pub disabled: bool,
    pub blocked: bool,
    pub hardware: bool,
    pub diagnostics: bool,
    pub installing: bool,
    pub failed: bool,
}

/// Asks for all machines. The list's saved filter is left out of it.
pub fn list() -> Form {
    Form::view("server").with("filter", "off")
}

/// The rows of a list. `p_elems` tells how many there are, where the panel cuts lists.
pub fn elements(doc: &Node) -> Result<Vec<&Node>, Fault> {
    let rows: Vec<&Node> = doc.all("elem").collect();
    if let Some(all) = doc.text("p_elems").and_then(|text| text.parse::<usize>().ok())
        && all > rows.len()
    {
        return Err(Fault::panel_bug(format!(
            "the panel shows {} of {all} rows: switch paging and filters off for the account that Billhook uses",
            rows.len()
        )));
    }
    Ok(rows)
}

/// All machines, each once.
pub fn rows(doc: &Node) -> Result<Vec<Row>, Fault> {
    let mut found = Map::new();
    let mut rows: Vec<Row> = Vec::new();
    for element in elements(doc)? {
        let row = Row::read(element)?;
        let known = found.get(&row.id).and_then(Value::as_u64).and_then(|at| rows.get(usize::try_from(at).ok()?));
        match known {
            None => {
                found.insert(row.id.clone(), json!(rows.len()));
                rows.push(row);
            }
            Some(known) if *known == row => {}
            Some(_) => return Err(Fault::panel_bug(format!("the panel lists server {} twice, differently", row.id))),
        }
    }
    Ok(rows)
}

impl Row {
    fn read(row: &Node) -> Result<Self, Fault> {
        let id = row.text("id").and_then(Id::new).ok_or_else(|| misfit("doc.elem.id"))?;
        // An owner in another shape must not read as none.
        if let Some(name) = row.not_text(&["hostname", "ip", "owner", "type", "chassis_templ", "rack", "ipmi"]) {
            return Err(misfit(&format!("doc.elem.{name}")));
        }
        let text = |name: &str| row.text(name).map(str::to_owned);
        Ok(Self {
            id: id.as_str().to_owned(),
            hostname: host_name(row.text("hostname").unwrap_or_default()),
            ip: text("ip"),
            owner: text("owner").filter(|owner| owner != NO_OWNER),
            kind: text("type"),
            chassis: text("chassis_templ"),
            rack: text("rack"),
            ipmi: text("ipmi"),
            on: row.has("poweron"),
            off: row.has("poweroff"),
            power_error: row.has("powererror"),
            disabled: row.has("disabled"),
            blocked: row.has("blocked"),
            hardware: row.has("hwproblem"),
            diagnostics: row.has("diag_in_progress"),
            installing: row.has("install_in_progress"),
            failed: row.has("operation_failed"),
        })
    }

    /// Whether it is what a product is called by. Names are compared as they stand, never as part of a query.
    pub fn is_of(&self, package: &str) -> bool {
        let package = package.trim();
        [&self.chassis, &self.kind].into_iter().flatten().any(|name| name == package)
    }

    /// The panel's word for its power.
    pub const fn power(&self) -> Option<&'static str> {
        match (self.on, self.off, self.power_error) {
            (_, _, true) => Some("error"),
            (true, false, _) => Some("on"),
            (false, true, _) => Some("off"),
            _ => None,
        }
    }

    pub const fn is_suspended(&self) -> bool {
        self.disabled || self.blocked
    }

    /// Facts for staff.
    pub fn properties(&self) -> Map<String, Value> {
        let mut properties = Map::new();
        for (name, value) in [
            ("domain", Some(&self.hostname).filter(|name| !name.is_empty())),
            ("main_ip", self.ip.as_ref()),
            ("type", self.kind.as_ref()),
            ("configuration", self.chassis.as_ref()),
            ("rack", self.rack.as_ref()),
        ] {
            if let Some(value) = value {
                properties.insert(name.to_owned(), json!(value));
            }
        }
        properties
    }
}

/// The form of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub id: Id,
    pub mac: String,
    pub name: String,
    pub notes: String,
    pub kind: String,
    /// Id of the account; absent for none.
    pub owner: Option<String>,
}

impl View {
    pub fn request(id: &Id) -> Form {
        Form::view_of("server.edit", id)
    }

    pub fn read(doc: &Node, id: &Id) -> Result<Self, Fault> {
        // Any document that is no error would otherwise read as a machine without an owner.
        if !doc.has("owner") && !doc.has("mac") {
            return Err(misfit("doc.owner"));
        }
        if let Some(name) = doc.not_text(&["elid", "owner", "mac", "name", "notes", "type"]) {
            return Err(misfit(&format!("doc.{name}")));
        }
        if let Some(shown) = doc.text("elid")
            && shown != id.as_str()
        {
            return Err(Fault::panel_bug(format!("the panel shows server {shown} where {id} was asked for")));
        }
        let text = |name: &str| doc.text(name).unwrap_or_default().to_owned();
        let owner = doc.text("owner").filter(|owner| *owner != NO_OWNER).map(str::to_owned);
        Ok(Self {
            id: id.clone(),
            mac: text("mac"),
            name: text("name"),
            notes: text("notes"),
            kind: text("type"),
            owner,
        })
    }

    pub fn mark(&self) -> Option<Mark> {
        Mark::find(&self.notes)
    }

    /// Gives it an owner and notes. All else of the form is sent as it was: whether the panel keeps what is left out is
    /// not documented.
    pub fn edit(&self, owner: &str, notes: &str) -> Form {
        Form::edit("server.edit", &self.id)
            .with("mac", &self.mac)
            .with("name", &self.name)
            .with("notes", notes)
            .with("type", &self.kind)
            .with("owner", owner)
    }
}

/// A host name for comparing: small letters, no dot at its end.
pub fn host_name(name: &str) -> String {
    name.trim().trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the panel and the world take it as a host name. Never the one by which machines are for sale.
pub fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label) && host_name(name) != FREE_HOST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(text: &str) -> Node {
        Node::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn flags_are_presence_and_an_empty_owner_is_none() {
        let doc = doc("<doc><elem><id>42</id><hostname>Free.DS.</hostname><owner/><poweroff/><extra>x</extra></elem>\
             <elem><id>43</id><owner>no_owner</owner><poweron/><install_in_progress>1</install_in_progress></elem>\
             <elem><id>44</id><owner>acme</owner></elem></doc>");
        let rows = rows(&doc).unwrap();
        assert_eq!(
            (rows[0].hostname.as_str(), &rows[0].owner, rows[0].off, rows[0].on),
            (FREE_HOST, &None, true, false)
        );
        assert_eq!((&rows[1].owner, rows[1].installing), (&None, true));
        assert_eq!(rows[2].owner.as_deref(), Some("acme"));
    }

    #[test]
    fn a_list_that_is_cut_or_contradicts_itself_is_refused() {
        for text in [
            "<doc><p_elems>3</p_elems><elem><id>1</id></elem></doc>",
            "<doc><elem><id>1</id></elem><elem><id>1</id><owner>x</owner></elem></doc>",
            "<doc><elem><hostname>x</hostname></elem></doc>",
            "<doc><elem><id>1,2</id></elem></doc>",
        ] {
            assert!(rows(&doc(text)).is_err(), "{text}");
        }
        assert_eq!(rows(&doc("<doc><elem><id>1</id></elem><elem><id>1</id></elem></doc>")).unwrap().len(), 1);
        assert!(rows(&doc("<doc/>")).unwrap().is_empty());
    }

    #[test]
    fn a_package_is_compared_and_never_pasted() {
        let row = Row { chassis: Some("E3' or '1'='1".into()), kind: Some("E3".into()), ..Row::default() };
        assert!(row.is_of(" E3 ") && row.is_of("E3' or '1'='1"));
        assert!(!row.is_of("e3") && !row.is_of("' or '1'='1"));
    }

    #[test]
    fn a_form_is_echoed_with_what_changes() {
        let id = Id::new("42").unwrap();
        let text = "<doc><elid>42</elid><name>R2</name><mac>52:54</mac><type>7</type><owner>no_owner</owner><notes>n</notes></doc>";
        let view = View::read(&doc(text), &id).unwrap();
        assert_eq!(view.owner, None);
        let body = String::from_utf8(view.edit("5", "n [x]").request(None).body).unwrap();
        assert_eq!(
            body,
            "func=server.edit&elid=42&sok=ok&mac=52%3A54&name=R2&notes=n%20%5Bx%5D&type=7&owner=5&out=xml&lang=en"
        );
        for text in ["<doc/>", "<doc><ok/></doc>", "<doc><elid>43</elid><owner>5</owner></doc>"] {
            assert!(View::read(&doc(text), &id).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_name_has_two_labels_and_is_not_for_sale() {
        for (name, expected) in [
            ("svc1007.example.net", true),
            ("a.b", true),
            ("a", false),
            ("free.ds", false),
            ("FREE.ds", false),
            ("a..b", false),
            ("-a.b", false),
            ("a b.c", false),
            ("\u{fc}.de", false),
        ] {
            assert_eq!(is_host_name(name), expected, "{name}");
        }
    }
}
