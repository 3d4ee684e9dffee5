//! Bytes to a [`Tree`], within limits.

use crate::XSI;
use crate::error::ReadError;
use crate::tree::{Attribute, Element, NONE, Tree};
use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesRef, Event};
use std::borrow::Cow;

/// Prefixes that are declared at one place; what declares more is not an answer.
const MAX_PREFIXES: usize = 64;

/// Longest name in a charset error.
const MAX_SHOWN: usize = 32;

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// How much of an answer is read.
///
/// The memory of a [`Tree`] is at most the body's and some 100 bytes for each of `nodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the body.
    pub bytes: usize,
    /// Elements within elements.
    pub depth: usize,
    /// Elements and attributes together.
    pub nodes: usize,
    /// Attributes of one element.
    pub attributes: usize,
}

impl Default for Limits {
    /// 8 MiB, 64 levels, 250 000 nodes, 32 attributes.
    fn default() -> Self {
        Self { bytes: 8 << 20, depth: 64, nodes: 250_000, attributes: 32 }
    }
}

impl Limits {
    /// Reads a body. `content_type` is that of the HTTP answer; a charset in it counts as one in the document.
    ///
    /// # Errors
    ///
    /// [`ReadError`], before anything of the body has been looked at if it is too long.
    pub fn read<'b>(&self, content_type: Option<&str>, body: &'b [u8]) -> Result<Tree<'b>, ReadError> {
        if body.len() > self.bytes {
            return Err(ReadError::TooMuch { what: "bytes", limit: self.bytes });
        }
        if let Some(charset) = content_type.and_then(charset) {
            known(charset)?;
        }
        if body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]) {
            return Err(ReadError::Charset("utf-16".into()));
        }
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => return Err(ReadError::Empty),
            Some(b'<') => {}
            Some(_) => return Err(ReadError::NotXml),
        }
        // The charset that an answer declares explains more than the first byte that does not fit.
        declared(body)?;
        let text = std::str::from_utf8(body).map_err(|error| ReadError::NotUtf8(error.valid_up_to()))?;
        let mut build = Build::new(self, text);
        build.document()?;
        Ok(build.tree)
    }
}

/// `text/xml; charset="utf-8"` is `utf-8`.
fn charset(content_type: &str) -> Option<&str> {
    let mut parts = content_type.split(';').skip(1).filter_map(|part| part.split_once('='));
    let (_, value) = parts.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(value.trim().trim_matches('"'))
}

fn known(charset: &str) -> Result<(), ReadError> {
    if ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let shown = charset.chars().filter(|char| char.is_ascii_graphic()).take(MAX_SHOWN).collect();
    Err(ReadError::Charset(shown))
}

/// Looks at the encoding of the XML declaration, which is ASCII in every charset that could come this far.
fn declared(body: &[u8]) -> Result<(), ReadError> {
    if !body.starts_with(b"<?xml") {
        return Ok(());
    }
    let head = &body[..body.len().min(256)];
    let end = head.iter().position(|byte| *byte == b'>').unwrap_or(head.len());
    let Ok(head) = std::str::from_utf8(&head[..end]) else { return Ok(()) };
    let Some((_, rest)) = head.split_once("encoding") else { return Ok(()) };
    let value = rest.trim_start().trim_start_matches('=').trim_start();
    let Some(quote @ ('"' | '\'')) = value.chars().next() else { return Ok(()) };
    known(value[1..].split(quote).next().unwrap_or_default())
}

struct Build<'b, 'l> {
    limits: &'l Limits,
    source: &'b str,
    tree: Tree<'b>,
    /// The innermost open element, and how many are open.
    open: u32,
    depth: usize,
    /// Prefixes in scope with their namespaces, and how many of them each open element found.
    scope: Vec<(&'b str, u32)>,
    marks: Vec<usize>,
}

impl<'b, 'l> Build<'b, 'l> {
    fn new(limits: &'l Limits, source: &'b str) -> Self {
        let tree = Tree { elements: Vec::new(), attributes: Vec::new(), namespaces: vec!["".into(), XML.into()] };
        Self { limits, source, tree, open: NONE, depth: 0, scope: vec![("xml", 1)], marks: Vec::new() }
    }

