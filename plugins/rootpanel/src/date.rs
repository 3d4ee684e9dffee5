//! The panel's dates, whose format is not documented, and the months that billing paid for.

const DAY_MS: u64 = 86_400_000;

/// Reads `2026-12-20`, `2026-12-20 10:00:00`, `2026-12-20T10:00:00`, `20.12.2026`, or Unix time in seconds, as Unix milliseconds in
/// UTC. Anything else, and the zeros that MySQL has for no date, is `None`.
pub fn unix_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    // Nine digits are the year 1973; fewer could be a compact date.
    if (9..=11).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().ok()?.checked_mul(1_000);
    }
    let (date, time) = text.split_once([' ', 'T']).map_or((text, None), |(date, time)| (date, Some(time)));
    let days = days(date)?;
    let ms = days.checked_mul(DAY_MS)?;
    match time {
        None => Some(ms),
        Some(time) => Some(ms + seconds(time)? * 1_000),
    }
}

/// Days since 1970.
fn days(date: &str) -> Option<u64> {
    let (year, month, day) = parts(date)?;
    // Howard Hinnant's count of days, with years that begin in March.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)
}

/// Year, month and day, if there is such a day.
fn parts(date: &str) -> Option<(u64, u64, u64)> {
    let number = |text: &str, length: usize| {
        (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    let split = |separator: char| {
        let mut parts = date.split(separator);
        let three = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(three)
    };
    let (year, month, day) = match (split('-'), split('.')) {
        (Some((year, month, day)), _) | (_, Some((day, month, year))) => {
            (number(year, 4)?, number(month, 2)?, number(day, 2)?)
        }
        _ => return None,
    };
    ((1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day))
        .then_some((year, month, day))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Seconds of `10:00`, `10:00:00`, also with what follows seconds in ISO (fractions, `Z`, an offset of zero).
fn seconds(time: &str) -> Option<u64> {
    let time = time.trim_end_matches('Z').trim_end_matches("+00:00");
    let time = time.split_once('.').map_or(time, |(time, _)| time);
    let mut parts = time.split(':').map(|part| (part.len() == 2).then(|| part.parse::<u64>().ok()).flatten());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    (parts.next().is_none() && hour < 24 && minute < 60 && second < 61).then_some(hour * 3_600 + minute * 60 + second)
}

/// The whole months between two dates of the form `2026-12-20`; `None` if they are not whole, or none.
///
/// The end of a month stands for every later day: from the 31st of January a month goes to the 28th of February, and from there one
/// goes to the 28th or to any later day of March.
pub fn months_between(from: &str, to: &str) -> Option<u32> {
    let ((year, month, day), (to_year, to_month, to_day)) = (parts(from)?, parts(to)?);
    let months = (to_year * 12 + to_month).checked_sub(year * 12 + month)?;
    let is_whole = to_day == day
        || (to_day > day && day == days_in(year, month))
        || (to_day < day && to_day == days_in(to_year, to_month));
    (is_whole && months > 0).then(|| u32::try_from(months).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_form_that_the_panel_may_use() {
        const DAY: u64 = 1_797_724_800_000;
        for (text, expected) in [
            ("2026-12-20", Some(DAY)),
            ("20.12.2026", Some(DAY)),
            (" 2026-12-20 ", Some(DAY)),
            ("2026-12-20 01:02:03", Some(DAY + 3_723_000)),
            ("2026-12-20T01:02:03Z", Some(DAY + 3_723_000)),
            ("2026-12-20T01:02:03.123+00:00", Some(DAY + 3_723_000)),
            ("20.12.2026 01:02", Some(DAY + 3_720_000)),
            ("1797724800", Some(DAY)),
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(951_782_400_000)),
            ("2100-02-29", None),
            ("2026-02-30", None),
            ("0000-00-00", None),
            ("0000-00-00 00:00:00", None),
            ("2026-12-20 25:00:00", None),
            ("2026-12-20T01:02:03+02:00", None),
            ("12/20/2026", None),
            ("20261220", None),
            ("29", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(unix_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut last = days("1999-12-31").unwrap();
        for year in 2000..2400_u64 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    let this = days(&format!("{year:04}-{month:02}-{day:02}")).unwrap();
                    assert_eq!(this, last + 1, "{year}-{month}-{day}");
                    last = this;
                }
            }
        }
    }

    #[test]
    fn months_are_counted_only_when_they_are_whole() {
        for (from, to, expected) in [
            ("2026-11-20", "2026-12-20", Some(1)),
            ("2026-11-20", "2027-11-20", Some(12)),
            ("2026-01-31", "2026-02-28", Some(1)),
            ("2026-02-28", "2026-03-28", Some(1)),
            ("2026-02-28", "2026-03-31", Some(1)),
            ("2026-01-30", "2026-02-28", Some(1)),
            ("2026-11-20", "2026-12-21", None),
            ("2026-11-20", "2026-12-19", None),
            ("2026-11-20", "2026-11-20", None),
            ("2026-11-20", "2026-10-20", None),
            ("2026-01-15", "2026-02-01", None),
            ("2026-11-20", "soon", None),
        ] {
            assert_eq!(months_between(from, to), expected, "{from} to {to}");
        }
    }
}
