//! What an rpc/encoded answer is made of: maps and lists.

use crate::error::ReadError;
use crate::tree::Node;

/// The entries of a map, in order: of an Apache `Map`, or the members of a struct.
///
/// PHP writes an empty map as an empty list, so an element without elements is an empty map, whatever it says it is. What
/// an element says of its type is not needed: a map is known by its items of `key` and `value`.
///
/// # Errors
///
/// [`ReadError::Misfit`] for a list that has items, for text, and for a reference to another element.
pub fn entries<'t>(node: Node<'t>) -> Result<Vec<(&'t str, Node<'t>)>, ReadError> {
    const WANTED: &str = "map";
    if node.children().next().is_none() {
        return if node.text()?.trim().is_empty() { Ok(Vec::new()) } else { Err(node.misfit(WANTED)) };
    }
    if is_struct(node) {
        return Ok(node.children().map(|child| (child.name(), child)).collect());
    }
    node.children()
        .map(|item| {
            let mut value = item.all("value");
            match (item.find("key"), value.next(), value.next()) {
                (Some(key), Some(value), None) => Ok((key.text()?, value)),
                _ => Err(node.misfit(WANTED)),
            }
        })
        .collect()
}

/// The items of a list. A map's values count too: PHP makes a map of a list with a gap in it.
///
/// # Errors
///
/// [`ReadError::Misfit`] for text, for a struct, whose members are no items, and for a reference to another element.
pub fn items<'t>(node: Node<'t>) -> Result<Vec<Node<'t>>, ReadError> {
    if node.children().next().is_none() && !node.text()?.trim().is_empty() {
        return Err(node.misfit("list"));
    }
    if node.children().next().is_some() && is_struct(node) {
        return Err(node.misfit("list"));
    }
    let is_map = node.children().next().is_some_and(|item| item.find("key").is_some());
    if is_map {
        return Ok(entries(node)?.into_iter().map(|(_, value)| value).collect());
    }
    Ok(node.children().collect())
}

/// A struct's members have names of their own; those of maps and lists are called `item`.
fn is_struct(node: Node<'_>) -> bool {
    match node.type_name() {
        Some((_, "Map" | "Array")) => false,
        Some((_, "Struct")) => true,
        _ => node.children().all(|child| child.name() != "item"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Tree};

    const ITEM: &str = "<item><key>a</key><value>1</value></item>";

    fn tree(inner: &str) -> Tree<'_> {
        Limits::default().read(None, inner.as_bytes()).unwrap()
    }

    fn shown(text: &str) -> Result<Vec<(String, String)>, String> {
        let tree = tree(text);
        let entries = entries(tree.root()).map_err(|error| error.to_string())?;
        Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value.text().unwrap_or("?").to_owned())).collect())
    }

    #[test]
    fn maps_come_in_every_form_that_php_gives_them() {
        let one = Ok(vec![("a".to_owned(), "1".to_owned())]);
        let typed = |kind: &str, inner: &str| {
            format!("<r xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:type='x:{kind}' xmlns:x='u'>{inner}</r>")
        };
        for (text, expected) in [
            (typed("Map", ITEM), one.clone()),
            (format!("<r>{ITEM}</r>"), one.clone()),
            (typed("Struct", "<a>1</a>"), one.clone()),
            ("<r><a>1</a></r>".into(), one),
            (typed("Array", ""), Ok(vec![])),
            (typed("Map", "\n "), Ok(vec![])),
            ("<r/>".into(), Ok(vec![])),
            (typed("Array", "<item>x</item>"), Err("r is no map".into())),
            ("<r><item>x</item></r>".into(), Err("r is no map".into())),
            ("<r><item><key>a</key></item></r>".into(), Err("r is no map".into())),
            ("<r>text</r>".into(), Err("r is no map".into())),
            ("<r href='#ref1'/>".into(), Err("r is no text".into())),
        ] {
            assert_eq!(shown(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_list_with_a_gap_is_a_list() {
        for (text, expected) in [
            ("<r><item>x</item><item>y</item></r>", Ok(vec!["x", "y"])),
            (
                "<r><item><key>0</key><value>x</value></item><item><key>2</key><value>y</value></item></r>",
                Ok(vec!["x", "y"]),
            ),
            ("<r/>", Ok(vec![])),
            ("<r>text</r>", Err("r is no list".to_owned())),
            ("<r><a>x</a></r>", Err("r is no list".to_owned())),
        ] {
            let tree = tree(text);
            let found =
                items(tree.root()).map(|items| items.iter().map(|item| item.text().unwrap()).collect::<Vec<_>>());
            assert_eq!(found.map_err(|error| error.to_string()), expected, "{text}");
        }
    }
}
