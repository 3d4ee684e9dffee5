//! Documents as panels write them (JSON, PHP's `serialize()`, XML), as trees that a test can add to and break.
//!
//! Its own reading and writing: what a plugin reads with is judged by it.

mod php;
mod tree;
mod xml;

use serde_json::Value;
use xml::Element;

/// A document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document(Form);

#[derive(Clone, Debug, PartialEq)]
enum Form {
    Json(Value),
    Php(Value),
    Xml(Element),
}

/// A value of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The names on the way to it; members of lists by their number.
    pub path: Vec<String>,
}

/// What a value is replaced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// A word; where there is one already, nothing happens.
    Word,
    /// Something that has members; where there are some already, a list of JSON or PHP in their place, and in XML nothing.
    Members,
    /// Nothing.
    Null,
}

impl Twist {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Members, Self::Word, Self::Null];
}

impl Document {
    /// Reads a document, whatever it is written in; `None` when it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        Some(Self(match text.trim_start().as_bytes().first()? {
            b'<' => Form::Xml(Element::parse(text)?),
            b'{' | b'[' => Form::Json(serde_json::from_str(text).ok()?),
            _ => Form::Php(php::parse(text)?),
        }))
    }

    /// Writes it as it was written.
    pub fn write(&self) -> Vec<u8> {
        match &self.0 {
            Form::Json(value) => value.to_string().into_bytes(),
            Form::Php(value) => php::write(value).into_bytes(),
            Form::Xml(root) => root.document().into_bytes(),
        }
    }

    /// Adds members that nobody knows wherever members are named, and attributes wherever there may be some. Lists keep
    /// their members.
    pub fn add_unknown(&mut self) {
        match &mut self.0 {
            Form::Json(value) | Form::Php(value) => tree::add_unknown(value),
            Form::Xml(root) => root.add_unknown(),
        }
    }

    /// Its values, but for the document itself.
    pub fn places(&self) -> Vec<Place> {
        let mut found = Vec::new();
        match &self.0 {
            Form::Json(value) | Form::Php(value) => tree::places(value, &mut Vec::new(), &mut found),
            Form::Xml(root) => root.places(&mut Vec::new(), &mut found),
        }
        found
    }

    /// Replaces the value of this number among [`places`](Self::places). Whether that makes a difference.
    pub fn twist(&mut self, place: usize, twist: Twist) -> bool {
        let before = self.clone();
        match &mut self.0 {
            Form::Json(value) | Form::Php(value) => tree::twist(value, place, twist),
            Form::Xml(root) => root.twist(place, twist),
        }
        *self != before
    }
}

impl Place {
    /// The name that a text about it must have: its own, or for a member of a list that of the list.
    pub fn name(&self) -> &str {
        let named = self.path.iter().rev().find(|part| part.parse::<u64>().is_err());
        named.map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"data":{"id":7,"tags":["a"],"owner":null}}"#;
    const PHP: &str = r#"a:2:{s:2:"id";i:7;s:4:"rows";a:2:{i:0;s:2:"é";i:1;b:1;}}"#;
    const XML: &str = "<doc a=\"1\"><row><id>7</id><on/></row><row><id>8 &lt;</id></row><n>1</n></doc>";
    const RPC: &str = "<E:Envelope xmlns:E=\"e\" xmlns:xsi=\"i\"><E:Body><r:fResponse xmlns:r=\"r\"><return xsi:type=\"m:Map\">\
                       <item><key xsi:type=\"xsd:string\">id</key><value xsi:type=\"xsd:int\">7</value></item>\
                       </return></r:fResponse></E:Body></E:Envelope>";

    fn names(document: &Document) -> Vec<String> {
        document.places().iter().map(|place| place.path.join(".")).collect()
    }

    #[test]
    fn what_is_read_is_written_again() {
        for text in [JSON, PHP, XML, RPC] {
            let document = Document::parse(text.as_bytes()).unwrap();
            assert_eq!(Document::parse(&document.write()), Some(document), "{text}");
        }
        assert_eq!(Document::parse(PHP.as_bytes()).unwrap().write(), PHP.as_bytes());
        for text in ["", "<a>", "{", "a:1:{i:0;}", "hello"] {
            assert_eq!(Document::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_value_has_a_place_with_a_name() {
        for (text, expected) in [
            (JSON, &["data", "data.id", "data.owner", "data.tags", "data.tags.0"][..]),
            (PHP, &["id", "rows", "rows.0", "rows.1"]),
            (XML, &["row.0", "row.0.id", "row.0.on", "row.1", "row.1.id", "n"]),
            (RPC, &["fResponse", "fResponse.return", "fResponse.return.id"]),
        ] {
            let document = Document::parse(text.as_bytes()).unwrap();
            assert_eq!(names(&document), expected, "{text}");
        }
        let listed = Place { path: vec!["rows".into(), "0".into()] };
        assert_eq!(listed.name(), "rows");
    }

    #[test]
    fn unknown_members_are_added_to_what_has_names_and_to_nothing_else() {
        for text in [JSON, PHP, XML, RPC] {
            let plain = Document::parse(text.as_bytes()).unwrap();
            let mut other = plain.clone();
            other.add_unknown();

            let written = Document::parse(&other.write()).unwrap();
            let found = names(&written);
            assert!(names(&plain).iter().all(|name| found.contains(name)), "{text}: {found:?}");
            assert!(found.len() > names(&plain).len(), "{text}");
            assert!(
                !found.iter().any(|name| name.starts_with("data.tags.1") || name.starts_with("rows.2")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_twist_changes_the_value_of_its_place_and_nothing_else() {
        for text in [JSON, PHP, XML, RPC] {
            let plain = Document::parse(text.as_bytes()).unwrap();
            for (place, name) in names(&plain).into_iter().enumerate() {
                for twist in Twist::ALL {
                    let mut other = plain.clone();
                    if !other.twist(place, twist) {
                        continue;
                    }
                    let written = Document::parse(&other.write()).unwrap();
                    let kept = |found: &String| *found == name || !found.starts_with(&format!("{name}."));
                    let found: Vec<String> = names(&written).into_iter().filter(kept).collect();
                    assert_eq!(
                        found,
                        names(&plain).into_iter().filter(kept).collect::<Vec<_>>(),
                        "{text} {name} {twist:?}"
                    );
                }
            }
        }
        let mut document = Document::parse(JSON.as_bytes()).unwrap();
        assert!(document.twist(1, Twist::Word));
        assert_eq!(document.write(), br#"{"data":{"id":"unexpected","owner":null,"tags":["a"]}}"#);
    }
}