    fn document(&mut self) -> Result<(), ReadError> {
        let mut reader = Reader::from_str(self.source);
        loop {
            let begin = position(&reader);
            let event = reader.read_event().map_err(|_| self.malformed())?;
            let end = position(&reader);
            match event {
                Event::Start(tag) => self.start(begin + 1, end - 1, tag.name().as_ref().len())?,
                Event::Empty(tag) => {
                    self.start(begin + 1, end - 2, tag.name().as_ref().len())?;
                    self.close();
                }
                Event::End(_) => self.close(),
                Event::Text(text) => self.raw(text.xml10_content())?,
                Event::CData(data) if self.open != NONE => self.raw(data.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let text = self.resolved(&reference)?;
                    self.text(text.into())?;
                }
                Event::DocType(_) => return Err(ReadError::DocType),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::CData(_) => return Err(self.malformed()),
                Event::Eof => break,
            }
        }
        if self.open != NONE || self.tree.elements.is_empty() {
            return Err(self.malformed());
        }
        Ok(())
    }

    /// Takes the tag whose name begins at `from`, and whose attributes end at `to`.
    fn start(&mut self, from: usize, to: usize, name_len: usize) -> Result<(), ReadError> {
        if self.depth >= self.limits.depth {
            return Err(ReadError::TooMuch { what: "levels of elements", limit: self.limits.depth });
        }
        let tag = self.source.get(from..to).ok_or_else(|| self.malformed())?;
        // Only one element stands by itself.
        if self.open == NONE && !self.tree.elements.is_empty() {
            return Err(self.malformed());
        }
        self.marks.push(self.scope.len());
        self.depth += 1;
        let raw = self.attributes(tag, name_len)?;
        let first = self.tree.attributes.len();
        let mut type_namespace = 0;
        for (key, value) in raw {
            let (prefix, name) = split(key);
            let namespace = if prefix.is_empty() { 0 } else { self.namespace(prefix)? };
            if name == "type" && self.tree.namespaces[namespace as usize] == XSI {
                let prefix = split(value.trim()).0;
                type_namespace = self.namespace(prefix).unwrap_or_default();
            }
            self.tree.attributes.push(Attribute { name, namespace, value });
        }
        let (prefix, name) = split(tag.get(..name_len).unwrap_or_default());
        if name.is_empty() {
            return Err(self.malformed());
        }
        let element = Element {
            name,
            namespace: self.namespace(prefix)?,
            parent: self.open,
            first: NONE,
            last: NONE,
            next: NONE,
            attributes: (index(first), index(self.tree.attributes.len() - first)),
            type_namespace,
            text: Cow::Borrowed(""),
        };
        self.append(element);
        self.within_nodes()
    }

    /// The attributes of a tag but its declarations of prefixes, which go into the scope.
    fn attributes(&mut self, tag: &'b str, name_len: usize) -> Result<Vec<(&'b str, Cow<'b, str>)>, ReadError> {
        let mut raw = Vec::new();
        for (count, attribute) in Attributes::new(tag, name_len).enumerate() {
            if count >= self.limits.attributes {
                return Err(ReadError::TooMuch { what: "attributes of one element", limit: self.limits.attributes });
            }
            let attribute = attribute.map_err(|_| self.malformed())?;
            let value = match attribute.value {
                Cow::Borrowed(value) => unescape(value),
                Cow::Owned(ref value) => unescape(value).map(|value| value.into_owned().into()),
            };
            let (key, value) = (attribute.key.0, value.map_err(|_| self.reference())?);
            let declared = match key.strip_prefix("xmlns") {
                Some("") => Some(""),
                Some(rest) => rest.strip_prefix(':'),
                None => None,
            };
            let Some(prefix) = declared else {
                raw.push((key, value));
                continue;
            };
            if self.scope.len() >= MAX_PREFIXES {
                return Err(ReadError::TooMuch { what: "prefixes in one place", limit: MAX_PREFIXES });
            }
            let known = self.tree.namespaces.iter().take(MAX_PREFIXES).position(|known| *known == value);
            let namespace = known.unwrap_or_else(|| {
                self.tree.namespaces.push(value);
                self.tree.namespaces.len() - 1
            });
            self.scope.push((prefix, index(namespace)));
            self.within_nodes()?;
        }
        Ok(raw)
    }

