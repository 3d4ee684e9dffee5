//! Tells quickly of most texts that they show none of some patterns.

/// How far into each pattern is looked.
const WINDOW: usize = 8;
/// As many bytes are looked up at a time.
const BLOCK: usize = 3;
const SLOTS: usize = 4_096;
/// How far to go on behind a block that no pattern begins with.
const FARTHEST: u8 = (WINDOW - BLOCK + 1) as u8;

/// The first [`WINDOW`] bytes of some patterns, made ready for a search that passes over most of a text (Wu and Manber,
/// "A fast algorithm for multi-pattern searching", 1994).
pub(super) struct Sieve {
    /// By the hash of a block: how far the window may at least be moved when the block ends it.
    jumps: Box<[u8; SLOTS]>,
    /// The windows of the patterns, sorted.
    begins: Vec<u64>,
}

impl Sieve {
    /// `None` if a pattern is shorter than the window.
    pub(super) fn new<'p>(patterns: impl IntoIterator<Item = &'p [u8]>) -> Option<Self> {
        let mut sieve = Self { jumps: Box::new([FARTHEST; SLOTS]), begins: Vec::new() };
        for pattern in patterns {
            let window: &[u8; WINDOW] = pattern.first_chunk()?;
            for (at, block) in window.windows(BLOCK).enumerate() {
                let jump = &mut sieve.jumps[slot(block)];
                *jump = (*jump).min((WINDOW - BLOCK - at) as u8);
            }
            sieve.begins.push(u64::from_ne_bytes(*window));
        }
        sieve.begins.sort_unstable();
        sieve.begins.dedup();
        Some(sieve)
    }

    /// Whether some pattern may begin in `bytes`; `false` is certain.
    pub(super) fn holds_back(&self, bytes: &[u8]) -> bool {
        let mut at = 0;
        while let Some(window) = bytes.get(at..).and_then(<[u8]>::first_chunk::<WINDOW>) {
            match self.jumps[slot(&window[WINDOW - BLOCK..])] {
                0 if self.begins.binary_search(&u64::from_ne_bytes(*window)).is_ok() => return true,
                0 => at += 1,
                jump => at += usize::from(jump),
            }
        }
        false
    }
}

fn slot(block: &[u8]) -> usize {
    let joined = block.iter().fold(0, |joined, byte| joined << 8 | u32::from(*byte));
    (joined.wrapping_mul(0x9E37_79B1) >> 20) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_is_held_back_wherever_it_stands_and_no_part_of_it_is() {
        let sieve = Sieve::new([&b"kn0wn-value"[..], b"another1"]).expect("long enough");

        for blanks in 0..20 {
            let text = format!("{}kn0wn-value", " ".repeat(blanks));
            assert!(sieve.holds_back(text.as_bytes()), "{text}");
            assert!(!sieve.holds_back(format!("{}n0wn-value kn0wn-v", " ".repeat(blanks)).as_bytes()));
        }
        assert!(!sieve.holds_back(b""));
        assert!(!sieve.holds_back(b"another"));
    }

    #[test]
    fn a_short_pattern_makes_no_sieve() {
        assert!(Sieve::new([&b"kn0wn-value"[..], b"1234567"]).is_none());
    }

    proptest! {
        #[test]
        fn nothing_slips_through(
            patterns in prop::collection::vec(prop::collection::vec(0u8..4, 8..12), 1..6),
            text in prop::collection::vec(0u8..4, 0..200),
        ) {
            let sieve = Sieve::new(patterns.iter().map(Vec::as_slice)).expect("long enough");
            let begins = patterns.iter().any(|pattern| text.windows(WINDOW).any(|window| window == &pattern[..WINDOW]));
            prop_assert_eq!(sieve.holds_back(&text), begins);
        }
    }
}
