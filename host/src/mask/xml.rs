//! XML: elements and attributes by local name, text and attribute values by value.

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};

use super::edit::Edits;
use super::path::{Reached, SecretPath};
use super::{Masker, is_mask};

/// Elements within elements; what is deeper is refused.
const MAX_LEVELS: usize = 128;

impl Masker<'_> {
    /// The masked document; `None` if `text` is not well-formed XML, or declares entities of its own.
    pub(super) fn xml_text(&self, text: &str, paths: &[SecretPath], root: &Reached, nested: usize) -> Option<String> {
        let mut walk =
            Walk { masker: *self, paths, nested, text, edits: Edits::default(), open: Vec::new(), run: Run::default() };
        walk.document(root)?;
        Some(walk.edits.apply(text).unwrap_or_else(|| text.to_owned()))
    }
}

struct Walk<'w> {
    masker: Masker<'w>,
    paths: &'w [SecretPath],
    nested: usize,
    text: &'w str,
    edits: Edits,
    open: Vec<Element>,
    run: Run,
}

/// An element whose end has not come.
struct Element {
    reached: Reached,
    name: String,
    /// Where its content begins.
    content: usize,
    by_key: bool,
    /// A child has named its sibling's content: `<key>password</key><value>...</value>`.
    names_secret: bool,
}

/// What stands between two tags: text, character data, references, comments. It is read as one, since a value may be
/// split over them at will.
#[derive(Default)]
struct Run {
    start: usize,
    plain: String,
}

impl<'w> Walk<'w> {
    fn document(&mut self, root: &Reached) -> Option<()> {
        let mut reader = Reader::from_str(self.text);
        let mut roots = 0;
        loop {
            let begin = usize::try_from(reader.buffer_position()).ok()?;
            let event = reader.read_event().ok()?;
            let end = usize::try_from(reader.buffer_position()).ok()?;
            match event {
                Event::Text(text) => self.run.plain.push_str(&text.into_inner()),
                Event::CData(data) => self.run.plain.push_str(&data.into_inner()),
                Event::GeneralRef(_) => self.run.plain.push_str(&unescape(self.text.get(begin..end)?).ok()?),
                Event::Comment(comment) => {
                    if let Some(masked) = self.masker.known(&comment.into_inner()) {
                        // What a comment may not contain cannot come from a mask, but may have stood beside it.
                        self.edits.replace(begin..end, format!("<!--{}-->", masked.replace("--", "- -")));
                    }
                }
                Event::PI(_) | Event::Decl(_) => {}
                // A document type may declare entities, and with them spell anything.
                Event::DocType(_) => return None,
                Event::Start(tag) => {
                    roots += usize::from(self.open.is_empty());
                    self.end_run(begin)?;
                    let element = self.element(&tag, root, begin, end)?;
                    self.open.push(element);
                    self.start_run(end);
                }
                Event::Empty(tag) => {
                    roots += usize::from(self.open.is_empty());
                    self.end_run(begin)?;
                    self.element(&tag, root, begin, end)?;
                    self.start_run(end);
                }
                Event::End(_) => {
                    self.end_run(begin)?;
                    self.close(begin)?;
                    self.start_run(end);
                }
                Event::Eof => {
                    self.end_run(end)?;
                    return (roots == 1 && self.open.is_empty()).then_some(());
                }
            }
        }
    }

    fn element(&mut self, tag: &BytesStart<'_>, root: &Reached, begin: usize, end: usize) -> Option<Element> {
        if self.open.len() >= MAX_LEVELS {
            return None;
        }
        let name = tag.local_name().as_ref().to_owned();
        let parent = self.open.last();
        let reached = parent.map_or(root, |parent| &parent.reached).member(self.paths, &name);
        // Directly within the body of a SOAP envelope stands the name of an operation, such as `ChangeUserPassword`.
        let is_operation = parent.is_some_and(|parent| parent.name == "Body");
        let met = self.masker.rules.name(&name);
        let by_key = parent.is_some_and(|parent| parent.by_key || parent.names_secret && met.holds)
            || !is_operation && met.is_secret;
        let mut element = Element { reached, name, content: end, by_key, names_secret: false };
        self.attributes(tag, &mut element, begin, end)?;
        Some(element)
    }

