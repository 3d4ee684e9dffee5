//! Amounts of money, exact: whole cents, rounded half up where a part of a cent comes up.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// An amount with two decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This many hundredths.
    pub const fn cents(cents: i64) -> Self {
        Self(cents)
    }

    /// `self * times / parts`, rounded half up; `parts` is above 0.
    #[must_use]
    pub fn share(self, times: i64, parts: i64) -> Self {
        Self((2 * self.0 * times + parts).div_euclid(2 * parts))
    }

    /// As PHP prints a float of this value: no zeros at the end.
    pub(super) fn as_float(self) -> String {
        let text = self.to_string();
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.abs() / 100, self.0.abs() % 100)
    }
}

impl FromStr for Money {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount = || {
            let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(whole) || !digits(part) || part.len() > 2 {
                return None;
            }
            let whole: i64 = whole.parse().ok()?;
            let part: i64 = format!("{part:0<2}").parse().ok()?;
            whole.checked_mul(100)?.checked_add(part)
        };
        amount().map(Self).ok_or_else(|| format!("{text:?} is no amount such as 9.49"))
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl SubAssign for Money {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::add)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_as_it_is_written() {
        for text in ["0.00", "9.49", "10.05", "123456789.99"] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), text);
        }
        assert_eq!("12".parse(), Ok(Money::cents(1_200)));
        assert_eq!("12.5".parse(), Ok(Money::cents(1_250)));
        for bad in ["", ".5", "1.", "1.234", "-1", "1,5", "1e3"] {
            assert!(bad.parse::<Money>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_is_exact_and_rounds_half_up() {
        // Twelve months at 9.49 with 10 % off are 102.492; a tenth of a cent above .5 goes up, exactly .5 too.
        assert_eq!(Money::cents(949 * 12).share(90, 100), Money::cents(10_249));
        assert_eq!(Money::cents(1).share(1, 2), Money::cents(1));
        assert_eq!(Money::cents(1).share(49, 100), Money::ZERO);
        assert_eq!(Money::cents(200).share(35, 30), Money::cents(233));
    }

    #[test]
    fn a_float_has_no_zeros_at_its_end() {
        for (cents, text) in [(4_051, "40.51"), (950, "9.5"), (1_000, "10"), (0, "0"), (-250, "-2.5")] {
            assert_eq!(Money::cents(cents).as_float(), text);
        }
    }
}
