//! XML as a tree of elements, with names resolved; read strictly, since nobody sends this panel anything else on purpose.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Deeper than any message of the contract.
const MAX_DEPTH: usize = 32;

/// `http://www.w3.org/2001/XMLSchema-instance`, of `nil` and `type`.
pub(super) const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An element with what is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// The namespace; empty for none.
    pub(super) space: String,
    /// Without its prefix.
    pub(super) name: String,
    /// Namespace, name and value of each, without declarations of namespaces.
    pub(super) attributes: Vec<(String, String, String)>,
    pub(super) children: Vec<Element>,
    /// All text directly in it.
    pub(super) text: String,
}

impl Element {
    /// The first child of this name.
    pub(super) fn child(&self, space: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.space == space && child.name == name)
    }

    /// Whether it says of itself that it is null.
    pub(super) fn is_nil(&self) -> bool {
        let said = self.attributes.iter().find(|(space, name, _)| space == INSTANCE && name == "nil");
        said.is_some_and(|(_, _, value)| matches!(value.as_str(), "true" | "1"))
    }
}

/// Reads a document; the error says what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let mut reader = NsReader::from_str(text);
    // The document itself, then every element that is open.
    let mut open = vec![Element::default()];
    loop {
        let (space, event) = reader.read_resolved_event().map_err(|error| error.to_string())?;
        let space = match space {
            ResolveResult::Bound(space) => space.0.to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(_) => return Err("a prefix that stands for nothing".into()),
        };
        match event {
            Event::Start(start) => {
                if open.len() > MAX_DEPTH {
                    return Err("elements too deep".into());
                }
                let element = element(&reader, &start, space)?;
                open.push(element);
            }
            Event::Empty(start) => {
                let element = element(&reader, &start, space)?;
                last(&mut open).children.push(element);
            }
            Event::End(_) => {
                let element = open.pop().unwrap_or_default();
                last(&mut open).children.push(element);
            }
            Event::Text(text) => last(&mut open).text.push_str(&text.xml10_content()),
            Event::CData(text) => last(&mut open).text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let known = match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(character) => character,
                    None => match &*reference.xml10_content() {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        other => return Err(format!("the unknown entity {other}")),
                    },
                };
                last(&mut open).text.push(known);
            }
            Event::DocType(_) => return Err("a document type, which SOAP forbids".into()),
            Event::PI(_) => return Err("a processing instruction, which SOAP forbids".into()),
            Event::Comment(_) | Event::Decl(_) => {}
            Event::Eof => break,
        }
    }
    let mut document = open.pop().unwrap_or_default();
    if !open.is_empty() {
        return Err(format!("{} is not closed", document.name));
    }
    match (document.children.pop(), document.children.pop()) {
        (Some(root), None) if document.text.trim().is_empty() => Ok(root),
        _ => Err("not one element".into()),
    }
}

fn last(open: &mut [Element]) -> &mut Element {
    open.last_mut().expect("an end without a start is refused by the reader")
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>, space: String) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (space, name) = reader.resolver().resolve_attribute(attribute.key);
        let space = match space {
            ResolveResult::Bound(space) => space.0.to_owned(),
            _ => String::new(),
        };
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        attributes.push((space, name.into_inner().to_owned(), value.into_owned()));
    }
    let name = start.local_name().into_inner().to_owned();
    Ok(Element { space, name, attributes, children: Vec::new(), text: String::new() })
}

/// Text as it stands between tags and in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_and_references_and_cdata_are_text() {
        let root = read(b"<a:x xmlns:a='urn:a' xmlns='urn:b'><y n='&lt;'>1 &amp; &#50;<![CDATA[<3>]]></y><a:z/></a:x>");
        let root = root.unwrap();

        assert_eq!((root.space.as_str(), root.name.as_str()), ("urn:a", "x"));
        let inner = root.child("urn:b", "y").unwrap();
        assert_eq!(inner.text, "1 & 2<3>");
        assert_eq!(inner.attributes, [(String::new(), "n".into(), "<".into())]);
        assert!(root.child("urn:a", "z").is_some());
    }

    #[test]
    fn what_no_client_has_reason_to_send_is_refused() {
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        for (text, reason) in [
            ("", "not one element"),
            ("<a/><b/>", "not one element"),
            ("<a>", "is not closed"),
            ("<a></b>", ""),
            ("<!DOCTYPE a><a/>", "a document type"),
            ("<?x y?><a/>", "a processing instruction"),
            ("<a>&b;</a>", "the unknown entity b"),
            ("<p:a/>", "a prefix that stands for nothing"),
            (&deep, "elements too deep"),
        ] {
            let refused = read(text.as_bytes()).unwrap_err();

            assert!(refused.contains(reason), "{text}: {refused}");
        }
        assert_eq!(read(b"<a>\xff</a>"), Err("not UTF-8".into()));
    }
}
