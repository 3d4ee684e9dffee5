//! SOAP 1.1 with section 5 encoding, as PHP's server reads and writes it. Its own reading and writing: what a plugin uses for
//! this is judged by it.

use super::value::{Key, Value};
use super::xml::{Name, Node};

pub(super) const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(super) const ENCODING: &str = "http://schemas.xmlsoap.org/soap/encoding/";
pub(super) const MAP: &str = "http://xml.apache.org/xml-soap";
pub(super) const XSD: &str = "http://www.w3.org/2001/XMLSchema";
pub(super) const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// Of a call's element.
pub(super) const API: &str = "urn:net.apnscp.api";
/// Before an operation's name in `SOAPAction`.
pub(super) const ACTION: &str = "urn:net.apnscp.soap#";

/// A call as it came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) name: String,
    /// In their order.
    pub(super) parts: Vec<(String, Value)>,
    /// What a careful client would not have sent, although the server reads it somehow.
    pub(super) bugs: Vec<String>,
}

/// Reads a call. An error is one that the server answers with a fault of the client.
pub(super) fn read(body: &[u8]) -> Result<Sent, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned())?;
    let envelope = Node::parse(text)?;
    if envelope.name != name(ENVELOPE, "Envelope") {
        return Err(format!("{} is no envelope", envelope.name.1));
    }
    let inner = envelope.children.iter().find(|child| child.name == name(ENVELOPE, "Body")).ok_or("no body")?;
    let [call] = inner.children.as_slice() else {
        return Err(format!("{} calls in one body", inner.children.len()));
    };
    let mut bugs = Vec::new();
    if call.name.0 != API {
        bugs.push(format!("the call is in the namespace {:?}", call.name.0));
    }
    let is_encoded =
        [&envelope, inner, call].iter().any(|node| node.attribute(ENVELOPE, "encodingStyle") == Some(ENCODING));
    if !is_encoded {
        bugs.push("nothing says that it is encoded".to_owned());
    }
    let mut parts = Vec::new();
    for part in &call.children {
        if !part.name.0.is_empty() {
            bugs.push(format!("{} is in a namespace", part.name.1));
        }
        let value = value(part, &part.name.1, &mut bugs)?;
        parts.push((part.name.1.clone(), value));
    }
    Ok(Sent { name: call.name.1.clone(), parts, bugs })
}

fn name(space: &str, local: &str) -> Name {
    (space.to_owned(), local.to_owned())
}

/// Reads a value, as the server would; what it would have to guess is a bug of the client's.
fn value(node: &Node, place: &str, bugs: &mut Vec<String>) -> Result<Value, String> {
    if matches!(node.attribute(XSI, "nil"), Some("true" | "1")) {
        return Ok(Value::Null);
    }
    let Some(kind) = node.attribute(XSI, "type") else {
        bugs.push(format!("{place} has no type"));
        return untyped(node, place, bugs);
    };
    let (space, local) = node.meaning(kind)?;
    match (space.as_str(), local.as_str()) {
        (MAP, "Map") => {
            if node.children.is_empty() {
                bugs.push(format!("{place} is an empty Map, which is read as null"));
                return Ok(Value::Null);
            }
            let members: Result<Vec<_>, String> = node.children.iter().map(|item| member(item, place, bugs)).collect();
            Ok(Value::Map(members?))
        }
        (ENCODING, "Array") => {
            let said = node.attribute(ENCODING, "arrayType").unwrap_or_default();
            if !said.ends_with(&format!("[{}]", node.children.len())) {
                bugs.push(format!("{place} has {} members and says {said:?}", node.children.len()));
            }
            let items = node.children.iter().map(|item| value(item, &format!("{place}[]"), bugs));
            Ok(Value::List(items.collect::<Result<_, _>>()?))
        }
        (XSD, scalar) => {
            if !node.children.is_empty() {
                bugs.push(format!("{place} is an {scalar} and has members"));
            }
            Ok(self::scalar(scalar, &node.text).unwrap_or_else(|| {
                bugs.push(format!("{place} is no {scalar}"));
                Value::Text(node.text.clone())
            }))
        }
        _ => {
            bugs.push(format!("{place} is of the type {kind}"));
            untyped(node, place, bugs)
        }
    }
}

fn member(item: &Node, place: &str, bugs: &mut Vec<String>) -> Result<(Key, Value), String> {
    let found = |name: &str| item.children.iter().find(|child| child.name.1 == name);
    let (Some(key), Some(held)) = (found("key"), found("value")) else {
        return Err(format!("a member of {place} has no key or no value"));
    };
    let key = match value(key, &format!("a key of {place}"), bugs)? {
        Value::Int(number) => Key::Int(number),
        other => Key::Text(other.printed().ok_or_else(|| format!("a key of {place} is no text"))?),
    };
    let inner = match &key {
        Key::Text(name) => format!("{place} {name}"),
        Key::Int(number) => format!("{place} {number}"),
    };
    Ok((key, value(held, &inner, bugs)?))
}

