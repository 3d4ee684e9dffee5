//! Passwords, keys and marks, from the system's source of randomness.

use billhook_plugin_api::{Fault, FaultClass};

/// Nothing that looks like something else.
const READABLE: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// What the panel's own billing uses for keys.
const KEY: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A password of small and capital letters and digits, with each of them in it.
pub fn password() -> Result<String, Fault> {
    let mut text = text(17, READABLE)?;
    // One of each kind where every panel wants one; the others give the strength.
    text.push_str(&self::text(1, b"abcdefghijkmnpqrstuvwxyz")?);
    text.push_str(&self::text(1, b"ABCDEFGHJKLMNPQRSTUVWXYZ")?);
    text.push_str(&self::text(1, b"23456789")?);
    Ok(text)
}

/// A key for one sign-in. The panel wants at least 16 characters.
pub fn key() -> Result<String, Fault> {
    text(32, KEY)
}

/// Tells one life of one service from another.
pub fn nonce() -> Result<String, Fault> {
    text(10, KEY)
}

/// Mixes what is equal, so that two hosts do not begin with the same.
pub fn shuffle<T>(items: &mut [T]) -> Result<(), Fault> {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1)?);
    }
    Ok(())
}

/// 1 to 3 seconds, in milliseconds.
pub fn grace_ms() -> Result<u64, Fault> {
    Ok(1_000 + below(2_001)? as u64)
}

fn text(length: usize, alphabet: &[u8]) -> Result<String, Fault> {
    (0..length).map(|_| Ok(char::from(alphabet[below(alphabet.len())?]))).collect()
}

/// Uniform in `0..bound`; what would favour small numbers is drawn again.
fn below(bound: usize) -> Result<usize, Fault> {
    let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(1);
    let fair = u32::MAX - u32::MAX % bound;
    loop {
        let drawn = getrandom::u32().map_err(|error| {
            Fault::new(FaultClass::PluginBug, format!("the system gives no random numbers: {error}"))
        })?;
        if drawn < fair {
            return Ok((drawn % bound) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_every_kind_and_no_two_are_equal() {
        let (one, two) = (password().unwrap(), password().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 20);
        for is_kind in [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit] {
            assert!(one.bytes().any(|byte| is_kind(&byte)), "{one}");
        }
        assert!(key().unwrap().len() == 32 && nonce().unwrap() != nonce().unwrap());
    }

    #[test]
    fn a_shuffle_keeps_everything() {
        let mut items: Vec<u32> = (0..50).collect();
        shuffle(&mut items).unwrap();
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
        assert!((1_000..=3_000).contains(&grace_ms().unwrap()));
    }
}
