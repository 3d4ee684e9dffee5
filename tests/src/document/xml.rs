//! XML with its names as they are written.

use super::tree::WORD;
use super::{Place, Twist};
use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};

const NIL: &str = "xsi:nil";
const TYPE: &str = "xsi:type";

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    /// Of one without children.
    text: String,
}

impl Element {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            let at = usize::try_from(reader.buffer_position()).ok()?;
            let event = reader.read_event().ok()?;
            let end = usize::try_from(reader.buffer_position()).ok()?;
            let is_end = matches!(event, Event::End(_) | Event::Empty(_));
            match event {
                Event::Start(tag) | Event::Empty(tag) => open.push(Self::begin(&tag)?),
                Event::Text(_) | Event::GeneralRef(_) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&unescape(text.get(at..end)?).ok()?);
                    }
                }
                Event::CData(data) => open.last_mut()?.text.push_str(&data.into_inner()),
                Event::Eof => return None,
                _ => {}
            }
            if is_end {
                let mut element = open.pop()?;
                if !element.children.is_empty() {
                    element.text.clear();
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Some(element),
                }
            }
        }
    }

    fn begin(tag: &BytesStart<'_>) -> Option<Self> {
        let mut element = Self { name: tag.name().as_ref().to_owned(), ..Self::default() };
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            let value = unescape(&attribute.value).ok()?.into_owned();
            element.attributes.push((attribute.key.as_ref().to_owned(), value));
        }
        Some(element)
    }

    pub(super) fn document(&self) -> String {
        let mut out = "<?xml version=\"1.0\" encoding=\"utf-8\"?>".to_owned();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        out.push_str(&format!("<{}", self.name));
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}=\"{}\"", escape(value.as_str())));
        }
        out.push('>');
        out.push_str(&escape(self.text.as_str()));
        self.children.iter().for_each(|child| child.write(out));
        out.push_str(&format!("</{}>", self.name));
    }

    fn local(&self) -> &str {
        self.name.split_once(':').map_or(self.name.as_str(), |(_, local)| local)
    }

    fn has_type(&self, end: &str) -> bool {
        self.attributes.iter().any(|(name, value)| name == TYPE && value.ends_with(end))
    }

    fn text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), ..Self::default() }
    }

    fn holding(name: &str, children: Vec<Self>) -> Self {
        Self { name: name.to_owned(), children, ..Self::default() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The two elements that are SOAP's own.
    fn is_frame(&self) -> bool {
        matches!(self.local(), "Envelope" | "Body") && self.name.contains(':')
    }

    pub(super) fn add_unknown(&mut self) {
        let is_soap = self.is_frame();
        if is_soap {
            self.attributes.push(("xmlns:bh".to_owned(), "urn:unknown".to_owned()));
        }
        self.add_unknown_within(is_soap);
        if is_soap && !self.children.iter().any(|child| child.local() == "Header") {
            let prefix = self.name.split(':').next().unwrap_or_default().to_owned();
            let entry = Self::text("bh:Unknown", "7").with("xmlns:bh", "urn:unknown");
            self.children.insert(0, Self::holding(&format!("{prefix}:Header"), vec![entry]));
        }
    }

    fn add_unknown_within(&mut self, is_soap: bool) {
        // A description of data is no data, and what another namespace says is nobody's business.
        if matches!(self.local(), "schema" | "Header" | "Fault") {
            return;
        }
        self.children.iter_mut().for_each(|child| child.add_unknown_within(is_soap));
        self.attributes.push((if is_soap { "bh:unknown" } else { "unknown" }.to_owned(), "1 < 2".to_owned()));
        if self.has_type(":Map") && self.is_keyed_list() {
            return;
        }
        if self.has_type(":Map") {
            let value = Self::holding("value", vec![Self::text("item", "1").with(TYPE, "xsd:int")]);
            let value = value.with(TYPE, "SOAP-ENC:Array").with("SOAP-ENC:arrayType", "xsd:int[1]");
            let key = Self::text("key", "aa_unknown").with(TYPE, "xsd:string");
            self.children.insert(0, Self::holding("item", vec![key, value]));
            let key = Self::text("key", "zz_unknown").with(TYPE, "xsd:string");
            let value = Self { attributes: vec![(NIL.to_owned(), "true".to_owned())], ..Self::text("value", "") };
            self.children.push(Self::holding("item", vec![key, value]));
        } else if self.has_names() {
            // Of its children's prefixes, not each is declared here.
            let prefix = self.name.split_once(':').map(|(prefix, _)| format!("{prefix}:"));
            let named = |name: &str| format!("{}{name}", prefix.as_deref().unwrap_or_default());
            let inner = vec![Self::text(&named("id"), "1"), Self::text(&named("elem"), "<&>")];
            self.children.insert(0, Self::holding(&named("AaUnknown"), inner));
            self.children.push(Self::text(&named("ZzUnknown"), ""));
        }
    }

    /// Whether it is a map of things by their ids: all of its values have members.
    fn is_keyed_list(&self) -> bool {
        let mut values = self.children.iter().filter_map(|item| item.children.last());
        values.all(|value| !value.children.is_empty())
    }

    /// Whether its children are members with names, and no list of things.
    fn has_names(&self) -> bool {
        let Some(first) = self.children.first() else { return false };
        let is_item = matches!(self.local(), "item" | "diffgram") || self.has_type(":Array");
        let is_response = self.local().ends_with("Response");
        !self.is_frame() && !is_item && (is_response || self.children.iter().any(|child| child.name != first.name))
    }

    /// The name of a child as a part of a path: for one of several, with its number.
    fn name_of(&self, index: usize) -> Vec<String> {
        let child = &self.children[index];
        let alike = |upto: &[Self]| upto.iter().filter(|other| other.name == child.name).count();
        if self.has_type(":Array") {
            return vec![index.to_string()];
        }
        if child.local() == "item" && self.has_type(":Map") {
            return vec![child.children.first().map_or_else(String::new, |key| key.text.clone())];
        }
        if alike(&self.children) < 2 {
            return vec![child.local().to_owned()];
        }
        vec![child.local().to_owned(), alike(&self.children[..index]).to_string()]
    }

    /// Children that are values, each with the number that leads to it.
    fn values(&self) -> Vec<usize> {
        (0..self.children.len())
            .filter(|index| !matches!(self.children[*index].local(), "schema" | "Header" | "key"))
            .collect()
    }

    pub(super) fn places(&self, path: &mut Vec<String>, found: &mut Vec<Place>) {
        for index in self.values() {
            let child = &self.children[index];
            // Neither a frame nor the pair of a name and a value is a value.
            let is_pair = child.local() == "item" && self.has_type(":Map");
            let is_value = self.local() == "item" && child.local() == "value";
            let depth = path.len();
            if !(child.is_frame() || is_value) {
                path.extend(self.name_of(index));
            }
            if !(child.is_frame() || is_pair) {
                found.push(Place { path: path.clone() });
            }
            child.places(path, found);
            path.truncate(depth);
        }
    }

    pub(super) fn twist(&mut self, place: usize, twist: Twist) {
        let mut left = place;
        let is_soap = self.is_frame();
        if let Some(found) = self.find(&mut left) {
            found.twisted(twist, is_soap);
        }
    }

    /// The element of the number `left`, counted as [`places`](Self::places) does.
    fn find(&mut self, left: &mut usize) -> Option<&mut Self> {
        let is_map = self.has_type(":Map");
        let values = self.values();
        for (index, child) in self.children.iter_mut().enumerate() {
            if !values.contains(&index) {
                continue;
            }
            let is_pair = child.local() == "item" && is_map;
            if !(child.is_frame() || is_pair) {
                if *left == 0 {
                    return Some(child);
                }
                *left -= 1;
            }
            if let Some(found) = child.find(left) {
                return Some(found);
            }
        }
        None
    }

    fn twisted(&mut self, twist: Twist, is_soap: bool) {
        let is_number = self.text.parse::<f64>().is_ok() || matches!(&*self.text, "true" | "false");
        if twist == Twist::Word && self.children.is_empty() && !is_number {
            return;
        }
        // Other members are no other type: what has some is looked into by its names.
        if twist == Twist::Members && !self.children.is_empty() {
            return;
        }
        let is_typed = self.attributes.iter().any(|(name, _)| name == TYPE);
        self.attributes.retain(|(name, _)| !(name == TYPE || name == NIL || name.ends_with(":arrayType")));
        let (children, text, kind) = match twist {
            Twist::Word => (Vec::new(), WORD, "xsd:string"),
            Twist::Null => (Vec::new(), "", ""),
            Twist::Members => (vec![Self::text(WORD, "1")], "", "SOAP-ENC:Struct"),
        };
        (self.children, self.text) = (children, text.to_owned());
        if is_typed && !kind.is_empty() {
            self.attributes.push((TYPE.to_owned(), kind.to_owned()));
        }
        if twist == Twist::Null && is_soap {
            self.attributes.push((NIL.to_owned(), "true".to_owned()));
        }
    }
}