    /// Masks a tag's attributes; the tag is written anew if one changes. An attribute may also name its element's content.
    fn attributes(&mut self, tag: &BytesStart<'_>, element: &mut Element, begin: usize, end: usize) -> Option<()> {
        let mut attributes = Vec::new();
        let mut names_secret = false;
        // The check for repeated names would take time in the square of their number.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.ok()?;
            let value = unescape(&attribute.value).ok()?.into_owned();
            let local = attribute.key.local_name().as_ref().to_owned();
            names_secret |= self.masker.rules.name(&local).names && self.masker.rules.is_secret(&value);
            attributes.push((attribute.key.as_ref().to_owned(), local, value));
        }
        element.by_key |= names_secret;
        let mut is_changed = false;
        for (name, local, value) in &mut attributes {
            let is_namespace = name == "xmlns" || name.starts_with("xmlns:");
            let reached = element.reached.member(self.paths, local);
            let met = self.masker.rules.name(local);
            let is_secret =
                reached.is_secret(self.paths) || !is_namespace && (met.is_secret || names_secret && met.holds);
            let masked = if is_secret && tells(value) {
                Some(self.masker.mask(value)).filter(|masked| masked != value)
            } else {
                self.masker.string(value, self.paths, &reached, self.nested)
            };
            if let Some(masked) = masked {
                *value = masked;
                is_changed = true;
            }
        }
        if is_changed {
            let mut written = format!("<{}", tag.name().as_ref());
            for (name, _, value) in &attributes {
                written.push_str(&format!(" {name}=\"{}\"", escape(value.as_str())));
            }
            written.push_str(if self.text.get(begin..end)?.ends_with("/>") { "/>" } else { ">" });
            self.edits.replace(begin..end, written);
        }
        Some(())
    }

    /// Ends the innermost element, whose end tag begins at `begin`.
    fn close(&mut self, begin: usize) -> Option<()> {
        let element = self.open.pop()?;
        let content = self.text.get(element.content..begin)?;
        // A leaf has been masked as a run, by what it says; here are those with children.
        if element.reached.is_secret(self.paths) && content.contains('<') && !is_mask(content.trim()) {
            self.edits.replace(element.content..begin, self.masker.mask(content));
        }
        Some(())
    }

    fn start_run(&mut self, at: usize) {
        self.run = Run { start: at, plain: String::new() };
    }

    fn end_run(&mut self, end: usize) -> Option<()> {
        let run = std::mem::take(&mut self.run);
        let plain = run.plain.trim();
        if plain.is_empty() {
            return Some(());
        }
        // Nothing but blanks may stand outside of the root.
        let element = self.open.last()?;
        let is_secret = element.reached.is_secret(self.paths) || element.by_key && !is_result(&element.name, plain);
        let masked = if is_secret && tells(plain) {
            Some(self.masker.mask(plain)).filter(|masked| masked != plain)
        } else {
            self.masker.string(&run.plain, self.paths, &element.reached, self.nested)
        };
        let names_secret = self.masker.rules.name(&element.name).names && self.masker.rules.is_secret(plain);
        if let Some(masked) = masked {
            self.edits.replace(run.start..end, escape(masked).into_owned());
        }
        if let (true, Some(index)) = (names_secret, self.open.len().checked_sub(2)) {
            self.open[index].names_secret = true;
        }
        Some(())
    }
}

/// Whether a value says anything that can be a secret.
fn tells(value: &str) -> bool {
    !value.trim().is_empty() && !matches!(value.trim(), "true" | "false")
}

