//! Puts an answer into XML as the server's serializer does: members in the order of their type, null ones left out.

use super::config::Manners;
use super::schema::{Field, Kind, NAMESPACE, Operation, SCHEMA, Version};
use super::value::{Data, Members, Table};
use super::xml::{INSTANCE, escaped};
use crate::panel::{Answer, Body};

pub(super) const SOAP_1_1: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(super) const SOAP_1_2: &str = "http://www.w3.org/2003/05/soap-envelope";

/// How an answer is worded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style<'a> {
    pub(super) manners: &'a Manners,
    pub(super) version: Version,
    /// Whether the client spoke SOAP 1.2.
    pub(super) is_1_2: bool,
}

impl Style<'_> {
    /// The answer of an operation. `number` is the call's in the ledger.
    pub(super) fn response(&self, operation: &Operation, result: &Data, number: u64) -> Answer {
        let mut writer = Writer { style: self, out: String::new() };
        writer.response(operation, result);
        let headers = if self.manners.reply_headers { headers(operation.name, number) } else { String::new() };
        self.envelope(200, &headers, &writer.out)
    }

    /// An exception of the server.
    pub(super) fn fault(&self, text: &str) -> Answer {
        let text = escaped(&format!("Server was unable to process request. ---> {text}"));
        let body = if self.is_1_2 {
            format!(
                "<soap:Fault><soap:Code><soap:Value>soap:Receiver</soap:Value></soap:Code><soap:Reason>\
                 <soap:Text xml:lang=\"en\">{text}</soap:Text></soap:Reason><soap:Detail /></soap:Fault>"
            )
        } else {
            format!(
                "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>{text}</faultstring><detail /></soap:Fault>"
            )
        };
        self.envelope(500, "", &body)
    }

    /// Whatever stands in a body.
    pub(super) fn envelope(&self, status: u16, headers: &str, body: &str) -> Answer {
        let space = if self.is_1_2 { SOAP_1_2 } else { SOAP_1_1 };
        let headers = if headers.is_empty() { String::new() } else { format!("<soap:Header>{headers}</soap:Header>") };
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"{space}\" xmlns:xsi=\"{INSTANCE}\" \
             xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">{headers}<soap:Body>{body}</soap:Body></soap:Envelope>"
        );
        raw(status, self.is_1_2, text.into_bytes())
    }
}

/// Bytes labelled as SOAP.
pub(super) fn raw(status: u16, is_1_2: bool, bytes: Vec<u8>) -> Answer {
    let kind = if is_1_2 { "application/soap+xml; charset=utf-8" } else { "text/xml; charset=utf-8" };
    Answer { status, headers: Vec::new(), body: Body::Bytes(kind, bytes) }
}

/// What the server adds to replies although nobody asked.
fn headers(operation: &str, number: u64) -> String {
    const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
    let members = [
        ("Action", format!("{NAMESPACE}/{operation}Response")),
        ("MessageID", format!("urn:uuid:00000000-0000-4000-8000-{:012x}", 2 * number - 1)),
        ("RelatesTo", format!("urn:uuid:00000000-0000-4000-8000-{:012x}", 2 * number)),
        ("To", format!("{ADDRESSING}/role/anonymous")),
    ];
    let member = |(name, text): &(&str, String)| format!("<wsa:{name} xmlns:wsa=\"{ADDRESSING}\">{text}</wsa:{name}>");
    members.iter().map(member).collect()
}

struct Writer<'a> {
    style: &'a Style<'a>,
    out: String,
}

