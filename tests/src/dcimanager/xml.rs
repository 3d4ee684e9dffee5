//! Documents: elements with attributes, text and children, as the panel writes them.

#[cfg(test)]
pub(super) mod read;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    /// An empty one: a mark, or a list before its rows.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// One that holds a text.
    pub(super) fn text(name: &str, text: impl ToString) -> Self {
        Self { text: text.to_string(), ..Self::new(name) }
    }

    /// One that holds these.
    pub(super) fn holding(name: &str, children: Vec<Element>) -> Self {
        Self { children, ..Self::new(name) }
    }

    /// With this attribute too.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    /// The whole document, as bytes go over the wire.
    pub(super) fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out);
        out.push('\n');
        out
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}=\"{}\"", escaped(value)));
        }
        if self.children.is_empty() && self.text.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        out.push_str(&escaped(&self.text));
        for child in &self.children {
            child.write(out);
        }
        out.push_str(&format!("</{}>", self.name));
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(letter))),
            // No document may hold them, however they are written.
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let doc = Element::holding(
            "doc",
            vec![
                Element::new("poweroff"),
                Element::text("notes", "a < b & \"c\" > 'd'\nand \u{e4}\u{2713}"),
                Element::holding("elem", vec![Element::text("id", 42)]).with("orig", "<1>"),
            ],
        )
        .with("lang", "en");

        assert_eq!(read::document(&doc.document()), Ok(doc));
    }

    #[test]
    fn letters_that_no_document_may_hold_are_left_out() {
        assert_eq!(Element::text("msg", "a\u{0}b\u{1b}c").document().lines().nth(1), Some("<msg>abc</msg>"));
    }
}
