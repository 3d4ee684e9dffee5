use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Hex digits of a value's fingerprint in a mask.
///
/// 32 bits: enough to tell the few secrets of one log page apart, and short enough that a guess confirmed by somebody
/// with the key still leaves the value one of many.
pub(super) const PRINT_DIGITS: usize = 8;
const BODY_DIGITS: usize = 16;

/// Makes keyed fingerprints (HMAC-SHA256, cut), by which equal values are recognised without being known.
///
/// Without the key a fingerprint cannot be computed from a guess; with it, values can only be tried one by one.
pub struct Fingerprinter {
    key: Zeroizing<[u8; 32]>,
}

impl Fingerprinter {
    /// A fingerprinter of the host's masking key; the same key gives the same fingerprints.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: Zeroizing::new(*key) }
    }

    /// Eight lower-case hex digits for a masked value.
    pub(super) fn of_value(&self, value: &str) -> String {
        self.digits(b"value\0", value.as_bytes(), PRINT_DIGITS)
    }

    /// Sixteen lower-case hex digits for a body that is not kept.
    pub(super) fn of_body(&self, body: &[u8]) -> String {
        self.digits(b"body\0", body, BODY_DIGITS)
    }

    /// Sixteen lower-case hex digits for a secret that tells two events apart.
    pub fn of_event(&self, value: &str) -> String {
        self.digits(b"event\0", value.as_bytes(), BODY_DIGITS)
    }

    fn digits(&self, domain: &[u8], data: &[u8], digits: usize) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key[..]).expect("HMAC takes a key of any length");
        mac.update(domain);
        mac.update(data);
        let tag = mac.finalize().into_bytes();
        super::forms::hex(&tag[..digits / 2], false)
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprinter(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_key_value_and_use() {
        let (one, other) = (Fingerprinter::new(&[1; 32]), Fingerprinter::new(&[2; 32]));

        assert_eq!(one.of_value("s3cret"), one.of_value("s3cret"));
        assert_ne!(one.of_value("s3cret"), one.of_value("s3cres"));
        assert_ne!(one.of_value("s3cret"), other.of_value("s3cret"));
        assert_ne!(one.of_value("s3cret")[..8], one.of_body(b"s3cret")[..8]);
        assert_eq!((one.of_value("").len(), one.of_body(b"").len()), (PRINT_DIGITS, BODY_DIGITS));
    }

    #[test]
    fn the_fingerprint_is_hmac_sha256() {
        // RFC 4231 has no 32-byte key; the expectation is from an independent implementation.
        let prints = Fingerprinter::new(&[0x0b; 32]);

        assert_eq!(prints.of_value("Hi There"), "1c1fed24");
    }
}
