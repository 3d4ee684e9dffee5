//! A site as the panel shows it.

use billhook_plugin_api::{ListedAccount, ServiceState};
use billhook_soap::{Node, Param, ReadError, entries, items};
use serde_json::{Map, Value, json};

/// What is asked of every site: by name, never "everything", which holds secrets.
pub const FIELDS: &[&str] = &[
    "siteinfo.domain",
    "siteinfo.admin_user",
    "siteinfo.email",
    "siteinfo.plan",
    "billing.invoice",
    "billing.parent_invoice",
    "billing.ctime",
];

/// What a product can set beside the plan.
pub const LIMITS: &[&str] = &[
    "diskquota.quota",
    "diskquota.units",
    "bandwidth.threshold",
    "bandwidth.units",
    "aliases.max",
    "users.max",
    "ssh.enabled",
];

/// A row of `admin_collect`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Site {
    /// The panel's key of the row: the site's id, or what it was asked by.
    pub key: String,
    /// The primary domain.
    pub domain: String,
    /// Suspended if `Some(false)`.
    pub active: Option<bool>,
    pub admin_user: Option<String>,
    pub email: Option<String>,
    pub plan: Option<String>,
    pub invoice: Option<String>,
    pub parent_invoice: Option<String>,
    /// Unix time.
    pub ctime: Option<String>,
    /// Those of [`LIMITS`] that were asked for and are set, in their order.
    pub limits: Vec<(&'static str, String)>,
}

impl Site {
    /// How it is called in texts.
    pub fn label(&self) -> String {
        if self.key == self.domain { self.domain.clone() } else { format!("{} ({})", self.key, self.domain) }
    }

    /// A value of [`LIMITS`].
    pub fn limit(&self, name: &str) -> Option<&str> {
        self.limits.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// In billing words.
    pub fn state(&self) -> ServiceState {
        match self.active {
            Some(true) => ServiceState::Active,
            Some(false) => ServiceState::Suspended,
            None => ServiceState::Unknown,
        }
    }

    /// What is kept with a service and shown to staff.
    pub fn properties(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        for (name, value) in [
            ("domain", Some(&self.domain)),
            ("admin_user", self.admin_user.as_ref()),
            ("plan", self.plan.as_ref()),
            ("invoice", self.invoice.as_ref()),
            ("parent_invoice", self.parent_invoice.as_ref()),
        ] {
            if let Some(value) = value {
                shown.insert(name.to_owned(), json!(value));
            }
        }
        shown
    }

    /// A row of a list.
    pub fn listed(self) -> ListedAccount {
        let mut properties = self.properties();
        for known in ["domain", "admin_user", "plan"] {
            properties.remove(known);
        }
        let state = self.state();
        ListedAccount {
            remote_id: self.key,
            username: self.admin_user,
            domain: Some(self.domain),
            email: self.email,
            package: self.plan,
            ips: Vec::new(),
            state,
            created_at: self.ctime,
            properties,
        }
    }
}

/// The parts of `admin_collect`: fields, filter and sites. No filter is null, no sites is an empty list.
pub fn collect<'p>(fields: &[&str], query: &[(&str, Param)], sites: &[&str]) -> [(&'p str, Param); 3] {
    let query = match query {
        [] => Param::Nil,
        some => Param::Map(some.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()),
    };
    [("params", Param::texts(fields.iter().copied())), ("query", query), ("sites", Param::texts(sites.iter().copied()))]
}

/// Reads the rows of `admin_collect`.
pub fn sites(node: Node<'_>) -> Result<Vec<Site>, ReadError> {
    entries(node)?.into_iter().map(|(key, row)| site(key, row)).collect()
}

