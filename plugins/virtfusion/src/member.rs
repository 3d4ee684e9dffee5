//! Members of an answer, by their place. What is not there, or is `null`, is none; what is of another type is refused with
//! its place: taken for none, it would make a server look fresh, a list empty or a limit absent.

use billhook_plugin_api::Fault;
use serde_json::Value;

/// The place of a member that is missing or of another type, below `data`.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit(String);

impl From<Misfit> for Fault {
    fn from(Misfit(place): Misfit) -> Self {
        Self::panel_bug(format!("the panel's answer has a member that is missing or of another type, at data.{place}"))
    }
}

/// The value at a place such as `owner.extRelationId` below `data`; `null` where there is none.
///
/// # Errors
///
/// As all here: the place.
pub fn at<'v>(data: &'v Value, place: &str) -> Result<&'v Value, Misfit> {
    let mut value = data;
    for name in place.split('.') {
        value = match value {
            Value::Object(members) => members.get(name).unwrap_or(&Value::Null),
            // The panel's language writes an object without members as a list.
            Value::Array(rows) if rows.is_empty() => &Value::Null,
            // The hypervisor's part is `false` where it was not asked.
            Value::Null | Value::Bool(false) => &Value::Null,
            _ => return Err(Misfit(place.to_owned())),
        };
    }
    Ok(value)
}

fn read<'v, T>(data: &'v Value, place: &str, as_type: impl Fn(&'v Value) -> Option<T>) -> Result<Option<T>, Misfit> {
    match at(data, place)? {
        Value::Null => Ok(None),
        value => as_type(value).map(Some).ok_or_else(|| Misfit(place.to_owned())),
    }
}

/// A number that is not negative, or one written as text, as the panel's language does at times.
pub fn whole(data: &Value, place: &str) -> Result<Option<u64>, Misfit> {
    read(data, place, |value| value.as_u64().or_else(|| value.as_str()?.parse().ok()))
}

/// A number.
pub fn signed(data: &Value, place: &str) -> Result<Option<i64>, Misfit> {
    read(data, place, Value::as_i64)
}

/// A text.
pub fn text<'v>(data: &'v Value, place: &str) -> Result<Option<&'v str>, Misfit> {
    read(data, place, Value::as_str)
}

/// Yes or no.
pub fn truth(data: &Value, place: &str) -> Result<Option<bool>, Misfit> {
    read(data, place, Value::as_bool)
}

/// What `read` makes of each row of a list; nothing where there is no list.
pub fn each<T>(data: &Value, place: &str, read: impl Fn(&Value) -> Result<T, Misfit>) -> Result<Vec<T>, Misfit> {
    let rows = self::read(data, place, Value::as_array)?.map_or(&[][..], Vec::as_slice);
    let within = |(index, row)| read(row).map_err(|Misfit(below)| Misfit(format!("{place}.{index}.{below}")));
    rows.iter().enumerate().map(within).collect()
}

/// What must be there.
pub fn needed<T>(found: Result<Option<T>, Misfit>, place: &str) -> Result<T, Misfit> {
    found?.ok_or_else(|| Misfit(place.to_owned()))
}

/// The fault of a member.
pub fn misfit(place: &str) -> Fault {
    Misfit(place.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_there_is_none_and_what_is_of_another_type_is_refused_with_its_place() {
        let data = json!({
            "n": 7, "digits": "7", "word": "seven", "nothing": null, "below": { "n": 7 }, "empty": [], "no": false,
            "list": [1], "minus": -1,
        });
        for (place, expected) in [
            ("n", Ok(Some(7))),
            ("digits", Ok(Some(7))),
            ("below.n", Ok(Some(7))),
            ("nothing", Ok(None)),
            ("absent", Ok(None)),
            ("nothing.n", Ok(None)),
            ("absent.below.n", Ok(None)),
            ("empty.n", Ok(None)),
            ("no.n", Ok(None)),
            ("word", Err(())),
            ("minus", Err(())),
            ("below", Err(())),
            ("n.n", Err(())),
            ("list.n", Err(())),
        ] {
            let found = whole(&data, place);
            assert_eq!(found, expected.map_err(|()| Misfit(place.to_owned())), "{place}");
        }
        assert_eq!(text(&data, "word").unwrap(), Some("seven"));
        assert!(text(&data, "n").is_err() && truth(&data, "n").is_err() && each(&data, "below", |_| Ok(())).is_err());
        for (place, rows) in [("list", 1), ("absent", 0), ("empty", 0)] {
            assert_eq!(each(&data, place, |_| Ok(())).unwrap().len(), rows);
        }
        let rows = json!({ "a": { "rows": [{ "n": 1 }, { "n": [] }] } });
        let misfit = each(&rows, "a.rows", |row| whole(row, "n")).unwrap_err();
        assert!(Fault::from(misfit).staff.ends_with("at data.a.rows.1.n"));
        assert_eq!(signed(&data, "minus").unwrap(), Some(-1));
        assert!(needed(truth(&data, "absent"), "absent").is_err());
    }
}
