//! The description that a service gives of itself: the messages' types, which is all that a client can tell versions by.

use super::schema::{Field, Kind, NAMESPACE, SCHEMA, Version};
use crate::panel::{Answer, Body};

/// The description of a service, as this version writes it.
pub(super) fn describe(service: &str, version: Version) -> Answer {
    let space = if version >= Version::V2_0 { format!("{NAMESPACE}/") } else { NAMESPACE.to_owned() };
    let mut elements = String::new();
    let mut ports = String::new();
    for operation in SCHEMA.operations(Some(service)).filter(|operation| operation.result.span.has(version)) {
        let name = operation.name;
        let parameters = operation.parameters.iter().filter(|field| field.span.has(version));
        let parameters: String = parameters.map(element).collect();
        elements.push_str(&message(name, &parameters));
        elements.push_str(&message(&format!("{name}Response"), &element(&operation.result)));
        ports.push_str(&format!(
            "<wsdl:operation name=\"{name}\"><wsdl:input message=\"tns:{name}SoapIn\" />\
             <wsdl:output message=\"tns:{name}SoapOut\" /></wsdl:operation>"
        ));
    }
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><wsdl:definitions xmlns:wsdl=\"http://schemas.xmlsoap.org/wsdl/\" \
         xmlns:tns=\"{space}\" xmlns:s=\"http://www.w3.org/2001/XMLSchema\" targetNamespace=\"{space}\"><wsdl:types>\
         <s:schema elementFormDefault=\"qualified\" targetNamespace=\"{space}\">{elements}</s:schema></wsdl:types>\
         <wsdl:portType name=\"{service}Soap\">{ports}</wsdl:portType></wsdl:definitions>"
    );
    Answer { status: 200, headers: Vec::new(), body: Body::Bytes("text/xml; charset=utf-8", text.into_bytes()) }
}

fn message(name: &str, members: &str) -> String {
    format!("<s:element name=\"{name}\"><s:complexType><s:sequence>{members}</s:sequence></s:complexType></s:element>")
}

fn element(field: &Field) -> String {
    let least = if field.is_optional { 0 } else { 1 };
    let kind = match &field.kind {
        Kind::Text => "s:string".to_owned(),
        Kind::Whole(name) => format!("s:{name}"),
        Kind::Fraction => "s:decimal".to_owned(),
        Kind::Flag => "s:boolean".to_owned(),
        Kind::Instant => "s:dateTime".to_owned(),
        Kind::Enum(name) | Kind::Object(name) => format!("tns:{name}"),
        Kind::List(item, _) => format!("tns:ArrayOf{}{}", item[..1].to_uppercase(), &item[1..]),
        Kind::Set | Kind::Any => "s:anyType".to_owned(),
    };
    format!("<s:element minOccurs=\"{least}\" maxOccurs=\"1\" name=\"{}\" type=\"{kind}\" />", field.name)
}
