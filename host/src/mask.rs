//! Masking: what the module log keeps of texts, headers and bodies, with every secret taken out.
//!
//! Two nets lie over each other. *By place*: declared paths, key names, header names. *By value*: the secrets known in
//! this attempt, looked for in every encoding in which panels and plugins pass them on. A structured body that still
//! shows a known secret after both, or that does not parse as what it claims, is kept as length and keyed hash only.
//!
//! Everything here is pure and linear in its input; nothing panics on any bytes.

mod body; // what is stored of one body
mod edit; // spans of a text and what stands there instead
mod fingerprint;
mod forms; // the encodings in which a value is looked for
mod headers;
mod json;
mod path;
#[cfg(test)]
mod promise; // the properties, over all kinds of input at once
mod rules;
mod secrets;
mod sieve;
mod text;
mod urlencoded;
mod views; // a text as it reads after its escapes are resolved
mod xml;

pub use body::{BodyForm, MaskedBody};
pub use fingerprint::Fingerprinter;
pub use path::{PathError, SecretPath};
pub use rules::Rules;
pub use secrets::SecretSet;

/// How a mask begins; eight hex digits of the fingerprint and [`MASK_END`] follow.
const MASK_START: &str = "‹masked:";
const MASK_END: &str = "›";
const MASK_BYTES: usize = MASK_START.len() + fingerprint::PRINT_DIGITS + MASK_END.len();

/// Masks texts, headers and bodies of one attempt.
///
/// A mask reads `‹masked:1a2b3c4d›`: always as wide, whatever the secret, and equal for equal values, however these
/// were encoded. Masking what is masked changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Masker<'a> {
    /// The values known in this attempt.
    pub secrets: &'a SecretSet,
    /// Which names hold secrets.
    pub rules: &'a Rules,
    /// What makes equal values recognisable.
    pub prints: &'a Fingerprinter,
}

impl Masker<'_> {
    /// The mask that stands for `value`; a mask stands for itself.
    fn mask(&self, value: &str) -> String {
        if is_mask(value) {
            return value.to_owned();
        }
        format!("{MASK_START}{}{MASK_END}", self.prints.of_value(value))
    }
}

fn is_mask(text: &str) -> bool {
    text.len() == MASK_BYTES && starts_with_mask(text)
}

fn starts_with_mask(text: &str) -> bool {
    text.strip_prefix(MASK_START).is_some_and(|rest| {
        let digits = rest.as_bytes().iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        digits == fingerprint::PRINT_DIGITS && rest[digits..].starts_with(MASK_END)
    })
}

/// Where the masks of `text` stand, in order.
fn masks_in(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    text.match_indices(MASK_START).filter(|(at, _)| starts_with_mask(&text[*at..])).map(|(at, _)| at..at + MASK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_as_wide_for_a_short_as_for_a_long_value() {
        let (secrets, rules, prints) = (SecretSet::new(), Rules::new(), Fingerprinter::new(&[7; 32]));
        let masker = Masker { secrets: &secrets, rules: &rules, prints: &prints };

        for value in ["x", "a longer value", &"ü".repeat(10_000)] {
            let mask = masker.mask(value);

            assert_eq!(mask.len(), MASK_BYTES);
            assert!(is_mask(&mask), "{mask}");
            assert_eq!(masker.mask(&mask), mask);
        }
    }

    #[test]
    fn what_only_resembles_a_mask_is_none() {
        for text in [
            "‹masked:›",
            "‹masked:1a2b3c4›",
            "‹masked:1a2b3c4dd›",
            "‹masked:1a2b3c4g›",
            "masked:1a2b3c4d",
            "‹masked:1a2b3c4d",
        ] {
            assert!(!starts_with_mask(text), "{text}");
        }
    }
}
