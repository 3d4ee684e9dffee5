//! What a trial counted, as lines for people.

use std::time::Duration;

/// `12 ms p50, 80 ms p99, 95 ms max of 100`.
pub(super) fn times(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times.get(index.min(times.len().saturating_sub(1))).map_or(0, Duration::as_millis)
    };
    format!("{} ms p50, {} ms p99, {} ms at most, of {}", at(0.5), at(0.99), at(1.0), times.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_their_share() {
        let mut some: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(times(&mut some), "51 ms p50, 100 ms p99, 100 ms at most, of 100");
        assert_eq!(times(&mut []), "0 ms p50, 0 ms p99, 0 ms at most, of 0");
    }
}
