//! The text of a request, made so that no value can end its element.

/// Why a request cannot be written. Never quotes a value, since that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A character that XML 1.0 cannot carry in any form.
    #[error("the value of {place} holds the character U+{code:04X}, which XML cannot carry: choose another value")]
    Character {
        /// Elements from the operation on, and for a map its key.
        place: String,
        /// The character.
        code: u32,
    },
    /// A name that is none in XML: a mistake in the calling code.
    #[error("{place} has a member whose name is none in XML")]
    Name {
        /// Elements down to the one that would hold it.
        place: String,
    },
}

/// Writes elements and keeps the first error until the end, so that builders need no `?` on every line.
pub(crate) struct Writer {
    out: String,
    open: Vec<String>,
    error: Option<WriteError>,
}

impl Writer {
    /// Begins an envelope; `namespaces` is put into its start tag.
    pub(crate) fn envelope(prefix: &'static str, namespaces: &str) -> Self {
        let out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{prefix}:Envelope xmlns:{prefix}=\"{}\"{namespaces}><{prefix}:Body>",
            crate::ENVELOPE
        );
        Self { out, open: Vec::new(), error: None }
    }

    /// Ends the envelope.
    pub(crate) fn finish(mut self, prefix: &'static str) -> Result<String, WriteError> {
        self.out.push_str(&format!("</{prefix}:Body></{prefix}:Envelope>"));
        self.error.map_or(Ok(self.out), Err)
    }

    /// An element around what `content` writes. `attributes` is written as it is.
    pub(crate) fn element(&mut self, name: &str, attributes: &str, content: impl FnOnce(&mut Self)) {
        if !is_name(name) {
            let place = self.place();
            self.error.get_or_insert(WriteError::Name { place });
            return;
        }
        self.out.push('<');
        self.out.push_str(name);
        self.out.push_str(attributes);
        self.out.push('>');
        let begun = self.out.len();
        self.open.push(name.to_owned());
        content(self);
        self.open.pop();
        if self.out.len() == begun {
            self.out.pop();
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    /// Names the place for errors while `content` writes: the key of a map, say.
    pub(crate) fn at(&mut self, place: &str, content: impl FnOnce(&mut Self)) {
        self.open.push(place.to_owned());
        content(self);
        self.open.pop();
    }

    /// Text, escaped.
    pub(crate) fn text(&mut self, value: &str) {
        for char in value.chars() {
            match char {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                // A reader would make a line feed of it.
                '\r' => self.out.push_str("&#13;"),
                char if is_carried(char) => self.out.push(char),
                char => {
                    let place = self.place();
                    self.error.get_or_insert(WriteError::Character { place, code: char.into() });
                }
            }
        }
    }

    /// Text that needs no escaping.
    pub(crate) fn plain(&mut self, value: impl std::fmt::Display) {
        use std::fmt::Write as _;
        // Writing into a string cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn place(&self) -> String {
        self.open.join("/")
    }
}

fn is_carried(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..) && !matches!(char, '\u{fffe}' | '\u{ffff}')
}

/// Names of our own requests are ASCII.
fn is_name(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':'))
}
