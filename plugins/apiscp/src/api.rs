//! The panel's operations that the hooks use: their requests, with parts in the order and by the names of the panel's methods.
//! Nothing here sends or decides.
//!
//! Sources: the panel's documentation (plans, billing integration, command line), its published modules, and public billing modules.

use crate::call::Caller;
use crate::site;
use billhook_plugin_api::{Fault, Request, Secret};
use billhook_soap::{Node, Param, ReadError, entries, items};
use std::collections::BTreeMap;

pub const ADD: &str = "admin_add_site";
pub const EDIT: &str = "admin_edit_site";
pub const DELETE: &str = "admin_delete_site";
pub const SUSPEND: &str = "admin_deactivate_site";
pub const ACTIVATE: &str = "admin_activate_site";
pub const COLLECT: &str = "admin_collect";
pub const SITE_ID: &str = "admin_get_site_id_from_domain";
pub const USAGE: &str = "admin_get_usage";
pub const PLANS: &str = "admin_list_plans";
pub const PLAN: &str = "admin_get_plan";
pub const HIJACK: &str = "admin_hijack";
pub const PASSWORD: &str = "auth_change_password";
pub const IS_INACTIVE: &str = "auth_is_inactive";
pub const REASON: &str = "auth_inactive_reason";
pub const WHOAMI: &str = "common_whoami";
pub const VERSION: &str = "misc_cp_version";
pub const IS_BANNED: &str = "rampart_is_banned";
pub const UNBAN: &str = "rampart_unban";

/// What a session is called in a cookie and in the address of a page.
pub const SESSION: &str = "esprit_id";

/// Secret in every answer, wherever they stand: values of maps are known by their keys, these are known by their calls.
pub const REPLY_SECRETS: &[&str] = &["**.admin_hijackResponse.return", "**.admin_get_planResponse.return"];

/// Options or flags: dotted names with their values. Without any it is an empty list, as the panel wants it.
pub type Options = Vec<(String, Param)>;

impl Caller {
    /// Makes a site. The flags are the fourth part, not options.
    pub fn add(&self, domain: &str, user: &str, options: Options, flags: Options) -> Result<Request, Fault> {
        let parts = [
            ("domain", Param::text(domain)),
            ("admin", Param::text(user)),
            ("opts", Param::Map(options)),
            ("flags", Param::Map(flags)),
        ];
        Ok(self.request(ADD, &parts)?.slow())
    }

    /// Changes a site, or all of a group where `site` is its invoice.
    pub fn edit(&self, site: &str, options: Options, flags: Options) -> Result<Request, Fault> {
        let parts = [("site", Param::text(site)), ("opts", Param::Map(options)), ("flags", Param::Map(flags))];
        Ok(self.request(EDIT, &parts)?.slow())
    }

    /// Deletes a site, or all of a group where `site` is its invoice. Refuses to name none: that would be every suspended site
    /// of the server.
    pub fn delete(&self, site: &str, flags: Options) -> Result<Request, Fault> {
        if site.trim().is_empty() {
            return Err(Fault::plugin_bug("a deletion must name what is deleted"));
        }
        Ok(self.request(DELETE, &[("site", Param::text(site)), ("flags", Param::Map(flags))])?.slow())
    }

    /// Suspends. The reason is shown to the customer at the next login.
    pub fn suspend(&self, site: &str, reason: &str) -> Result<Request, Fault> {
        let flags = Param::Map(vec![("reason".into(), Param::text(reason))]);
        Ok(self.request(SUSPEND, &[("site", Param::text(site)), ("flags", flags)])?.slow())
    }

    /// Takes a suspension back.
    pub fn activate(&self, site: &str) -> Result<Request, Fault> {
        Ok(self.request(ACTIVATE, &[("site", Param::text(site))])?.slow())
    }

    /// Sets the password of a site's user. Refuses to leave out whose: the panel would take the caller's own, which is the
    /// administrator's.
    pub fn password(&self, password: &Secret<String>, user: &str, domain: &str) -> Result<Request, Fault> {
        if user.trim().is_empty() || domain.trim().is_empty() {
            return Err(Fault::plugin_bug("a change of password must name the user and the domain"));
        }
        let parts = [
            ("password", Param::text(password.expose())),
            ("user", Param::text(user)),
            ("domain", Param::text(domain)),
        ];
        Ok(self.request(PASSWORD, &parts)?.slow().secret("**.password"))
    }

    /// Reads sites: those that match the filter, or that are named, or all.
    pub fn collect(&self, fields: &[&str], query: &[(&str, Param)], sites: &[&str]) -> Result<Request, Fault> {
        Ok(self.request(COLLECT, &site::collect(fields, query, sites))?.reading())
    }