fn untyped(node: &Node, place: &str, bugs: &mut Vec<String>) -> Result<Value, String> {
    if node.children.is_empty() {
        return Ok(Value::Text(node.text.clone()));
    }
    let members = node.children.iter().map(|child| {
        let held = value(child, &format!("{place}.{}", child.name.1), bugs)?;
        Ok((child.name.1.clone(), held))
    });
    Ok(Value::Object(members.collect::<Result<_, String>>()?))
}

fn scalar(kind: &str, text: &str) -> Option<Value> {
    Some(match kind {
        "string" => Value::text(text),
        "boolean" => Value::Bool(match text.trim() {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return None,
        }),
        "int" | "integer" | "long" | "short" => Value::Int(text.trim().parse().ok()?),
        "float" | "double" | "decimal" => Value::Float(text.trim().parse().ok()?),
        _ => return None,
    })
}

/// The answer to an operation.
pub(super) fn answer(operation: &str, value: &Value) -> String {
    let mut out = String::new();
    write("return", value, &mut out);
    envelope(&format!("<ns1:{operation}Response>{out}</ns1:{operation}Response>"))
}

/// The refusal of any.
pub(super) fn fault(code: &str, text: &str) -> String {
    let text = escape(text);
    envelope(&format!(
        "<SOAP-ENV:Fault><faultcode>SOAP-ENV:{code}</faultcode><faultstring>{text}</faultstring></SOAP-ENV:Fault>"
    ))
}

/// Anything in an envelope of the server's.
pub(super) fn envelope(inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{ENVELOPE}\" xmlns:ns1=\"{API}\" \
         xmlns:xsd=\"{XSD}\" xmlns:xsi=\"{XSI}\" xmlns:ns2=\"{MAP}\" xmlns:SOAP-ENC=\"{ENCODING}\" \
         SOAP-ENV:encodingStyle=\"{ENCODING}\"><SOAP-ENV:Body>{inner}</SOAP-ENV:Body></SOAP-ENV:Envelope>\n"
    )
}

/// A value as an element.
pub(super) fn write(name: &str, value: &Value, out: &mut String) {
    let mut typed = |kind: &str, text: &str| {
        out.push_str(&format!("<{name} xsi:type=\"xsd:{kind}\">{text}</{name}>"));
    };
    match value {
        Value::Null => out.push_str(&format!("<{name} xsi:nil=\"true\"/>")),
        Value::Bool(truth) => typed("boolean", if *truth { "true" } else { "false" }),
        Value::Int(number) => typed("int", &number.to_string()),
        Value::Float(number) => typed("float", &float(*number)),
        Value::Text(text) => typed("string", &escape(text)),
        Value::List(items) => {
            let kinds: Vec<&str> = items.iter().map(kind).collect();
            let kind = match kinds.split_first() {
                Some((first, rest)) if rest.iter().all(|kind| kind == first) => first,
                _ => "xsd:ur-type",
            };
            out.push_str(&format!(
                "<{name} SOAP-ENC:arrayType=\"{kind}[{}]\" xsi:type=\"SOAP-ENC:Array\">",
                items.len()
            ));
            items.iter().for_each(|item| write("item", item, out));
            out.push_str(&format!("</{name}>"));
        }
        Value::Map(members) => {
            out.push_str(&format!("<{name} xsi:type=\"ns2:Map\">"));
            for (key, value) in members {
                out.push_str("<item>");
                let key = match key {
                    Key::Int(number) => Value::Int(*number),
                    Key::Text(text) => Value::Text(text.clone()),
                };
                write("key", &key, out);
                write("value", value, out);
                out.push_str("</item>");
            }
            out.push_str(&format!("</{name}>"));
        }
        Value::Object(members) => {
            out.push_str(&format!("<{name} xsi:type=\"SOAP-ENC:Struct\">"));
            members.iter().for_each(|(name, value)| write(name, value, out));
            out.push_str(&format!("</{name}>"));
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "xsd:boolean",
        Value::Int(_) => "xsd:int",
        Value::Float(_) => "xsd:float",
        Value::Text(_) => "xsd:string",
        Value::List(_) => "SOAP-ENC:Array",
        Value::Map(_) => "ns2:Map",
        Value::Null | Value::Object(_) => "xsd:ur-type",
    }
}

/// As PHP prints it, in 17 digits at most: with an exponent from 1.0E+25 on in its answers.
fn float(number: f64) -> String {
    if number.abs() < 1e15 { format!("{number}") } else { format!("{number:E}").replace('E', "E+") }
}

/// A text as the content of an element.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_an_int_keep_its_name_and_big_floats_have_exponents() {
        for (value, expected) in [
            (Value::Int(107_374_182_400), "<n xsi:type=\"xsd:int\">107374182400</n>"),
            (Value::Float(15e9), "<n xsi:type=\"xsd:float\">15000000000</n>"),
            (Value::Float(0.1), "<n xsi:type=\"xsd:float\">0.1</n>"),
            (Value::Float(1.5e25), "<n xsi:type=\"xsd:float\">1.5E+25</n>"),
        ] {
            let mut out = String::new();
            write("n", &value, &mut out);
            assert_eq!(out, expected);
        }
    }
}