    fn append(&mut self, element: Element<'b>) {
        let (at, parent) = (index(self.tree.elements.len()), self.open);
        if let Some(parent) = self.tree.elements.get_mut(parent as usize) {
            let last = std::mem::replace(&mut parent.last, at);
            if last == NONE {
                parent.first = at;
                // Blanks between elements say nothing.
                parent.text = Cow::Borrowed("");
            } else {
                self.tree.elements[last as usize].next = at;
            }
        }
        self.tree.elements.push(element);
        self.open = at;
    }

    fn close(&mut self) {
        self.scope.truncate(self.marks.pop().unwrap_or_default());
        self.depth = self.depth.saturating_sub(1);
        if let Some(element) = self.tree.elements.get(self.open as usize) {
            self.open = element.parent;
        }
    }

    /// Text as it stands in the document, where control characters may not.
    fn raw(&mut self, text: Cow<'b, str>) -> Result<(), ReadError> {
        if text.bytes().any(|byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) {
            return Err(self.malformed());
        }
        self.text(text)
    }

    /// Adds to the text of the innermost element. Text beside elements is not kept, but may be nothing else than blanks
    /// outside of the root.
    fn text(&mut self, text: Cow<'b, str>) -> Result<(), ReadError> {
        let is_blank = text.chars().all(char::is_whitespace);
        match self.tree.elements.get_mut(self.open as usize) {
            None if is_blank => Ok(()),
            None => Err(self.malformed()),
            Some(element) if element.first != NONE => Ok(()),
            Some(element) if element.text.is_empty() => {
                element.text = text;
                Ok(())
            }
            Some(element) => {
                element.text.to_mut().push_str(&text);
                Ok(())
            }
        }
    }

    /// What a reference stands for: one of the five entities of XML, or a character.
    fn resolved(&self, reference: &BytesRef<'b>) -> Result<String, ReadError> {
        match reference.resolve_char_ref() {
            // .NET writes control characters so; only NUL is none in any version of XML.
            Ok(Some(char)) if char != '\0' => return Ok(char.to_string()),
            Ok(None) => {}
            _ => return Err(self.reference()),
        }
        let name = reference.clone().into_inner();
        resolve_predefined_entity(&name).map(str::to_owned).ok_or_else(|| self.reference())
    }

    fn namespace(&self, prefix: &str) -> Result<u32, ReadError> {
        match self.scope.iter().rev().find(|(known, _)| *known == prefix) {
            Some((_, namespace)) => Ok(*namespace),
            None if prefix.is_empty() => Ok(0),
            None => Err(self.malformed()),
        }
    }

    fn within_nodes(&self) -> Result<(), ReadError> {
        let nodes = self.tree.elements.len() + self.tree.attributes.len() + self.tree.namespaces.len();
        if nodes > self.limits.nodes {
            return Err(ReadError::TooMuch { what: "elements and attributes", limit: self.limits.nodes });
        }
        Ok(())
    }

    fn place(&self) -> String {
        let elements = &self.tree.elements;
        let names = std::iter::successors(elements.get(self.open as usize), |e| elements.get(e.parent as usize));
        let mut names: Vec<String> = names.map(|element| element.name.chars().take(MAX_SHOWN).collect()).collect();
        if names.is_empty() {
            return "the document".into();
        }
        names.reverse();
        names.join("/")
    }