/// The short number that an operation on passwords answers with: `<ChangeUserPasswordResult>-100</...>`.
fn is_result(name: &str, plain: &str) -> bool {
    let digits = plain.strip_prefix('-').unwrap_or(plain);
    name.ends_with("Result") && digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::promise::with_masker;
    use super::*;

    /// The document masked, with `P` for the mask of `hunter2` and `K` for that of a known value.
    fn masked(text: &str, paths: &[&str]) -> Option<String> {
        let paths: Vec<_> = paths.iter().map(|path| path.parse().unwrap()).collect();
        with_masker(&["kn0wn-value&]]>"], |masker| {
            let masked = masker.xml_text(text, &paths, &Reached::root(&paths), 0)?;
            assert_eq!(masker.xml_text(&masked, &paths, &Reached::root(&paths), 0).as_ref(), Some(&masked));
            Some(masked.replace(&masker.mask("hunter2"), "P").replace(&masker.mask("kn0wn-value&]]>"), "K"))
        })
    }

    #[test]
    fn elements_and_attributes_are_masked_by_name_path_and_value() {
        for (text, paths, expected) in [
            (
                "<a>\n <n:Password x='1'> hunter2 </n:Password> </a>",
                &[][..],
                "<a>\n <n:Password x='1'>P</n:Password> </a>",
            ),
            ("<a password='hunter2' b='&lt;'/>", &[], "<a password=\"P\" b=\"&lt;\"/>"),
            ("<a><b password=\"hunter2\">x</b></a>", &[], "<a><b password=\"P\">x</b></a>"),
            (
                "<tokens><string>hunter2</string><b>true</b></tokens>",
                &[],
                "<tokens><string>P</string><b>true</b></tokens>",
            ),
            ("<r><return>hunter2</return></r>", &["r.return"], "<r><return>P</return></r>"),
            (
                "<s:E><s:B><return>hunter2</return></s:B></s:E>",
                &["**.return"],
                "<s:E><s:B><return>P</return></s:B></s:E>",
            ),
            (
                "<i><key>auth.tpasswd</key><value>hunter2</value></i>",
                &[],
                "<i><key>auth.tpasswd</key><value>P</value></i>",
            ),
            ("<i><key>plan</key><value>basic</value></i>", &[], "<i><key>plan</key><value>basic</value></i>"),
            ("<p name=\"pwd\" value=\"hunter2\"/>", &[], "<p name=\"pwd\" value=\"P\"/>"),
            ("<p name=\"pwd\">hunter2</p>", &[], "<p name=\"pwd\">P</p>"),
            ("<a>say kn0wn-value&amp;]]&gt;.</a>", &[], "<a>say K.</a>"),
            ("<a>kn0w&#110;-<!-- x -->value<![CDATA[&]]]]><![CDATA[>]]></a>", &[], "<a>K</a>"),
            ("<a><!--kn0wn-value&]]>--></a>", &[], "<a><!--K--></a>"),
            ("<a><![CDATA[{\"pwd\":\"hunter2\"}]]></a>", &[], "<a>{&quot;pwd&quot;:&quot;P&quot;}</a>"),
            (
                "<E><Body><ChangeUserPassword><userId>5</userId></ChangeUserPassword></Body></E>",
                &[],
                "<E><Body><ChangeUserPassword><userId>5</userId></ChangeUserPassword></Body></E>",
            ),
            (
                "<a><ChangeUserPasswordResult>-100</ChangeUserPasswordResult></a>",
                &[],
                "<a><ChangeUserPasswordResult>-100</ChangeUserPasswordResult></a>",
            ),
            ("<?xml version=\"1.0\"?>\n<a/>\n", &[], "<?xml version=\"1.0\"?>\n<a/>\n"),
        ] {
            assert_eq!(masked(text, paths).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_declared_element_with_children_becomes_one_mask() {
        let masked = masked("<a><b><c>1</c><d>2</d></b><e>3</e></a>", &["a.b"]).unwrap();

        assert!(masked.starts_with("<a><b>‹masked:") && masked.ends_with("›</b><e>3</e></a>"), "{masked}");
    }

    #[test]
    fn what_is_not_well_formed_or_declares_entities_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(500), "</a>".repeat(500));
        for text in [
            "",
            "a",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "x<a/>",
            "<a>&nbsp;</a>",
            "<a>&",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<a b=1/>",
            &deep,
        ] {
            assert_eq!(masked(text, &[]), None, "{}", &text[..text.len().min(40)]);
        }
    }
}
