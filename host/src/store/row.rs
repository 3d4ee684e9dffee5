//! A row of a command: members that the statements name, with their values.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Members in the order in which they were given. They are few, and their names are the program's own: no map is made for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row(Vec<(&'static str, Value)>);

impl Row {
    /// The value of a member. `place` is where it was found in the last row, which most often is of the same kind.
    pub fn get(&self, name: &str, place: &mut usize) -> Option<&Value> {
        if self.0.get(*place).is_none_or(|(known, _)| *known != name) {
            *place = self.0.iter().position(|(known, _)| *known == name)?;
        }
        self.0.get(*place).map(|(_, value)| value)
    }

    /// Adds a member, or gives it another value.
    pub fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some(member) => member.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl From<Vec<(&'static str, Value)>> for Row {
    fn from(members: Vec<(&'static str, Value)>) -> Self {
        Self(members)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// As text, written without a value in between. Nothing that the host stores has members without names, so this does not fail.
pub fn json_text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A [`Row`], written like an object of `json!`.
macro_rules! row {
    ({ $($name:literal: $value:expr),* $(,)? }) => {
        $crate::store::row::Row::from(vec![$(($name, ::serde_json::json!($value))),*])
    };
}

pub(super) use row;

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_member_is_found_by_its_name_and_reads_as_an_object() {
        let mut row = row!({ "a": 1, "b": None::<u8>, "c": ["x"] });
        row.set("b", json!("later"));
        row.set("d", json!(true));

        let mut place = 0;
        for (name, found) in
            [("d", Some(json!(true))), ("d", Some(json!(true))), ("e", None), ("b", Some(json!("later")))]
        {
            assert_eq!(row.get(name, &mut place), found.as_ref());
        }
        assert_eq!(row!({ "b": 2 }).get("b", &mut place), Some(&json!(2)), "of a shorter row");
        assert_eq!(json!(row), json!({ "a": 1, "b": "later", "c": ["x"], "d": true }));
    }
}