    fn malformed(&self) -> ReadError {
        ReadError::Malformed { place: self.place() }
    }

    fn reference(&self) -> ReadError {
        ReadError::Reference { place: self.place() }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// Counts are below [`Limits::nodes`], and that far below this type's end; [`NONE`] is what a larger one would be.
fn index(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NONE)
}

fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, String> {
        read_bytes(None, text.as_bytes())
    }

    /// The text of the root's first element, or of the root.
    fn read_bytes(content_type: Option<&str>, body: &[u8]) -> Result<String, String> {
        let tree = Limits::default().read(content_type, body).map_err(|error| error.to_string())?;
        let node = tree.root().children().next().unwrap_or(tree.root());
        node.text().map(str::to_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn text_is_what_it_says_however_it_is_written() {
        for (text, expected) in [
            ("<a> x </a>", " x "),
            ("\u{feff}<?xml version='1.0' encoding='UTF-8'?>\n<a>x</a>\n", "x"),
            ("<a>&lt;&#65;&#x42;&amp;&apos;&quot;&gt;</a>", "<AB&'\">"),
            ("<a>x<!-- no -->y<![CDATA[<&]]>z<?no no?></a>", "xy<&z"),
            ("<a>x\r\ny&#13;</a>", "x\ny\r"),
            ("<a>&#1;</a>", "\u{1}"),
            ("<a>\n <b>x</b>\n <c/>\n</a>", "x"),
            ("<a/>", ""),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_xml_is_refused_with_its_reason() {
        for (text, said) in [
            ("", "empty"),
            (" \n\t", "empty"),
            ("{\"a\":1}", "no XML"),
            ("Fatal error: x", "no XML"),
            ("<!DOCTYPE html><html/>", "document type"),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "document type"),
            ("<a>&nbsp;</a>", "reference that is not read, in a"),
            ("<a b='&x;'/>", "reference"),
            ("<a>&#0;</a>", "reference"),
            ("<a>&#xD800;</a>", "reference"),
            ("<a>&#99999999999;</a>", "reference"),
            ("<a>& b</a>", "not well-formed, in a"),
            ("<a><b></a>", "not well-formed, in a/b"),
            ("<a>", "not well-formed, in a"),
            ("<a><b>x</b>", "not well-formed, in a"),
            ("<a/><b/>", "not well-formed"),
            ("<a/>x", "not well-formed"),
            ("<a b=1/>", "not well-formed"),
            ("<a b='1' b='2'/>", "not well-formed"),
            ("<x:a/>", "not well-formed"),
            ("<a x:b='1'/>", "not well-formed"),
            ("<a>\u{0}</a>", "not well-formed"),
            ("<", "not well-formed"),
            ("<!-- -->", "not well-formed"),
            ("<a", "not well-formed"),
            ("<a><![CDATA[x</a>", "not well-formed"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn another_charset_is_named() {
        for (content_type, body, said) in [
            (Some("text/xml; charset=iso-8859-1"), &b"<a/>"[..], "charset iso-8859-1"),
            (Some("text/xml; charset=\"windows-1251\""), b"<a/>", "charset windows-1251"),
            (None, b"<?xml version=\"1.0\" encoding=\"windows-1251\"?><a>\xcf</a>", "charset windows-1251"),
            (None, b"<?xml version='1.0' encoding = 'koi8-r' ?><a/>", "charset koi8-r"),
            (None, b"\xff\xfe<\0a\0/\0>\0", "charset utf-16"),
            (None, b"<a>\xcf</a>", "not UTF-8, at byte 3"),
        ] {
            let error = read_bytes(content_type, body).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        for good in ["text/xml", "text/xml; charset=UTF-8", "text/xml;charset=utf8", "text/xml; charset=\"utf-8\"; x=y"]
        {
            assert_eq!(read_bytes(Some(good), b"<a>x</a>"), Ok("x".into()), "{good}");
        }
    }

    #[test]
    fn nothing_grows_beyond_the_limits() {
        let limits = Limits { bytes: 2_000, depth: 4, nodes: 20, attributes: 3 };
        let prefixes = |count: usize| (0..count).map(|n| format!(" xmlns:p{n}='u{n}'")).collect::<String>();
        for (text, expected) in [
            ("<a>".repeat(4) + &"</a>".repeat(4), None),
            ("<a>".repeat(5) + &"</a>".repeat(5), Some("levels of elements")),
            (format!("<a>{}</a>", "<b/>".repeat(15)), None),
            (format!("<a>{}</a>", "<b/>".repeat(30)), Some("elements and attributes")),
            (format!("<a>{}</a>", "<b c='1'/>".repeat(12)), Some("elements and attributes")),
            ("<a b='1' c='1' d='1'/>".into(), None),
            ("<a b='1' c='1' d='1' e='1'/>".into(), Some("attributes of one element")),
            (format!("<a>{}</a>", "x".repeat(2_000)), Some("bytes")),
        ] {
            let what = match limits.read(None, text.as_bytes()) {
                Err(ReadError::TooMuch { what, .. }) => Some(what),
                other => {
                    assert!(other.is_ok(), "{other:?}");
                    None
                }
            };
            assert_eq!(what, expected, "{text}");
        }
        let wide = Limits { attributes: 1_000, nodes: 10_000, bytes: 1 << 20, depth: 200 };
        let many = format!("<a{}><b{}/></a>", prefixes(40), prefixes(40));
        assert!(matches!(
            wide.read(None, many.as_bytes()),
            Err(ReadError::TooMuch { what: "prefixes in one place", .. })
        ));
    }

    #[test]
    fn an_error_quotes_no_value() {
        for text in ["<a>hunter2&x;</a>", "<a b='hunter2&x;'/>", "<a>hunter2", "<a>hunter2<b></a>", "<a hunter2=x/>"] {
            assert!(!read(text).unwrap_err().contains("hunter2"), "{text}");
        }
    }

    /// Walks all that can be asked of a tree.
    fn walk(node: crate::Node<'_>) {
        let _ = (node.text(), node.i64(), node.bool(), node.type_name(), node.is_nil());
        let _ = (crate::entries(node), crate::items(node), crate::rows(node, "Table"));
        node.children().for_each(walk);
    }

    const PIECES: &[&str] = &[
        "<a>",
        "</a>",
        "<b/>",
        "<x:c xmlns:x='u' x:d=\"1\">",
        "</x:c>",
        "text",
        "&amp;",
        "&#65;",
        "&x;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?p ?>",
        "<!DOCTYPE a>",
        "<",
        ">",
        "\"",
        "'",
        "=",
        " ",
        "\u{0}",
        "\u{fffe}",
        "ü",
        "<item>",
        "</item>",
        "<key>k</key>",
        "<value>",
        "</value>",
        " xsi:type='m:Map'",
        "href='#r'",
        "xmlns=''",
    ];

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            if let Ok(tree) = Limits::default().read(None, &body) {
                walk(tree.root());
            }
        }

        #[test]
        fn no_mixture_of_markup_makes_it_panic(picks in prop::collection::vec(0..PIECES.len(), 0..60)) {
            let text: String = picks.into_iter().map(|pick| PIECES[pick]).collect();
            for text in [text.clone(), format!("<a>{text}</a>")] {
                if let Ok(tree) = Limits::default().read(None, text.as_bytes()) {
                    walk(tree.root());
                    let _ = crate::answer(&tree, "find");
                }
            }
        }

        #[test]
        fn a_cut_answer_is_never_read(cut in 1_usize..200) {
            let whole = "<?xml version='1.0'?><e:E xmlns:e='u'><e:B><r a='1'>x&amp;y<i/></r></e:B></e:E>";
            if let Some(part) = whole.get(..cut.min(whole.len() - 1)) {
                prop_assert!(Limits::default().read(None, part.as_bytes()).is_err());
            }
        }
    }
}
