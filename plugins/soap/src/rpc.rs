//! Requests in rpc style with the encoding of SOAP section 5, as PHP's SOAP extension reads them.

use crate::writer::{WriteError, Writer};

/// A value of an rpc request.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// Null.
    Nil,
    /// `xsd:boolean`.
    Bool(bool),
    /// `xsd:int`, and `xsd:long` where it does not fit.
    Int(i64),
    /// `xsd:string`.
    Text(String),
    /// `SOAP-ENC:Array`.
    List(Vec<Param>),
    /// `Map` of Apache's xml-soap, with texts as keys. An empty one is written as an array of length 0: PHP reads an empty
    /// `Map` as null.
    Map(Vec<(String, Param)>),
}

impl Param {
    /// A text.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    /// A list of texts.
    pub fn texts<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::List(values.into_iter().map(Self::text).collect())
    }
}

const NAMESPACES: &str = concat!(
    " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
    " xmlns:SOAP-ENC=\"http://schemas.xmlsoap.org/soap/encoding/\"",
    " xmlns:map=\"http://xml.apache.org/xml-soap\"",
    " SOAP-ENV:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"",
);

/// An rpc request: `operation` of `namespace` with its parts in order. Parts have no namespace, and each value says its
/// type.
///
/// # Errors
///
/// [`WriteError`]; nothing may be sent then.
pub fn encoded(namespace: &'static str, operation: &str, parts: &[(&str, Param)]) -> Result<String, WriteError> {
    const PREFIX: &str = "SOAP-ENV";
    let mut writer = Writer::envelope(PREFIX, &format!("{NAMESPACES} xmlns:ns1=\"{namespace}\""));
    writer.element(&format!("ns1:{operation}"), "", |writer| {
        for (name, value) in parts {
            param(writer, name, value);
        }
    });
    writer.finish(PREFIX)
}

fn param(writer: &mut Writer, name: &str, value: &Param) {
    match value {
        Param::Nil => writer.element(name, " xsi:nil=\"true\"", |_| {}),
        Param::Bool(value) => writer.element(name, " xsi:type=\"xsd:boolean\"", |writer| writer.plain(value)),
        Param::Int(value) => {
            writer.element(name, &format!(" xsi:type=\"{}\"", int_type(*value)), |writer| writer.plain(value));
        }
        Param::Text(value) => writer.element(name, " xsi:type=\"xsd:string\"", |writer| writer.text(value)),
        Param::List(items) => list(writer, name, items),
        Param::Map(entries) if entries.is_empty() => list(writer, name, &[]),
        Param::Map(entries) => writer.element(name, " xsi:type=\"map:Map\"", |writer| {
            for (key, value) in entries {
                writer.at(key, |writer| {
                    writer.element("item", "", |writer| {
                        writer.element("key", " xsi:type=\"xsd:string\"", |writer| writer.text(key));
                        param(writer, "value", value);
                    });
                });
            }
        }),
    }
}

fn list(writer: &mut Writer, name: &str, items: &[Param]) {
    let kind = match items {
        [] => "xsd:ur-type",
        all if all.iter().all(|item| matches!(item, Param::Text(_))) => "xsd:string",
        _ => "xsd:anyType",
    };
    let attributes = format!(" SOAP-ENC:arrayType=\"{kind}[{}]\" xsi:type=\"SOAP-ENC:Array\"", items.len());
    writer.element(name, &attributes, |writer| {
        for item in items {
            param(writer, "item", item);
        }
    });
}

fn int_type(value: i64) -> &'static str {
    if i32::try_from(value).is_ok() { "xsd:int" } else { "xsd:long" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[(&str, Param)]) -> String {
        let request = encoded("urn:x", "op", parts).unwrap();
        let body = request.split_once("<ns1:op>").unwrap().1;
        body.strip_suffix("</ns1:op></SOAP-ENV:Body></SOAP-ENV:Envelope>").unwrap().to_owned()
    }

    #[test]
    fn every_value_says_its_type() {
        let map = Param::Map(vec![("a.b".into(), Param::Int(1)), ("c".into(), Param::List(vec![Param::Bool(true)]))]);
        for (value, expected) in [
            (Param::Nil, "<p xsi:nil=\"true\"/>"),
            (Param::Bool(false), "<p xsi:type=\"xsd:boolean\">false</p>"),
            (Param::Int(-7), "<p xsi:type=\"xsd:int\">-7</p>"),
            (Param::Int(15_000_000_000), "<p xsi:type=\"xsd:long\">15000000000</p>"),
            (Param::text("a&b"), "<p xsi:type=\"xsd:string\">a&amp;b</p>"),
            (Param::text(""), "<p xsi:type=\"xsd:string\"/>"),
            (
                Param::texts(["x", "y"]),
                "<p SOAP-ENC:arrayType=\"xsd:string[2]\" xsi:type=\"SOAP-ENC:Array\">\
                 <item xsi:type=\"xsd:string\">x</item><item xsi:type=\"xsd:string\">y</item></p>",
            ),
            (
                map,
                "<p xsi:type=\"map:Map\">\
                 <item><key xsi:type=\"xsd:string\">a.b</key><value xsi:type=\"xsd:int\">1</value></item>\
                 <item><key xsi:type=\"xsd:string\">c</key>\
                 <value SOAP-ENC:arrayType=\"xsd:anyType[1]\" xsi:type=\"SOAP-ENC:Array\">\
                 <item xsi:type=\"xsd:boolean\">true</item></value></item></p>",
            ),
        ] {
            assert_eq!(parts(&[("p", value)]), expected);
        }
    }

    #[test]
    fn an_empty_map_is_an_array_of_length_0() {
        let empty = "<p SOAP-ENC:arrayType=\"xsd:ur-type[0]\" xsi:type=\"SOAP-ENC:Array\"/>";
        assert_eq!(parts(&[("p", Param::Map(vec![]))]), empty);
        assert_eq!(parts(&[("p", Param::List(vec![]))]), empty);
    }

    #[test]
    fn an_operation_without_parts_is_an_empty_element() {
        assert!(encoded("urn:x", "op", &[]).unwrap().contains("<ns1:op/>"));
    }

    #[test]
    fn an_error_names_the_key_and_not_the_value() {
        let opts = Param::Map(vec![("auth.tpasswd".into(), Param::text("hun\u{7}ter2"))]);

        let error = encoded("urn:x", "op", &[("opts", opts)]).unwrap_err();

        assert_eq!(error, WriteError::Character { place: "ns1:op/opts/auth.tpasswd/item/value".into(), code: 7 });
    }
}
