//! A reader for tests: small, strict, and nobody else's.

use super::Element;

/// The root of a document.
pub(in super::super) fn document(text: &str) -> Result<Element, String> {
    let mut reader = Reader { rest: text.trim_start_matches('\u{feff}') };
    reader.skip_between()?;
    let root = reader.element()?;
    reader.skip_between()?;
    if reader.rest.is_empty() { Ok(root) } else { Err(reader.complaint("text after the root")) }
}

impl Element {
    /// The first direct child of this name.
    pub(in super::super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of that child, `""` when it is not there.
    pub(in super::super) fn of(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| &child.text)
    }

    /// The value of an attribute.
    pub(in super::super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Space, declarations and comments.
    fn skip_between(&mut self) -> Result<(), String> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("<?") {
                self.skip_past("?>")?;
            } else if self.rest.starts_with("<!--") {
                self.skip_past("-->")?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_past(&mut self, end: &str) -> Result<(), String> {
        let at = self.rest.find(end).ok_or_else(|| self.complaint(end))?;
        self.rest = &self.rest[at + end.len()..];
        Ok(())
    }

    fn element(&mut self) -> Result<Element, String> {
        self.expect("<")?;
        let mut element = Element::new(self.name()?);
        loop {
            self.rest = self.rest.trim_start();
            if self.take("/>") {
                return Ok(element);
            }
            if self.take(">") {
                break;
            }
            let name = self.name()?.to_owned();
            self.expect("=\"")?;
            let at = self.rest.find('"').ok_or_else(|| self.complaint("a quote"))?;
            let value = unescaped(&self.rest[..at])?;
            self.rest = &self.rest[at + 1..];
            if element.attribute(&name).is_some() {
                return Err(format!("two attributes {name}"));
            }
            element.attributes.push((name, value));
        }
        loop {
            let at = self.rest.find('<').ok_or_else(|| self.complaint("an end"))?;
            element.text.push_str(&unescaped(&self.rest[..at])?);
            self.rest = &self.rest[at..];
            if self.take("</") {
                let name = self.name()?.to_owned();
                self.expect(">")?;
                if name != element.name {
                    return Err(format!("{name} ends {}", element.name));
                }
                // Between children there is nothing but line breaks.
                if !element.children.is_empty() {
                    element.text = element.text.trim().to_owned();
                }
                return Ok(element);
            }
            element.children.push(self.element()?);
        }
    }

    fn name(&mut self) -> Result<&str, String> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
        let end = self.rest.find(|letter| !is_part(letter)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.complaint("a name"));
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(name)
    }

    fn take(&mut self, text: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(text) else { return false };
        self.rest = rest;
        true
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        if self.take(text) { Ok(()) } else { Err(self.complaint(text)) }
    }

    fn complaint(&self, wanted: &str) -> String {
        format!("{wanted} is missing before {:?}", self.rest.chars().take(40).collect::<String>())
    }
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or_else(|| format!("a bare & before {part:?}"))?;
        let letter = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#').and_then(|number| number.parse().ok());
                number.and_then(char::from_u32).ok_or_else(|| format!("no such entity as {name}"))?
            }
        };
        out.push(letter);
        out.push_str(rest);
    }
    Ok(out)
}
