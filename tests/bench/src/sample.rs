//! Invented bodies of the lengths that real ones have: a call of 1.6 KB and its answer of 3.6 KB.
//!
//! They pack to about a third, as bodies of panels do: names that come again, between numbers and addresses that do not.

use std::fmt::Write as _;

/// Length of a call's body.
pub const CALL_BYTES: usize = 1_600;
/// Length of an answer's body.
pub const REPLY_BYTES: usize = 3_600;

const WORDS: [&str; 16] = [
    "address",
    "backup",
    "bandwidth",
    "cores",
    "enabled",
    "gateway",
    "hostname",
    "identifier",
    "interface",
    "memory",
    "network",
    "package",
    "storage",
    "template",
    "traffic",
    "updated",
];

/// What a panel is sent.
pub fn call(seed: u64) -> Vec<u8> {
    object(seed, CALL_BYTES)
}

/// What a panel answers.
pub fn reply(seed: u64) -> Vec<u8> {
    object(seed ^ 0x5EED, REPLY_BYTES)
}

/// A text for people, for instance the reason of a suspension.
pub fn text(seed: u64, length: usize) -> String {
    let mut dice = Dice(seed);
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        let _ = write!(text, "{} {} ", dice.word(), dice.next() % 10_000);
    }
    text.truncate(length);
    text
}

/// A JSON object of about this length.
fn object(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut text = String::from("{\"data\":[");
    while text.len() < length {
        let (word, number) = (dice.word(), dice.next());
        let _ = match number % 4 {
            0 => write!(text, "{{\"name\":\"{word}\",\"value\":{},\"unit\":\"MB\"}},", number >> 40),
            1 => write!(text, "{{\"name\":\"{word}\",\"enabled\":{},\"order\":{}}},", number & 8 == 0, number >> 56),
            2 => write!(
                text,
                "{{\"name\":\"{word}\",\"uuid\":\"{:016x}\",\"updatedAt\":\"2026-05-{:02}\"}},",
                dice.next(),
                number >> 59
            ),
            _ => write!(
                text,
                "{{\"name\":\"{word}\",\"address\":\"10.{}.{}.{}\"}},",
                number >> 56,
                number >> 48 & 255,
                number >> 40 & 255
            ),
        };
    }
    text.pop();
    text.push_str("]}");
    text.into_bytes()
}

/// SplitMix64: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn word(&mut self) -> &'static str {
        WORDS[(self.next() % WORDS.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_length_and_the_grain_of_real_ones() {
        for seed in 0..32 {
            let (call, reply) = (call(seed), reply(seed));
            assert!(call.len().abs_diff(CALL_BYTES) < 100 && reply.len().abs_diff(REPLY_BYTES) < 100);
            assert!(serde_json::from_slice::<serde_json::Value>(&reply).is_ok());
            let packed = zstd::bulk::compress(&call, 3).unwrap().len() + zstd::bulk::compress(&reply, 3).unwrap().len();
            let percent = 100 * packed / (call.len() + reply.len());
            assert!((25..=42).contains(&percent), "{percent} %");
        }
    }
}
