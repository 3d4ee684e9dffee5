//! What an operation is given and gives back, before and after it is XML.

use std::collections::BTreeMap;

/// A value of a parameter or member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Data {
    /// Left out.
    #[default]
    Null,
    /// Anything simple, as it is written.
    Text(String),
    /// An object.
    Object(Members),
    /// An array.
    List(Vec<Data>),
    /// A DataSet.
    Set(Vec<Table>),
}

/// The members of an object, or the parameters of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members(BTreeMap<&'static str, Data>);

/// One result set of a DataSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Name and XSD type of each.
    pub(super) columns: &'static [(&'static str, &'static str)],
    /// As many values as columns; a NULL is left out of its row.
    pub(super) rows: Vec<Vec<Data>>,
}

impl Data {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An object of these members.
    pub(super) fn object<const N: usize>(members: [(&'static str, Data); N]) -> Self {
        Self::Object(Members(BTreeMap::from(members)))
    }

    /// One of what is there, nothing of what is not.
    pub(super) fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.into()))
    }

    /// A text of a row or member that is a NULL when it is empty.
    pub(super) fn filled(text: &str) -> Self {
        Self::maybe(Some(text).filter(|text| !text.is_empty()))
    }
}

macro_rules! written {
    ($($kind:ty)*) => {$(
        impl From<$kind> for Data {
            fn from(value: $kind) -> Self {
                Self::Text(value.to_string())
            }
        }
    )*};
}

written! { i32 i64 u64 usize bool &str String }

impl Members {
    pub(super) fn set(&mut self, name: &'static str, data: impl Into<Data>) {
        self.0.insert(name, data.into());
    }

    pub(super) fn get(&self, name: &str) -> &Data {
        self.0.get(name).unwrap_or(&Data::Null)
    }

    /// `None` when it is missing; an empty one is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).text()
    }

    /// An empty one when it is missing.
    pub(super) fn string(&self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    /// 0 when it is missing, as the server reads it.
    pub(super) fn int(&self, name: &str) -> i32 {
        self.text(name).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// False when it is missing, as the server reads it.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| matches!(text.trim(), "true" | "1"))
    }

    pub(super) fn members(&self, name: &str) -> Option<&Members> {
        match self.get(name) {
            Data::Object(members) => Some(members),
            _ => None,
        }
    }

    /// `None` when it is missing, which is not the same as empty.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<&str>> {
        match self.get(name) {
            Data::List(items) => Some(items.iter().filter_map(Data::text).collect()),
            _ => None,
        }
    }

    /// The same of numbers.
    pub(super) fn ints(&self, name: &str) -> Option<Vec<i32>> {
        Some(self.texts(name)?.iter().map(|text| text.trim().parse().unwrap_or(0)).collect())
    }

    /// Every text in it and below, with the name that it goes by.
    pub(super) fn each_text(&self, look: &mut impl FnMut(&str, &str)) {
        for (name, data) in &self.0 {
            match data {
                Data::Text(text) => look(name, text),
                Data::Object(members) => members.each_text(look),
                _ => {}
            }
        }
    }
}