fn site(key: &str, row: Node<'_>) -> Result<Site, ReadError> {
    let services = entries(row)?;
    let value = |service: &str, name: &str| -> Result<Option<String>, ReadError> {
        let dotted = services.iter().find(|(key, _)| key.split_once('.') == Some((service, name)));
        if let Some((_, value)) = dotted {
            return text(*value);
        }
        let Some((_, members)) = services.iter().find(|(key, _)| *key == service) else { return Ok(None) };
        if members.is_nil() {
            return Ok(None);
        }
        let members = entries(*members)?;
        let found = members.iter().find(|(key, _)| *key == name);
        found.map_or(Ok(None), |(_, value)| text(*value))
    };
    let own = |name: &str| services.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let domain = match own("domain").map(text).transpose()?.flatten() {
        Some(domain) => domain,
        None => value("siteinfo", "domain")?.ok_or_else(|| row.missing("domain"))?,
    };
    let mut limits = Vec::new();
    for name in LIMITS {
        if let Some((service, member)) = name.split_once('.')
            && let Some(set) = value(service, member)?
        {
            limits.push((*name, set));
        }
    }
    Ok(Site {
        key: key.to_owned(),
        domain: domain.to_ascii_lowercase(),
        active: own("active").filter(|active| !active.is_nil()).map(Node::bool).transpose()?,
        admin_user: value("siteinfo", "admin_user")?,
        email: value("siteinfo", "email")?,
        plan: value("siteinfo", "plan")?,
        invoice: value("billing", "invoice")?,
        parent_invoice: value("billing", "parent_invoice")?,
        ctime: value("billing", "ctime")?,
        limits,
    })
}

/// A text, the first of a list of them; `None` for null and for nothing.
fn text(node: Node<'_>) -> Result<Option<String>, ReadError> {
    let node = match node.children().next() {
        Some(_) => items(node)?.into_iter().next(),
        None => Some(node),
    };
    let text = node.map(Node::text).transpose()?.unwrap_or_default().trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use billhook_soap::Limits;

    fn read(inner: &str) -> Result<Vec<Site>, String> {
        let text = format!("<return xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'>{inner}</return>");
        let tree = Limits::default().read(None, text.as_bytes()).unwrap();
        sites(tree.root()).map_err(|error| error.to_string())
    }

    fn item(key: &str, value: &str) -> String {
        format!("<item><key>{key}</key><value>{value}</value></item>")
    }

    const NIL: &str = "<item><key>invoice</key><value xsi:nil='true'/></item>";

    #[test]
    fn a_row_is_read_whatever_form_its_members_have() {
        let siteinfo = item("domain", "A.example")
            + &item("admin_user", "auser")
            + &item("plan", "basic")
            + &item("email", "<item>x@example.org</item><item>y@example.org</item>");
        let nested = item("siteinfo", &siteinfo)
            + &item("billing", &format!("{NIL}{}", item("parent_invoice", "m-1")))
            + &item("aliases", "")
            + &item("diskquota", &item("quota", "5000"))
            + "<item><key>cgroup</key><value xsi:nil='true'/></item>"
            + &item("active", "true")
            + &item("domain", "A.example");
        let dotted = item("siteinfo.domain", "b.example") + &item("billing.invoice", "7") + &item("active", "0");

        let found = read(&(item("site12", &nested) + &item("b.example", &dotted))).unwrap();

        assert_eq!(
            found,
            [
                Site {
                    key: "site12".into(),
                    domain: "a.example".into(),
                    active: Some(true),
                    admin_user: Some("auser".into()),
                    email: Some("x@example.org".into()),
                    plan: Some("basic".into()),
                    parent_invoice: Some("m-1".into()),
                    limits: vec![("diskquota.quota", "5000".into())],
                    ..Site::default()
                },
                Site {
                    key: "b.example".into(),
                    domain: "b.example".into(),
                    active: Some(false),
                    invoice: Some("7".into()),
                    ..Site::default()
                },
            ]
        );
        assert_eq!(read(""), Ok(vec![]), "an empty map comes as an empty list");
    }

    #[test]
    fn a_row_of_another_shape_is_refused_with_its_place() {
        for (inner, said) in [
            (item("site1", &item("active", "true")), "return/item[site1]/value/domain"),
            (
                item("site1", &(item("domain", "a.b") + &item("active", "maybe"))),
                "item[site1]/value/item[active]/value is no boolean",
            ),
            ("<item>text</item>".into(), "return is no map"),
            (item("site1", "text"), "is no map"),
        ] {
            let error = read(&inner).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
