//! The calls, as far as a panel without meaning has any: how each is built, and what its answer proves. Pure.
//!
//! A real panel's plugin cites its documentation here.

use crate::settings::Product;
use billhook_plugin_api::{Capacity, Fault, FaultClass, Reply, Request, segment};
use serde_json::Value;

const JSON: &str = "application/json";

/// Reads the service; any answer but "gone" means that it is there.
pub fn look(name: &str) -> Request {
    Request::get(path(name, ""))
}

/// Makes it: a repeated `PUT` to a name of ours makes nothing new.
pub fn make(name: &str, product: &Product) -> Request {
    Request::put(path(name, "")).body(JSON, body(product)).slow()
}

/// Changes it.
pub fn change(name: &str, word: &str, product: &Product) -> Request {
    Request::post(path(name, &format!("/{word}"))).body(JSON, body(product))
}

/// Ends it.
pub fn delete(name: &str) -> Request {
    Request::delete(path(name, ""))
}

/// Asks how many more there is room for.
pub fn ask_room() -> Request {
    Request::get("/capacity")
}

/// Reads the answer, `{"free": 3}`; whatever says nothing of it is not known.
pub fn room(reply: &Reply) -> Result<Capacity, Fault> {
    if is_gone(reply) {
        return Ok(Capacity::unknown().told("the server does not tell"));
    }
    check(reply)?;
    let free = serde_json::from_slice::<Value>(&reply.body).ok().and_then(|body| body["free"].as_u64());
    Ok(Capacity { free, text: Some("as the server says".to_owned()) })
}

fn path(name: &str, rest: &str) -> String {
    format!("/services/{}{rest}", segment(name))
}

/// A body of the product's length, of words and numbers, so that it packs as real ones do.
// Where a real provider writes a body of its panel with `Request::json`, this one makes it up, and a benchmark is to measure the host.
fn body(product: &Product) -> Vec<u8> {
    const WORDS: [&str; 8] = ["memory", "traffic", "hostname", "network", "address", "package", "storage", "cores"];
    let mut text = Vec::with_capacity(product.call_bytes + FIELD);
    text.push(b'{');
    for n in 0..(product.call_bytes / FIELD) as u64 {
        // The golden ratio's multiples: digits without a pattern, the same in every run.
        let number = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let [name, value] = [number >> 61, number >> 58 & 7].map(|at| WORDS[at as usize].as_bytes());
        if n > 0 {
            text.push(b',');
        }
        text.push(b'"');
        text.extend_from_slice(name);
        text.push(b'_');
        digits::<5>(&mut text, n);
        text.extend_from_slice(b"\":\"");
        text.extend_from_slice(value);
        text.push(b' ');
        digits::<7>(&mut text, number);
        text.push(b'"');
    }
    text.push(b'}');
    text
}

/// About how long a field is, with its quotes and its comma.
const FIELD: usize = 34;

/// The last digits of a number.
fn digits<const COUNT: usize>(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; COUNT];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    text.extend_from_slice(&digits);
}

/// The one table of codes. Of a code that is not known to prove anything, the host assumes nothing.
pub fn check(reply: &Reply) -> Result<(), Fault> {
    match reply.status {
        200..=299 => Ok(()),
        404 => Err(Fault::not_found("the server does not know it").with_code("404").refused()),
        429 => Err(Fault::new(FaultClass::RateLimited, "the server asks for a slower pace")
            .with_code("429")
            .retry_after_ms(reply.retry_after_ms)
            .refused()),
        507 => Err(Fault::new(FaultClass::Capacity, "the server has no room left").with_code("507").refused()),
        code @ 400..=499 => {
            Err(Fault::invalid_input("the server refuses the request").with_code(code.to_string()).refused())
        }
        code => Err(Fault::new(FaultClass::InDoubt, "the server failed").with_code(code.to_string())),
    }
}

/// Whether the answer says that there is nothing of that name.
pub fn is_gone(reply: &Reply) -> bool {
    reply.status == 404
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_proves_what_the_table_says_and_no_more() {
        use FaultClass::{InDoubt, InvalidInput, NotFound, RateLimited};
        for (status, expected) in [
            (200, None),
            (204, None),
            (301, Some((InDoubt, false))),
            (400, Some((InvalidInput, true))),
            (404, Some((NotFound, true))),
            (429, Some((RateLimited, true))),
            (500, Some((InDoubt, false))),
        ] {
            let reply = Reply { status, headers: vec![], body: vec![], retry_after_ms: None };
            let found = check(&reply).err().map(|fault| (fault.class, fault.refused));
            assert_eq!(found, expected, "{status}");
        }
    }

    #[test]
    fn a_body_is_json_of_about_the_length_that_was_asked_for() {
        for bytes in [0, 100, 1_600, 100_000, 1_000_000] {
            let product = Product { call_bytes: bytes, ..Product::default() };
            let body = change("a", "suspend", &product).body;
            let fields: serde_json::Map<String, Value> = serde_json::from_slice(&body).unwrap();
            assert_eq!(fields.len(), bytes / FIELD, "no name twice");
            let length = body.len();
            assert!(length.abs_diff(bytes) <= 32 + bytes / 10, "{length} instead of {bytes}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        assert_eq!(look("a/../b").path, "/services/a%2F..%2Fb");
    }
}
