//! What PHP's `serialize()` writes. Arrays are lists when their keys are 0, 1, 2 ..., else objects; a key that is a number
//! is written as one.

use serde_json::{Map, Number, Value};

pub(super) fn parse(text: &str) -> Option<Value> {
    let mut rest = text.trim_end();
    let value = value(&mut rest)?;
    rest.is_empty().then_some(value)
}

fn value(rest: &mut &str) -> Option<Value> {
    let kind = rest.get(..2)?;
    *rest = &rest[2..];
    match kind {
        "N;" => Some(Value::Null),
        "b:" => Some(Value::Bool(until(rest, ';')? == "1")),
        "i:" => until(rest, ';')?.parse::<i64>().ok().map(Value::from),
        "d:" => until(rest, ';')?.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        "s:" => {
            let length: usize = until(rest, ':')?.parse().ok()?;
            let text = rest.strip_prefix('"')?.get(..length)?.to_owned();
            *rest = rest.get(length + 1..)?.strip_prefix("\";")?;
            Some(Value::String(text))
        }
        "a:" => {
            let count: usize = until(rest, ':')?.parse().ok()?;
            *rest = rest.strip_prefix('{')?;
            let mut members = Vec::new();
            for _ in 0..count {
                let key = match value(rest)? {
                    Value::String(text) => text,
                    Value::Number(number) => number.to_string(),
                    _ => return None,
                };
                members.push((key, value(rest)?));
            }
            *rest = rest.strip_prefix('}')?;
            let is_list = members.iter().enumerate().all(|(index, (key, _))| *key == index.to_string());
            Some(match is_list {
                true => Value::Array(members.into_iter().map(|(_, value)| value).collect()),
                false => Value::Object(Map::from_iter(members)),
            })
        }
        _ => None,
    }
}

fn until<'a>(rest: &mut &'a str, end: char) -> Option<&'a str> {
    let (found, behind) = rest.split_once(end)?;
    *rest = behind;
    Some(found)
}

pub(super) fn write(value: &Value) -> String {
    match value {
        Value::Null => "N;".to_owned(),
        Value::Bool(truth) => format!("b:{};", u8::from(*truth)),
        Value::Number(number) if number.is_f64() => format!("d:{number};"),
        Value::Number(number) => format!("i:{number};"),
        Value::String(text) => string(text),
        Value::Array(items) => {
            let members = items.iter().enumerate().map(|(index, item)| format!("i:{index};{}", write(item)));
            format!("a:{}:{{{}}}", items.len(), members.collect::<String>())
        }
        Value::Object(members) => {
            let key = |key: &str| key.parse::<i64>().map_or_else(|_| string(key), |number| format!("i:{number};"));
            let written = members.iter().map(|(name, member)| key(name) + &write(member));
            format!("a:{}:{{{}}}", members.len(), written.collect::<String>())
        }
    }
}

fn string(text: &str) -> String {
    format!("s:{}:\"{text}\";", text.len())
}
