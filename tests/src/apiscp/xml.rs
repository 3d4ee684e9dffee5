//! XML as a tree, with names and types in their namespaces.

use std::collections::BTreeMap;
use std::rc::Rc;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

/// A namespace and a name in it.
pub(super) type Name = (String, String);

/// Deeper than any call of this API.
const MAX_LEVELS: usize = 32;

type Spaces = Rc<BTreeMap<String, String>>;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: Name,
    /// Without the declarations of namespaces.
    pub(super) attributes: BTreeMap<Name, String>,
    pub(super) children: Vec<Node>,
    /// Its own text; between children, blanks are dropped.
    pub(super) text: String,
    spaces: Spaces,
}

impl Node {
    /// Reads a document.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            let at = usize::try_from(reader.buffer_position()).unwrap_or_default();
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let end = usize::try_from(reader.buffer_position()).unwrap_or_default();
            match event {
                Event::Start(tag) => {
                    if open.len() >= MAX_LEVELS {
                        return Err("elements too deep".into());
                    }
                    open.push(Self::begin(&tag, open.last())?);
                }
                Event::Empty(tag) => {
                    let node = Self::begin(&tag, open.last())?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(node),
                        None => return Ok(node),
                    }
                }
                Event::End(_) => {
                    let mut node = open.pop().ok_or("an end without a beginning")?;
                    if !node.children.is_empty() {
                        if !node.text.trim().is_empty() {
                            return Err(format!("text between the members of {}", node.name.1));
                        }
                        node.text.clear();
                    }
                    match open.last_mut() {
                        Some(parent) => parent.children.push(node),
                        None => return Ok(node),
                    }
                }
                Event::Text(_) | Event::GeneralRef(_) => {
                    // What is between two tags, with its references; the five of XML and numbers, and no others.
                    let plain = unescape(text.get(at..end).unwrap_or_default()).map_err(|error| error.to_string())?;
                    match open.last_mut() {
                        Some(node) => node.text.push_str(&plain),
                        None if plain.trim().is_empty() => {}
                        None => return Err("text outside of the document".into()),
                    }
                }
                Event::CData(data) => match open.last_mut() {
                    Some(node) => node.text.push_str(&data.into_inner()),
                    None => return Err("text outside of the document".into()),
                },
                Event::DocType(_) => return Err("a document type".into()),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => return Err("the document has no end".into()),
            }
        }
    }

    fn begin(tag: &BytesStart<'_>, parent: Option<&Self>) -> Result<Self, String> {
        let mut given = Vec::new();
        let mut spaces = parent.map_or_else(Spaces::default, |parent| Rc::clone(&parent.spaces));
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let name = attribute.key.as_ref().to_owned();
            let value = unescape(&attribute.value).map_err(|error| error.to_string())?.into_owned();
            match name.split_once(':') {
                Some(("xmlns", prefix)) => _ = Rc::make_mut(&mut spaces).insert(prefix.to_owned(), value),
                None if name == "xmlns" => _ = Rc::make_mut(&mut spaces).insert(String::new(), value),
                _ => given.push((name, value)),
            }
        }
        let mut attributes = BTreeMap::new();
        for (name, value) in given {
            // An attribute without a prefix is in no namespace.
            let name = if name.contains(':') { resolve(&spaces, &name)? } else { (String::new(), name) };
            attributes.insert(name, value);
        }
        let name = resolve(&spaces, tag.name().as_ref())?;
        Ok(Self { name, attributes, children: Vec::new(), text: String::new(), spaces })
    }

    /// The attribute of this name in a namespace.
    pub(super) fn attribute(&self, space: &str, name: &str) -> Option<&str> {
        self.attributes.get(&(space.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// What `prefix:name` in an attribute's value means here.
    pub(super) fn meaning(&self, name: &str) -> Result<Name, String> {
        resolve(&self.spaces, name)
    }
}

fn resolve(spaces: &Spaces, name: &str) -> Result<Name, String> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    match spaces.get(prefix) {
        Some(space) => Ok((space.clone(), local.to_owned())),
        None if prefix.is_empty() => Ok((String::new(), local.to_owned())),
        None => Err(format!("the prefix {prefix} is not declared")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_their_namespaces_whatever_the_prefix() {
        let one =
            Node::parse("<?xml version='1.0'?><a:x xmlns:a='urn:1' a:k='&lt;1'>t&amp;<![CDATA[<]]></a:x>").unwrap();
        let two = Node::parse("<x xmlns='urn:1' xmlns:b='urn:1' b:k='&#60;1'>t&#38;&lt;</x>\n").unwrap();

        assert_eq!((&one.name, &one.attributes, &one.text), (&two.name, &two.attributes, &two.text));
        assert_eq!(one.text, "t&<");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(MAX_LEVELS + 1);
        for text in
            ["", "<a>", "<a></b>", "<p:a/>", "<!DOCTYPE a><a/>", "<a>&more;</a>", "<a>t<b/></a>", "text", &*deep]
        {
            assert!(Node::parse(text).is_err(), "{text}");
        }
    }
}
