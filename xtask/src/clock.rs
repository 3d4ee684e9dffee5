//! Real time: what runs here is watched by a person.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Measures from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "nothing is decided by this time but how long a person waits")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Looks until there is something, at most for `limit`. `what` completes "waited … for".
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if watch.elapsed() > limit {
            bail!("waited {} s for {what}, in vain", limit.as_secs());
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// `4.2 s`, `3 min 07 s`.
pub(crate) fn in_words(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_people_say_it() {
        for (ms, expected) in [(0, "0.0 s"), (4_240, "4.2 s"), (59_900, "59.9 s"), (187_000, "3 min 07 s")] {
            assert_eq!(in_words(Duration::from_millis(ms)), expected);
        }
    }

    #[test]
    fn a_wait_ends_with_what_it_found_or_with_its_name() {
        let mut looks = 0;
        let found = wait_for("the third look", Duration::from_secs(5), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.unwrap(), 3);

        let missed = wait_for("nothing", Duration::ZERO, || Ok(None::<()>));
        assert!(missed.unwrap_err().to_string().contains("for nothing"));
    }
}
