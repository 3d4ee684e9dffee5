//! Reading XML within bounds: no document type, and limits on size, depth and count, since an answer may come from
//! anybody who stands between us and the panel.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// A list of ten thousand servers is a quarter of it.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The panel's reports, the deepest of its answers, have less than ten levels.
const MAX_DEPTH: usize = 32;
/// Ten thousand servers with twenty columns each.
const MAX_NODES: usize = 200_000;
/// The root of a form carries about twenty.
const MAX_ATTRIBUTES: usize = 64;

/// Why a text is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("is not UTF-8")]
    Charset,
    #[error("is not well-formed XML")]
    Malformed,
    #[error("has a document type or an entity of its own")]
    Entity,
    #[error("is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("has too many elements or attributes")]
    TooMany,
}

/// An element. Names are local ones; text is what stands directly in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    name: Box<str>,
    attributes: Vec<(Box<str>, Box<str>)>,
    text: String,
    children: Vec<Node>,
}

impl Node {
    /// The root of a document.
    pub fn parse(body: &[u8]) -> Result<Self, XmlError> {
        if body.len() > MAX_BYTES {
            return Err(XmlError::TooLong);
        }
        let text = std::str::from_utf8(body).map_err(|_| XmlError::Charset)?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut nodes = 0;
        loop {
            match reader.read_event().map_err(|_| XmlError::Malformed)? {
                Event::Start(tag) => {
                    open.push(Self::element(&tag, &mut nodes)?);
                    if open.len() > MAX_DEPTH {
                        return Err(XmlError::TooDeep);
                    }
                }
                Event::Empty(tag) => {
                    let node = Self::element(&tag, &mut nodes)?;
                    close(node, &mut open, &mut root)?;
                }
                Event::End(_) => {
                    let node = open.pop().ok_or(XmlError::Malformed)?;
                    close(node, &mut open, &mut root)?;
                }
                Event::Text(text) => say(&mut open, &text.into_inner())?,
                Event::CData(data) => say(&mut open, &data.into_inner())?,
                Event::GeneralRef(reference) => {
                    let spelled = match reference.resolve_char_ref().map_err(|_| XmlError::Malformed)? {
                        Some(char) => char,
                        None => predefined(&reference.into_inner()).ok_or(XmlError::Entity)?,
                    };
                    say(&mut open, spelled.encode_utf8(&mut [0; 4]))?;
                }
                Event::DocType(_) => return Err(XmlError::Entity),
                Event::Decl(declared) => {
                    if let Some(encoding) = declared.encoding() {
                        let encoding = encoding.map_err(|_| XmlError::Malformed)?;
                        if !["utf-8", "utf8", "us-ascii"].iter().any(|known| encoding.eq_ignore_ascii_case(known)) {
                            return Err(XmlError::Charset);
                        }
                    }
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => return root.filter(|_| open.is_empty()).ok_or(XmlError::Malformed),
            }
        }
    }

    fn element(tag: &BytesStart<'_>, nodes: &mut usize) -> Result<Self, XmlError> {
        *nodes += 1;
        if *nodes > MAX_NODES {
            return Err(XmlError::TooMany);
        }
        let mut attributes = Vec::new();
        // The check for repeated names would take time in the square of their number.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| XmlError::Malformed)?;
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(XmlError::TooMany);
            }
            let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| XmlError::Entity)?;
            attributes.push((attribute.key.local_name().as_ref().into(), value.into()));
        }
        Ok(Self { name: tag.local_name().as_ref().into(), attributes, ..Self::default() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| &**key == name).map(|(_, value)| value.trim())
    }

    /// What stands in the element itself, without blanks around it.
    pub fn own_text(&self) -> &str {
        self.text.trim()
    }

    /// Direct children only: what lies deeper may be an echo of the request.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| &*child.name == name)
    }

    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| &*child.name == name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.child(name).is_some()
    }

    /// The first of its children of these names that has elements where a text should be.
    pub fn not_text<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        let is_nested = |child: &Self, name: &str| &*child.name == name && !child.children.is_empty();
        names.iter().copied().find(|name| self.children.iter().any(|child| is_nested(child, name)))
    }

    /// The text of a child; an empty one and a missing one are the same.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(Self::own_text).filter(|text| !text.is_empty())
    }

    /// Every element of that name below, at any depth; for reports, whose rows sit at varying depth.
    pub fn deep<'a>(&'a self, name: &str, found: &mut Vec<&'a Self>) {
        for child in &self.children {
            if &*child.name == name {
                found.push(child);
            }
            child.deep(name, found);
        }
    }
}

