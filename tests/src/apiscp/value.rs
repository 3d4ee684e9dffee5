//! The values of PHP, as calls carry them.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A truth.
    Bool(bool),
    /// A whole number; on the wire it is an `xsd:int`, whatever its size.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// An array with the keys 0, 1, 2 ...; any empty array is one.
    List(Vec<Value>),
    /// Any other array, in its order.
    Map(Vec<(Key, Value)>),
    /// An object; what a Map without its type is read as.
    Object(Vec<(String, Value)>),
}

/// The key of an array's member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A text, or nothing.
    pub(super) fn maybe(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    /// A map with text keys; without members it is a list, as every empty array is.
    pub fn map(members: impl IntoIterator<Item = (impl Into<String>, Value)>) -> Self {
        let members: Vec<_> = members.into_iter().map(|(key, value)| (Key::Text(key.into()), value)).collect();
        if members.is_empty() { Self::List(Vec::new()) } else { Self::Map(members) }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// As PHP would print it; nothing for what it cannot.
    pub(super) fn printed(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Bool(truth) => Some(if *truth { "1" } else { "" }.into()),
            _ => None,
        }
    }

    /// As PHP judges it where it wants a truth.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !matches!(text.as_str(), "" | "0"),
            Self::List(members) => !members.is_empty(),
            Self::Map(_) | Self::Object(_) => true,
        }
    }

    /// The members of an array that are named by text.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        let members = match self {
            Self::Map(members) => members.as_slice(),
            _ => &[],
        };
        members.iter().filter_map(|(key, value)| match key {
            Key::Text(key) => Some((key.as_str(), value)),
            Key::Int(_) => None,
        })
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The members of a list.
    pub fn items(&self) -> &[Value] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}
