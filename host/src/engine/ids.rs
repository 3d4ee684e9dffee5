//! Ids of operations and reading hooks: in the order in which they were given out, also within a millisecond.
//!
//! The log is in the order of its ids, and whoever follows it goes on behind the last one that he has seen: an id that is less
//! than one given out before would be passed over.

use ulid::Ulid;

/// Of the 80 bits behind the time, as many count what was given out in the same millisecond; the others are random.
const COUNTING: u32 = 15;
const RANDOM: u32 = Ulid::RAND_BITS as u32 - COUNTING;

/// What was given out last.
#[derive(Debug, Default)]
pub(super) struct Ids {
    unix_ms: u64,
    count: u16,
}

impl Ids {
    /// The next id, greater than all before; `random` is new for each.
    ///
    /// The count begins somewhere in its lower half, so that two hosts seldom give out neighbours. A clock that was set back, and
    /// a count that is at its end, leave the time where it was, or a millisecond further.
    pub(super) fn next(&mut self, unix_ms: u64, random: u128) -> Ulid {
        const END: u16 = 1 << COUNTING;
        if unix_ms > self.unix_ms {
            self.unix_ms = unix_ms;
            self.count = u16::try_from(random >> 114).unwrap_or_default();
        } else {
            self.count += 1;
            if self.count == END {
                (self.unix_ms, self.count) = (self.unix_ms + 1, 0);
            }
        }
        let rest = random & ((1 << RANDOM) - 1);
        Ulid::from_parts(self.unix_ms, u128::from(self.count) << RANDOM | rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::words_number;

    #[test]
    fn a_later_id_is_greater_whatever_the_clock_and_the_dice_say() {
        let mut ids = Ids::default();
        let mut last = Ulid::nil();
        let dice = [u128::MAX, 0, 1 << 127, 7];
        for n in 0..200_000_u64 {
            // Now it stands, now it goes on, now it is set back.
            let unix_ms = 1_000 + n / 50_000 - u64::from(n % 3 == 0) * 500;
            let id = ids.next(unix_ms, dice[n as usize % dice.len()]);
            assert!(id > last, "{n}: {last} {id}");
            last = id;
        }
    }

    #[test]
    fn a_new_millisecond_is_told_by_the_id() {
        let mut ids = Ids::default();
        for unix_ms in [1, 5, 1_830_297_600_000] {
            assert_eq!(ids.next(unix_ms, u128::MAX).timestamp_ms(), unix_ms);
        }
    }

    #[test]
    fn ids_of_one_millisecond_have_numbers_of_their_own_in_the_index_of_words() {
        let mut ids = Ids::default();
        let numbers: Vec<i64> = (0..1_000).map(|_| words_number(&ids.next(1_000, 0).to_string())).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}
