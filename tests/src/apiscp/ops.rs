//! The operations that the panel knows, as the contract's section 4 lists them.

use super::soap::{ACTION, API, ENCODING};

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Whoami,
    ListPlans,
    GetPlan,
    AddSite,
    EditSite,
    DeactivateSite,
    ActivateSite,
    DeleteSite,
    Collect,
    GetUsage,
    GetDomains,
    GetSiteId,
    GetMeta,
    Hijack,
    ChangePassword,
    IsInactive,
    InactiveReason,
    SessionInfo,
    AccountQuota,
    BandwidthUsage,
    CpVersion,
    Load,
    Uptime,
    IsBanned,
    Unban,
}

/// An operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) op: Op,
    pub(super) is_read: bool,
    pub(super) who: Who,
    pub(super) parts: &'static [Part],
    /// Whether the contract's WSDL has it.
    pub(super) is_described: bool,
}

/// Who may call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The appliance's administrator.
    Admin,
    /// A site, by a session or with a key of its own.
    Site,
    Any,
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// Whether the method takes null.
    pub(super) may_be_null: bool,
}

/// What the method declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Bool,
    Array,
}

const fn part(name: &'static str, form: Form) -> Part {
    Part { name, form, may_be_null: false }
}

const fn maybe(name: &'static str, form: Form) -> Part {
    Part { name, form, may_be_null: true }
}

const SITE: Part = part("site", Form::Text);
const OPTS: Part = part("opts", Form::Array);
const FLAGS: Part = part("flags", Form::Array);
const DOMAIN: Part = part("domain", Form::Text);

const fn read(name: &'static str, op: Op, who: Who, parts: &'static [Part]) -> Operation {
    Operation { name, op, is_read: true, who, parts, is_described: true }
}

const fn change(name: &'static str, op: Op, who: Who, parts: &'static [Part]) -> Operation {
    Operation { name, op, is_read: false, who, parts, is_described: true }
}

pub(super) const OPERATIONS: &[Operation] = &[
    read("common_whoami", Op::Whoami, Who::Any, &[]),
    read("admin_list_plans", Op::ListPlans, Who::Admin, &[]),
    read("admin_get_plan", Op::GetPlan, Who::Admin, &[part("plan", Form::Text)]),
    change("admin_add_site", Op::AddSite, Who::Admin, &[DOMAIN, part("admin", Form::Text), OPTS, FLAGS]),
    change("admin_edit_site", Op::EditSite, Who::Admin, &[SITE, OPTS, FLAGS]),
    change("admin_deactivate_site", Op::DeactivateSite, Who::Admin, &[SITE, FLAGS]),
    change("admin_activate_site", Op::ActivateSite, Who::Admin, &[SITE]),
    change("admin_delete_site", Op::DeleteSite, Who::Admin, &[maybe("site", Form::Text), FLAGS]),
    read(
        "admin_collect",
        Op::Collect,
        Who::Admin,
        &[maybe("params", Form::Array), maybe("query", Form::Array), part("sites", Form::Array)],
    ),
    read("admin_get_usage", Op::GetUsage, Who::Admin, &[part("field", Form::Text), part("sites", Form::Array)]),
    read("admin_get_domains", Op::GetDomains, Who::Admin, &[]),
    read("admin_get_site_id_from_domain", Op::GetSiteId, Who::Admin, &[DOMAIN]),
    read(
        "admin_get_meta_from_domain",
        Op::GetMeta,
        Who::Admin,
        &[DOMAIN, part("service", Form::Text), maybe("class", Form::Text)],
    ),
    // It opens a session, but changes nothing that a second call would notice.
    read("admin_hijack", Op::Hijack, Who::Admin, &[SITE, maybe("user", Form::Text), maybe("gate", Form::Text)]),
    change(
        "auth_change_password",
        Op::ChangePassword,
        Who::Any,
        &[part("password", Form::Text), maybe("user", Form::Text), maybe("domain", Form::Text)],
    ),
    read("auth_is_inactive", Op::IsInactive, Who::Any, &[]),
    read("auth_inactive_reason", Op::InactiveReason, Who::Site, &[]),
    read("auth_session_info", Op::SessionInfo, Who::Any, &[]),
    read("site_get_account_quota", Op::AccountQuota, Who::Site, &[]),
    read("site_get_bandwidth_usage", Op::BandwidthUsage, Who::Site, &[maybe("type", Form::Text)]),
    read("misc_cp_version", Op::CpVersion, Who::Any, &[maybe("field", Form::Text)]),
    read("common_get_load", Op::Load, Who::Any, &[]),
    read("common_get_uptime", Op::Uptime, Who::Any, &[maybe("pretty", Form::Bool)]),
    Operation {
        is_described: false,
        ..read("rampart_is_banned", Op::IsBanned, Who::Any, &[maybe("ip", Form::Text), maybe("jail", Form::Text)])
    },
    Operation {
        is_described: false,
        ..change("rampart_unban", Op::Unban, Who::Any, &[maybe("ip", Form::Text), maybe("jail", Form::Text)])
    },
];

/// The operation of this name.
pub(super) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// What the panel serves at `/apnscp.wsdl`.
pub(super) fn wsdl(base_url: &str) -> String {
    let (mut messages, mut port, mut binding) = (String::new(), String::new(), String::new());
    let body = format!("<soap:body use=\"encoded\" namespace=\"{API}\" encodingStyle=\"{ENCODING}\"/>");
    for Operation { name, parts, .. } in OPERATIONS {
        let kind = |form| match form {
            Form::Text => "string",
            Form::Bool => "boolean",
            Form::Array => "anyType",
        };
        let written: String = parts
            .iter()
            .map(|part| format!("<part name=\"{}\" type=\"xsd:{}\"/>", part.name, kind(part.form)))
            .collect();
        messages.push_str(&format!(
            "<message name=\"{name}Request\">{written}</message>\n\
             <message name=\"{name}Response\"><part name=\"return\" type=\"xsd:anyType\"/></message>\n"
        ));
        port.push_str(&format!(
            "<operation name=\"{name}\"><input message=\"tns:{name}Request\"/><output message=\"tns:{name}Response\"/>\
             </operation>\n"
        ));
        binding.push_str(&format!(
            "<operation name=\"{name}\"><soap:operation soapAction=\"{ACTION}{name}\"/><input>{body}</input>\
             <output>{body}</output></operation>\n"
        ));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<definitions xmlns=\"http://schemas.xmlsoap.org/wsdl/\" \
         xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:tns=\"urn:net.apnscp.soap\" targetNamespace=\"urn:net.apnscp.soap\">\n{messages}\
         <portType name=\"apnscpPort\">\n{port}</portType>\n<binding name=\"apnscpBinding\" type=\"tns:apnscpPort\">\n\
         <soap:binding style=\"rpc\" transport=\"http://schemas.xmlsoap.org/soap/http\"/>\n{binding}</binding>\n\
         <service name=\"apnscp\"><port name=\"apnscpPort\" binding=\"tns:apnscpBinding\">\
         <soap:address location=\"{base_url}/soap\"/></port></service>\n</definitions>\n"
    )
}
