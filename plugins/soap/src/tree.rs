//! A document that was read: elements by local name, each knowing where it stands.

use crate::XSI;
use crate::error::ReadError;
use std::borrow::Cow;
use std::fmt;

/// Longest part of a name in an error.
const MAX_SHOWN: usize = 64;

pub(crate) const NONE: u32 = u32::MAX;

/// An answer. Borrows from the body that it was read from.
#[derive(Debug)]
pub struct Tree<'b> {
    pub(crate) elements: Vec<Element<'b>>,
    pub(crate) attributes: Vec<Attribute<'b>>,
    /// The first is that of names without one.
    pub(crate) namespaces: Vec<Cow<'b, str>>,
}

#[derive(Debug)]
pub(crate) struct Element<'b> {
    pub(crate) name: &'b str,
    pub(crate) namespace: u32,
    pub(crate) parent: u32,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) next: u32,
    /// Where its attributes begin, and how many there are.
    pub(crate) attributes: (u32, u32),
    /// The namespace of the prefix in its `xsi:type`.
    pub(crate) type_namespace: u32,
    pub(crate) text: Cow<'b, str>,
}

#[derive(Debug)]
pub(crate) struct Attribute<'b> {
    pub(crate) name: &'b str,
    pub(crate) namespace: u32,
    pub(crate) value: Cow<'b, str>,
}

impl Tree<'_> {
    /// The outermost element.
    pub fn root(&self) -> Node<'_> {
        Node { tree: self, at: 0 }
    }
}