impl Writer<'_> {
    fn response(&mut self, operation: &Operation, result: &Data) {
        let name = format!("{}Response", operation.name);
        let prefix = self.prefix();
        let declared = if prefix.is_empty() { "xmlns" } else { "xmlns:r" };
        self.out.push_str(&format!("<{prefix}{name} {declared}=\"{NAMESPACE}\">"));
        self.field(&operation.result, result);
        self.out.push_str(&format!("</{prefix}{name}>"));
    }

    fn prefix(&self) -> &'static str {
        if self.style.manners.is_prefixed { "r:" } else { "" }
    }

    fn field(&mut self, field: &Field, data: &Data) {
        match data {
            Data::Null if field.is_optional && self.style.manners.says_nil => {
                self.out.push_str(&format!("<{}{} xsi:nil=\"true\" />", self.prefix(), field.name));
            }
            Data::Null if field.is_optional => {}
            Data::Null => {
                let nothing = match field.kind {
                    Kind::Flag => "false",
                    Kind::Fraction => "0.0000",
                    Kind::Instant => "0001-01-01T00:00:00",
                    Kind::Enum(name) => SCHEMA.values(name).next().unwrap_or_default(),
                    _ => "0",
                };
                self.element(&field.name, &field.kind, &Data::from(nothing));
            }
            data => self.element(&field.name, &field.kind, data),
        }
    }

    fn element(&mut self, name: &str, kind: &Kind, data: &Data) {
        let before = self.out.len();
        let prefix = self.prefix();
        self.out.push_str(&format!("<{prefix}{name}>"));
        let inside = self.out.len();
        match (kind, data) {
            (Kind::Object(kind), Data::Object(members)) => self.members(SCHEMA.members(kind), members),
            (Kind::List(item, kind), Data::List(items)) => {
                items.iter().for_each(|data| self.element(item, kind, data));
            }
            (Kind::Set, Data::Set(tables)) => set(&mut self.out, tables),
            (_, Data::Text(text)) => self.out.push_str(&escaped(text)),
            (kind, data) => panic!("the fake answers {name}, which is {kind:?}, with {data:?}"),
        }
        if self.out.len() == inside {
            self.out.truncate(before);
            self.out.push_str(&format!("<{prefix}{name} />"));
        } else {
            self.out.push_str(&format!("</{prefix}{name}>"));
        }
    }

    fn members(&mut self, fields: &[Field], members: &Members) {
        for field in fields.iter().filter(|field| field.span.has(self.style.version)) {
            self.field(field, members.get(&field.name));
        }
    }
}

/// An inline schema, which nobody has to read, and the rows.
fn set(out: &mut String, tables: &[Table]) {
    const DATA: &str = "xmlns:msdata=\"urn:schemas-microsoft-com:xml-msdata\"";
    let name = |index: usize| if index == 0 { "Table".to_owned() } else { format!("Table{index}") };
    out.push_str(&format!(
        "<xs:schema id=\"NewDataSet\" xmlns=\"\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" {DATA}><xs:element \
         name=\"NewDataSet\" msdata:IsDataSet=\"true\" msdata:UseCurrentLocale=\"true\"><xs:complexType><xs:choice \
         minOccurs=\"0\" maxOccurs=\"unbounded\">"
    ));
    for (index, table) in tables.iter().enumerate() {
        let table_name = name(index);
        out.push_str(&format!("<xs:element name=\"{table_name}\"><xs:complexType><xs:sequence>"));
        for (column, kind) in table.columns {
            out.push_str(&format!("<xs:element name=\"{column}\" type=\"xs:{kind}\" minOccurs=\"0\" />"));
        }
        out.push_str("</xs:sequence></xs:complexType></xs:element>");
    }
    out.push_str("</xs:choice></xs:complexType></xs:element></xs:schema><diffgr:diffgram ");
    out.push_str(&format!("{DATA} xmlns:diffgr=\"urn:schemas-microsoft-com:xml-diffgram-v1\""));
    if tables.iter().all(|table| table.rows.is_empty()) {
        out.push_str(" />");
        return;
    }
    out.push_str("><NewDataSet xmlns=\"\">");
    for (index, table) in tables.iter().enumerate() {
        let table_name = name(index);
        for (order, row) in table.rows.iter().enumerate() {
            let id = order + 1;
            out.push_str(&format!("<{table_name} diffgr:id=\"{table_name}{id}\" msdata:rowOrder=\"{order}\">"));
            for ((column, _), data) in table.columns.iter().zip(row) {
                match data.text() {
                    Some("") => out.push_str(&format!("<{column} />")),
                    Some(text) => out.push_str(&format!("<{column}>{}</{column}>", escaped(text))),
                    None => {}
                }
            }
            out.push_str(&format!("</{table_name}>"));
        }
    }
    out.push_str("</NewDataSet></diffgr:diffgram>");
}
