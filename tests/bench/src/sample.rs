//! Invented bodies of the lengths that real ones have: a call of 1.6 KB and its answer of 3.6 KB.
//!
//! They are lists of servers as panels show them, and pack to about a third without a dictionary, as real ones were
//! seen to: names that come again, between numbers and addresses that do not.

use std::fmt::Write as _;

/// Length of a call's body.
pub const CALL_BYTES: usize = 1_600;
/// Length of an answer's body.
pub const REPLY_BYTES: usize = 3_600;

/// About the length of one server.
const SERVER_BYTES: usize = 400;

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
    while text.len() + SERVER_BYTES / 2 < length {
        let (a, b, c) = (dice.next(), dice.next(), dice.next());
        let _ = write!(
            text,
            "{{\"id\":{},\"uuid\":\"{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}\",\"name\":\"{}-{}\",\"hostname\":\"{}{}.example.net\",\
             \"state\":\"{}\",\"suspended\":{},\"createdAt\":\"2026-{:02}-{:02}T{:02}:{:02}:{:02}+00:00\",\
             \"memory\":{},\"cores\":{},\"traffic\":{{\"used\":{},\"limit\":{}}},\"network\":{{\"mac\":\"52:54:00:{:02x}:{:02x}:{:02x}\",\
             \"ipv4\":[{{\"address\":\"198.51.{}.{}\",\"gateway\":\"198.51.{}.1\"}}]}}}},",
            a % 100_000,
            a >> 32,
            a >> 16 & 0xffff,
            b & 0xfff,
            b >> 12 & 0xfff,
            b >> 16,
            dice.word(),
            c % 1_000,
            dice.word(),
            c >> 8 & 0xfff,
            ["complete", "running", "queued", "stopped"][(c >> 20 & 3) as usize],
            c >> 22 & 7 == 0,
            1 + (c >> 25) % 12,
            1 + (c >> 29) % 28,
            (c >> 34) % 24,
            (c >> 39) % 60,
            (c >> 45) % 60,
            512 << (c >> 51 & 7),
            1 << (c >> 54 & 3),
            b >> 24 & 0xff_ffff_ffff,
            a & 0xff_ffff_ffff,
            c >> 56,
            c >> 48 & 0xff,
            c >> 40 & 0xff,
            a >> 56,
            b >> 56,
            a >> 56,
        );
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
            assert!(call.len().abs_diff(CALL_BYTES) < 200 && reply.len().abs_diff(REPLY_BYTES) < 200);
            assert!(serde_json::from_slice::<serde_json::Value>(&reply).is_ok());
            let packed = zstd::bulk::compress(&call, 3).unwrap().len() + zstd::bulk::compress(&reply, 3).unwrap().len();
            let percent = 100 * packed / (call.len() + reply.len());
            assert!((25..=42).contains(&percent), "{percent} %");
        }
    }
}