/// One element of a [`Tree`].
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree<'t>,
    at: u32,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl<'t> Node<'t> {
    fn element(self) -> &'t Element<'t> {
        &self.tree.elements[self.at as usize]
    }

    fn other(self, at: u32) -> Option<Self> {
        (at != NONE).then_some(Self { at, ..self })
    }

    /// The name without its prefix.
    pub fn name(self) -> &'t str {
        self.element().name
    }

    /// The namespace, empty for none.
    pub fn namespace(self) -> &'t str {
        &self.tree.namespaces[self.element().namespace as usize]
    }

    /// Whether it has that name in that namespace.
    pub fn is(self, namespace: &str, name: &str) -> bool {
        self.name() == name && self.namespace() == namespace
    }

    /// Its elements, in order.
    pub fn children(self) -> impl Iterator<Item = Node<'t>> {
        std::iter::successors(self.other(self.element().first), |child| child.other(child.element().next))
    }

    /// Its elements of that local name.
    pub fn all(self, name: &str) -> impl Iterator<Item = Node<'t>> {
        self.children().filter(move |child| child.name() == name)
    }

    /// Its first element of that local name, unless that is null: panels leave a null out, or write it.
    pub fn find(self, name: &str) -> Option<Node<'t>> {
        self.all(name).next().filter(|child| !child.is_nil())
    }

    /// Its first element of that local name.
    ///
    /// # Errors
    ///
    /// [`ReadError::Missing`] when there is none, or it is null.
    pub fn child(self, name: &str) -> Result<Node<'t>, ReadError> {
        self.find(name).ok_or_else(|| self.missing(name))
    }

    /// The value of an attribute, by namespace (empty for none) and local name.
    pub fn attribute(self, namespace: &str, name: &str) -> Option<&'t str> {
        let (start, count) = self.element().attributes;
        let found = self.tree.attributes[start as usize..(start + count) as usize].iter().find(|attribute| {
            attribute.name == name && self.tree.namespaces[attribute.namespace as usize] == namespace
        });
        found.map(|attribute| &*attribute.value)
    }

    /// The type that it says it has (`xsi:type`), as namespace and local name. The namespace is empty where the prefix is
    /// not declared.
    pub fn type_name(self) -> Option<(&'t str, &'t str)> {
        let value = self.attribute(XSI, "type")?.trim();
        let local = value.split_once(':').map_or(value, |(_, local)| local);
        Some((&self.tree.namespaces[self.element().type_namespace as usize], local))
    }

    /// Whether it is null in so many words.
    pub fn is_nil(self) -> bool {
        self.attribute(XSI, "nil").is_some_and(|value| matches!(value.trim(), "true" | "1"))
    }

    /// What stands in it, as it stands there. Empty for null.
    ///
    /// # Errors
    ///
    /// [`ReadError::Misfit`] for an element with elements, and for one that only refers to another (`href`).
    pub fn text(self) -> Result<&'t str, ReadError> {
        if self.element().first != NONE || self.attribute("", "href").is_some() {
            return Err(self.misfit("text"));
        }
        Ok(&self.element().text)
    }

    /// Itself, to look for elements in it. Without any it holds none; with a text in their place it is something else, and
    /// must not be read as empty.
    ///
    /// # Errors
    ///
    /// [`ReadError::Misfit`].
    pub fn holder(self) -> Result<Self, ReadError> {
        let is_empty = self.element().text.trim().is_empty() && self.attribute("", "href").is_none();
        if self.element().first == NONE && !is_empty { Err(self.misfit("element with elements")) } else { Ok(self) }
    }

    /// A whole number, blanks around it aside. What it says of its type does not count: PHP labels every one `xsd:int`.
    ///
    /// # Errors
    ///
    /// [`ReadError::Misfit`].
    pub fn i64(self) -> Result<i64, ReadError> {
        self.text()?.trim().parse().map_err(|_| self.misfit("whole number"))
    }

    /// `true`, `1`, `false` or `0`.
    ///
    /// # Errors
    ///
    /// [`ReadError::Misfit`].
    pub fn bool(self) -> Result<bool, ReadError> {
        match self.text()?.trim() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(self.misfit("boolean")),
        }
    }

    /// Where it stands: `Envelope/Body/findResponse/return/item[2]`; an item of a map by its key, `return/item[site12]/value`.
    pub fn path(self) -> String {
        let mut parts = Vec::new();
        let mut node = Some(self);
        while let Some(here) = node {
            let mut part: String = here.name().chars().take(MAX_SHOWN).collect();
            node = here.other(here.element().parent);
            if let Some(key) = here.map_key() {
                part.push_str(&format!("[{key}]"));
            } else if let Some(parent) = node
                && parent.all(here.name()).nth(1).is_some()
            {
                let before = parent.all(here.name()).take_while(|sibling| sibling.at != here.at).count();
                part.push_str(&format!("[{}]", before + 1));
            }
            parts.push(part);
        }
        parts.reverse();
        parts.join("/")
    }

    /// The key of an item of a map, as it may be shown.
    fn map_key(self) -> Option<String> {
        let key = self.all("key").next().filter(|_| self.name() == "item")?.text().ok()?.trim();
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
        (!key.is_empty() && key.chars().all(is_plain)).then(|| key.chars().take(MAX_SHOWN).collect())
    }

    /// Says that this element is not what it should be.
    pub fn misfit(self, wanted: &'static str) -> ReadError {
        ReadError::Misfit { place: self.path(), wanted }
    }

    /// Says that an element is missing in this one.
    pub fn missing(self, name: &str) -> ReadError {
        ReadError::Missing { place: format!("{}/{name}", self.path()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn tree(text: &str) -> Tree<'_> {
        Limits::default().read(None, text.as_bytes()).unwrap()
    }

    #[test]
    fn elements_are_found_by_local_name_and_null_is_missing() {
        let tree = tree(concat!(
            "<r xmlns='urn:r' xmlns:i='http://www.w3.org/2001/XMLSchema-instance' xmlns:p='urn:p'>",
            "<a/><p:b>2</p:b><c i:nil='1'/><a>second</a></r>"
        ));
        let root = tree.root();

        assert_eq!((root.name(), root.namespace()), ("r", "urn:r"));
        assert!(root.child("b").unwrap().is("urn:p", "b"));
        assert_eq!(root.all("a").count(), 2);
        assert!(root.find("c").is_none());
        assert_eq!(root.child("c").unwrap_err(), ReadError::Missing { place: "r/c".into() });
        assert_eq!(root.children().map(Node::path).collect::<Vec<_>>(), ["r/a[1]", "r/b", "r/c", "r/a[2]"]);
    }

    #[test]
    fn values_are_read_as_what_they_are_or_refused_with_their_place() {
        let tree = tree("<r><n> -15000000000 </n><t>true</t><z>0</z><x>secret</x><e/><o><p/></o><h href='#1'/></r>");
        let at = |name| tree.root().child(name).unwrap();

        assert_eq!(at("n").i64(), Ok(-15_000_000_000));
        assert_eq!((at("t").bool(), at("z").bool()), (Ok(true), Ok(false)));
        assert_eq!(at("e").text(), Ok(""));
        for (error, wanted) in [
            (at("x").i64().unwrap_err(), "r/x is no whole number"),
            (at("e").bool().unwrap_err(), "r/e is no boolean"),
            (at("o").text().unwrap_err(), "r/o is no text"),
            (at("h").text().unwrap_err(), "r/h is no text"),
        ] {
            assert_eq!(error.to_string(), wanted);
        }
    }

    #[test]
    fn the_prefix_in_a_type_is_read_where_it_stands() {
        let tree = tree(concat!(
            "<r xmlns:x='http://www.w3.org/2001/XMLSchema-instance' xmlns:q='urn:outer'><a x:type='q:Map'/>",
            "<b xmlns:q='urn:inner' x:type='q:Map'/><c x:type='string'/><d x:type='no:Map'/><e/></r>"
        ));
        let kinds: Vec<_> = tree.root().children().map(Node::type_name).collect();

        assert_eq!(
            kinds,
            [Some(("urn:outer", "Map")), Some(("urn:inner", "Map")), Some(("", "string")), Some(("", "Map")), None]
        );
    }
}
