//! JSON's values, which PHP's are written as too.

use super::{Place, Twist};
use serde_json::{Map, Value, json};

pub(super) const WORD: &str = "unexpected";

pub(super) fn add_unknown(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(add_unknown),
        Value::Object(members) => {
            members.values_mut().for_each(add_unknown);
            if !is_keyed_list(members) {
                members.insert("aa_unknown".into(), json!({ "id": [1, null, "<&>"], "status": "x" }));
                members.insert("unknown".into(), Value::Null);
                members.insert("zz_unknown".into(), json!([]));
            }
        }
        _ => {}
    }
}

/// A list whose members have numbers of their own.
fn is_keyed_list(members: &Map<String, Value>) -> bool {
    !members.is_empty() && members.keys().all(|key| key.parse::<u64>().is_ok())
}

pub(super) fn places(value: &Value, path: &mut Vec<String>, found: &mut Vec<Place>) {
    let mut enter = |name: String, value: &Value| {
        path.push(name);
        found.push(Place { path: path.clone() });
        places(value, path, found);
        path.pop();
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| enter(index.to_string(), item)),
        Value::Object(members) => members.iter().for_each(|(name, member)| enter(name.clone(), member)),
        _ => {}
    }
}

pub(super) fn twist(value: &mut Value, place: usize, twist: Twist) {
    let mut left = place;
    if let Some(found) = find(value, &mut left) {
        *found = twisted(found, twist);
    }
}

/// The value of the number `left`, counted as [`places`] does.
fn find<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    let members: Box<dyn Iterator<Item = &mut Value>> = match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(members) => Box::new(members.values_mut()),
        _ => return None,
    };
    for member in members {
        if *left == 0 {
            return Some(member);
        }
        *left -= 1;
        if let Some(found) = find(member, left) {
            return Some(found);
        }
    }
    None
}

fn twisted(value: &Value, twist: Twist) -> Value {
    match (twist, value) {
        (Twist::Word, Value::String(_)) => value.clone(),
        (Twist::Word, _) => json!(WORD),
        (Twist::Members, Value::Object(_)) => json!([WORD]),
        (Twist::Members, _) => json!({ WORD: [1] }),
        (Twist::Null, _) => Value::Null,
    }
}