fn close(node: Node, open: &mut [Node], root: &mut Option<Node>) -> Result<(), XmlError> {
    match open.last_mut() {
        Some(parent) => parent.children.push(node),
        None if root.is_none() => *root = Some(node),
        None => return Err(XmlError::Malformed),
    }
    Ok(())
}

fn say(open: &mut [Node], text: &str) -> Result<(), XmlError> {
    match open.last_mut() {
        Some(node) => node.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(XmlError::Malformed),
    }
    Ok(())
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn direct_children_are_read_and_echoes_are_not() {
        let doc = Node::parse(
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<doc lang='en'><tparams><id>9</id></tparams>\
              <id> 4&#50; </id><name><![CDATA[a<b]]>&amp;c</name><off/></doc>",
        )
        .unwrap();
        assert_eq!((doc.name(), doc.attribute("lang")), ("doc", Some("en")));
        assert_eq!((doc.text("id"), doc.text("name")), (Some("42"), Some("a<b&c")));
        assert_eq!((doc.has("off"), doc.text("off"), doc.has("on")), (true, None, false));
        let mut ids = Vec::new();
        doc.deep("id", &mut ids);
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn what_could_do_harm_is_refused() {
        let bomb = "<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><doc>&b;</doc>";
        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        let many = format!("<doc>{}</doc>", "<a/>".repeat(MAX_NODES));
        let wide = format!("<doc {}/>", (0..100).map(|n| format!("a{n}='1' ")).collect::<String>());
        let long = vec![b' '; MAX_BYTES + 1];
        for (body, expected) in [
            (bomb.as_bytes(), XmlError::Entity),
            (b"<doc>&unknown;</doc>", XmlError::Entity),
            (b"<doc a='&unknown;'/>", XmlError::Entity),
            (deep.as_bytes(), XmlError::TooDeep),
            (many.as_bytes(), XmlError::TooMany),
            (wide.as_bytes(), XmlError::TooMany),
            (&long, XmlError::TooLong),
            (b"<doc>\xff</doc>", XmlError::Charset),
            (b"<?xml version='1.0' encoding='windows-1251'?><doc/>", XmlError::Charset),
            (b"<doc>", XmlError::Malformed),
            (b"<doc></dog>", XmlError::Malformed),
            (b"<doc/><doc/>", XmlError::Malformed),
            (b"text<doc/>", XmlError::Malformed),
            (b"", XmlError::Malformed),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(Node::parse(body), Err(expected), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Node::parse(&body);
        }

        #[test]
        fn hostile_markup_is_read_or_refused(body in "[<>/!?&;#\\[\\]'\"= a-dx0-9-]{0,300}") {
            let _ = Node::parse(body.as_bytes());
            let _ = Node::parse(format!("<doc>{body}</doc>").as_bytes());
        }

        #[test]
        fn text_comes_back_as_it_was(text in "[^\u{0}-\u{1f}\u{7f}]{1,60}") {
            let body = format!("<doc a=\"{0}\"><t>{0}</t></doc>", quick_xml::escape::escape(text.as_str()));
            let doc = Node::parse(body.as_bytes()).unwrap();
            prop_assert_eq!(doc.attribute("a"), Some(text.trim()));
            prop_assert_eq!(doc.child("t").map(Node::own_text), Some(text.trim()));
        }
    }
}