    /// Reads the number of the site that a domain belongs to.
    pub fn site_id(&self, domain: &str) -> Result<Request, Fault> {
        Ok(self.request(SITE_ID, &[("domain", Param::text(domain))])?.reading())
    }

    /// Reads `storage` or `bandwidth` of a site.
    pub fn usage(&self, field: &str, site: &str) -> Result<Request, Fault> {
        Ok(self.request(USAGE, &[("field", Param::text(field)), ("sites", Param::texts([site]))])?.reading())
    }

    /// Reads the names of the plans.
    pub fn plans(&self) -> Result<Request, Fault> {
        Ok(self.request(PLANS, &[])?.reading())
    }

    /// Reads a plan.
    pub fn plan(&self, name: &str) -> Result<Request, Fault> {
        Ok(self.request(PLAN, &[("plan", Param::text(name))])?.reading())
    }

    /// Opens a session as a site's administrator, for the gate `UI` or `SOAP`. Without the gate it would be for SOAP, which is of
    /// no use in a browser.
    pub fn hijack(&self, site: &str, user: Option<&str>, gate: &str) -> Result<Request, Fault> {
        let user = user.map_or(Param::Nil, Param::text);
        self.request(HIJACK, &[("site", Param::text(site)), ("user", user), ("gate", Param::text(gate))])
    }

    /// An operation that reads and takes nothing.
    pub fn plain(&self, operation: &'static str) -> Result<Request, Fault> {
        Ok(self.request(operation, &[])?.reading())
    }

    /// Reads the panel's version.
    pub fn version(&self) -> Result<Request, Fault> {
        Ok(self.request(VERSION, &[("field", Param::text(""))])?.reading())
    }

    /// Asks about an address, or frees it, in all jails.
    pub fn rampart(&self, operation: &'static str, ip: &str) -> Result<Request, Fault> {
        self.request(operation, &[("ip", Param::text(ip)), ("jail", Param::Nil)])
    }
}

/// A text.
pub fn text(node: Node<'_>) -> Result<String, ReadError> {
    Ok(node.text()?.trim().to_owned())
}

/// True or false.
pub fn boolean(node: Node<'_>) -> Result<bool, ReadError> {
    node.bool()
}

/// A whole number.
pub fn number(node: Node<'_>) -> Result<i64, ReadError> {
    node.i64()
}

/// A list of texts.
pub fn texts(node: Node<'_>) -> Result<Vec<String>, ReadError> {
    items(node)?.into_iter().map(text).collect()
}

/// A map's values by dotted names, two levels deep; what is null or deeper is left out.
pub fn values(node: Node<'_>) -> Result<BTreeMap<String, String>, ReadError> {
    let mut all = BTreeMap::new();
    for (key, value) in entries(node)? {
        if value.is_nil() {
            continue;
        }
        if let Ok(text) = value.text() {
            all.insert(key.to_owned(), text.trim().to_owned());
            continue;
        }
        for (name, value) in entries(value).unwrap_or_default() {
            if let (false, Ok(text)) = (value.is_nil(), value.text()) {
                all.insert(format!("{key}.{name}"), text.trim().to_owned());
            }
        }
    }
    Ok(all)
}

/// The members of the panel's figures that are read.
pub const MEASURED: [&str; 8] = ["qused", "qhard", "qsoft", "fused", "fhard", "fsoft", "sum", "threshold"];

