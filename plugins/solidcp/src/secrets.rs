//! Passwords that are made here: the panel makes none.

use billhook_plugin_api::{Fault, Secret};

const LENGTH: usize = 20;
/// As many letters as a byte's lowest six bits can name. Nothing in it needs escaping anywhere.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A password of 120 bits that has capital and small letters and digits, as systems demand it.
pub fn password() -> Result<Secret<String>, Fault> {
    for _ in 0..100 {
        let mut bytes = [0_u8; LENGTH];
        getrandom::fill(&mut bytes)
            .map_err(|error| Fault::plugin_bug(format!("the system gives no random numbers: {error}")))?;
        let text: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect();
        if is_strong(&text) {
            return Ok(Secret::new(text));
        }
    }
    Err(Fault::plugin_bug("the system's random numbers are none"))
}

fn is_strong(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit]
            .into_iter()
            .all(|kind| text.bytes().any(|byte| kind(&byte)))
}

/// Refuses a password that a customer chose and the panel could not take.
pub fn check(password: &Secret<String>) -> Result<(), Fault> {
    let text = password.expose();
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        let why = "the password is empty, or holds a character that cannot be typed";
        return Err(Fault::invalid_input(why).for_customer("Please choose another password."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_strong_and_differ() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert!(is_strong(one.expose()) && one.expose().len() == LENGTH);
        assert_ne!(one.expose(), other.expose());
        for weak in ["1aB", "aaaa1", "AAAA1", "AAAaaa", ""] {
            assert!(!is_strong(weak), "{weak}");
        }
    }
}
