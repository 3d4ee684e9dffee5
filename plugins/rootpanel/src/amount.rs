//! Money as exact decimals; binary floats never hold any.

use billhook_plugin_api::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

const SCALE: i128 = 1_000_000;
/// Digits before the point; with them every calculation of this plugin stays far below the range of `i128`.
const MAX_DIGITS: usize = 15;

/// An amount in some currency, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

/// Not an amount: wants `12`, `12.5`, `-0.49`, with a point and without spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAmount;

impl Amount {
    pub const ZERO: Self = Self(0);

    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    pub fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(i128::from(count)))
    }

    /// So many of `whole` parts, rounded half up to a millionth.
    pub fn part(self, parts: u32, whole: u32) -> Self {
        let whole = i128::from(whole.max(1));
        let product = self.0.saturating_mul(i128::from(parts)).saturating_mul(2).saturating_add(whole);
        Self(product.div_euclid(2 * whole))
    }

    /// Less a discount in percent; one beyond 0 to 100 counts as the nearest of them.
    pub fn less_percent(self, percent: Self) -> Self {
        let rest = 100 * SCALE - percent.0.clamp(0, 100 * SCALE);
        Self((self.0.saturating_mul(rest) + 50 * SCALE).div_euclid(100 * SCALE))
    }

    /// Whether it differs from `other` by no more than so many percent of `other`.
    pub fn is_about(self, other: Self, percent: u32) -> bool {
        self.minus(other).0.saturating_abs().saturating_mul(100)
            <= other.0.saturating_abs().saturating_mul(i128::from(percent))
    }
}

impl FromStr for Amount {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || whole.trim_start_matches('0').len() > MAX_DIGITS {
            return Err(NoAmount);
        }
        let mut value = whole.parse::<i128>().map_err(|_| NoAmount)? * SCALE;
        let mut unit = SCALE;
        for digit in decimals.bytes().take(6) {
            unit /= 10;
            value += unit * i128::from(digit - b'0');
        }
        // The noise at the far end of a float that was made text.
        if decimals.as_bytes().get(6).is_some_and(|digit| *digit >= b'5') {
            value += 1;
        }
        Ok(Self(if negative { -value } else { value }))
    }
}

impl fmt::Display for Amount {
    /// At least two decimals, more only where they are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) =
            (self.0.unsigned_abs() / SCALE.unsigned_abs(), self.0.unsigned_abs() % SCALE.unsigned_abs());
        let decimals = format!("{rest:06}");
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{}{whole}.{}", if self.0 < 0 { "-" } else { "" }, &decimals[..kept])
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        writer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        text.parse().map_err(|NoAmount| de::Error::custom("an amount is text such as \"12.50\""))
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,15}(\\.[0-9]{1,6})?$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn a_decimal_is_kept_to_the_last_digit() {
        for (text, shown) in [
            ("9.49", "9.49"),
            ("0", "0.00"),
            ("12", "12.00"),
            ("12.5", "12.50"),
            ("-0.49", "-0.49"),
            ("0.000001", "0.000001"),
            ("007.10", "7.10"),
            ("999999999999999.999999", "999999999999999.999999"),
            ("40.509999999999998", "40.51"),
            ("9.490000000000002", "9.49"),
        ] {
            assert_eq!(amount(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_could_be_read_two_ways_is_no_amount() {
        for text in [
            "",
            " ",
            "9,49",
            "1 000.00",
            "1,000.00",
            "+1",
            "1.",
            ".5",
            "1e3",
            "inf",
            "NaN",
            "--1",
            "0x1",
            "12 EUR",
            "1000000000000000",
        ] {
            assert_eq!(text.parse::<Amount>(), Err(NoAmount), "{text}");
        }
    }

    #[test]
    fn a_third_of_a_month_and_a_discount_are_exact_to_a_millionth() {
        assert_eq!(amount("9.99").times(12).less_percent(amount("10")).to_string(), "107.892");
        assert_eq!(amount("9.99").less_percent(amount("12.5")).to_string(), "8.74125");
        assert_eq!(amount("9.99").less_percent(amount("120")), Amount::ZERO);
        assert_eq!(amount("9.99").less_percent(amount("-5")), amount("9.99"));
        assert_eq!(amount("2.00").part(35, 30).to_string(), "2.333333");
        assert_eq!(amount("2.00").part(30, 30).to_string(), "2.00");
        assert_eq!(amount("2.00").part(1, 0).to_string(), "2.00");
    }

    #[test]
    fn about_is_a_share_of_what_was_expected() {
        for (cost, expected, is_about) in [
            ("9.49", "9.49", true),
            ("11.38", "9.49", true),
            ("11.40", "9.49", false),
            ("7.60", "9.49", true),
            ("7.59", "9.49", false),
            ("0", "0", true),
            ("0.01", "0", false),
        ] {
            assert_eq!(amount(cost).is_about(amount(expected), 20), is_about, "{cost} for {expected}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn text_and_amount_are_one(whole in 0_u64..1_000_000_000_000_000, rest in 0_u32..1_000_000, negative: bool) {
            let text = format!("{}{whole}.{rest:06}", if negative { "-" } else { "" });
            prop_assert_eq!(amount(&amount(&text).to_string()), amount(&text));
        }

        #[test]
        fn a_float_of_php_is_its_shortest_decimal(cents in 0_u64..100_000_000_000) {
            let text = format!("{}.{:02}", cents / 100, cents % 100);
            let float: f64 = text.parse().unwrap();
            // As PHP writes it with 17 digits, and with as few as are needed.
            let noisy: f64 = format!("{float:.17}").parse().unwrap();
            prop_assert_eq!(amount(&noisy.to_string()), amount(&text));
        }
    }
}