/// The figures of each thing that are read, `thing.figure`; what is null is not measured. Unlike [`values`], none of them is
/// left out in another shape: a figure that is not told would read as none.
pub fn figures(node: Node<'_>) -> Result<BTreeMap<String, String>, ReadError> {
    let mut all = BTreeMap::new();
    for (key, row) in entries(node)? {
        let is_nothing = row.text().is_ok_and(|text| matches!(text.trim(), "" | "false" | "0"));
        if row.is_nil() || is_nothing {
            continue;
        }
        for (name, value) in entries(row)? {
            if MEASURED.contains(&name) && !value.is_nil() {
                all.insert(format!("{key}.{name}"), text(value)?);
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::KeyIn;
    use billhook_soap::Limits;

    fn caller() -> Caller {
        Caller { key: Secret::new("k".to_owned()), key_in: KeyIn::Query }
    }

    /// The operation's element, with its parts.
    fn body(request: Result<Request, Fault>) -> String {
        let text = String::from_utf8(request.unwrap().body).unwrap();
        let (_, body) = text.split_once("Body>").unwrap();
        body.split_once("</SOAP-ENV:Body>").unwrap().0.replace(" xsi:type=\"xsd:string\"", "")
    }

    const EMPTY: &str = " SOAP-ENC:arrayType=\"xsd:ur-type[0]\" xsi:type=\"SOAP-ENC:Array\"/>";

    #[test]
    fn parts_have_the_panels_names_and_order_and_none_is_left_out() {
        let call = caller();
        let options = vec![("siteinfo.plan".to_owned(), Param::text("pro"))];
        let shown = "<opts xsi:type=\"map:Map\"><item><key>siteinfo.plan</key><value>pro</value></item></opts>";
        for (request, expected) in [
            (
                call.add("a.example", "auser", options.clone(), vec![]),
                format!(
                    "<ns1:admin_add_site><domain>a.example</domain><admin>auser</admin>{shown}<flags{EMPTY}</ns1:admin_add_site>"
                ),
            ),
            (
                call.edit("site12", options, vec![]),
                format!("<ns1:admin_edit_site><site>site12</site>{shown}<flags{EMPTY}</ns1:admin_edit_site>"),
            ),
            (
                call.delete("site12", vec![("force".into(), Param::Bool(true))]),
                "<ns1:admin_delete_site><site>site12</site><flags xsi:type=\"map:Map\"><item><key>force</key>\
                 <value xsi:type=\"xsd:boolean\">true</value></item></flags></ns1:admin_delete_site>"
                    .into(),
            ),
            (call.activate("site12"), "<ns1:admin_activate_site><site>site12</site></ns1:admin_activate_site>".into()),
            (
                call.hijack("site12", None, "UI"),
                "<ns1:admin_hijack><site>site12</site><user xsi:nil=\"true\"/><gate>UI</gate></ns1:admin_hijack>"
                    .into(),
            ),
            (
                call.collect(&["siteinfo.plan"], &[], &[]),
                format!(
                    "<ns1:admin_collect><params SOAP-ENC:arrayType=\"xsd:string[1]\" xsi:type=\"SOAP-ENC:Array\">\
                     <item>siteinfo.plan</item></params><query xsi:nil=\"true\"/><sites{EMPTY}</ns1:admin_collect>"
                ),
            ),
            (
                call.rampart(IS_BANNED, "192.0.2.7"),
                "<ns1:rampart_is_banned><ip>192.0.2.7</ip><jail xsi:nil=\"true\"/></ns1:rampart_is_banned>".into(),
            ),
            (call.plain(WHOAMI), "<ns1:common_whoami/>".into()),
        ] {
            assert_eq!(body(request), expected);
        }
    }

    #[test]
    fn what_would_hit_the_server_or_its_administrator_is_never_built() {
        let password = Secret::new("pw".to_owned());
        for request in [
            caller().delete("", vec![]),
            caller().delete(" ", vec![("since".into(), Param::text("now"))]),
            caller().password(&password, "", "a.example"),
            caller().password(&password, "auser", " "),
        ] {
            assert_eq!(request.unwrap_err().class, billhook_plugin_api::FaultClass::PluginBug);
        }
    }

    #[test]
    fn only_reads_are_declared_to_read() {
        let call = caller();
        for (request, is_read) in [
            (call.collect(&[], &[], &[]), true),
            (call.usage("storage", "site1"), true),
            (call.plans(), true),
            (call.plan("basic"), true),
            (call.version(), true),
            (call.site_id("a.b"), true),
            (call.add("a.b", "a", vec![], vec![]), false),
            (call.edit("site1", vec![], vec![]), false),
            (call.suspend("site1", ""), false),
            (call.activate("site1"), false),
            (call.password(&Secret::new("x".to_owned()), "a", "b"), false),
            (call.hijack("site1", None, "UI"), false),
        ] {
            assert_eq!(request.unwrap().is_read(), is_read);
        }
    }

    #[test]
    fn a_map_is_read_two_levels_deep() {
        let text = "<r xmlns:i='http://www.w3.org/2001/XMLSchema-instance'><item><key>qused</key><value>7</value></item>\
                    <item><key>n</key><value i:nil='1'/></item><item><key>a</key><value><item><key>b</key><value>1</value></item>\
                    <item><key>c</key><value><item>x</item></value></item></value></item></r>";
        let tree = Limits::default().read(None, text.as_bytes()).unwrap();

        let all = values(tree.root()).unwrap();

        assert_eq!(all.into_iter().collect::<Vec<_>>(), [("a.b".into(), "1".into()), ("qused".into(), "7".into())]);
    }
}
