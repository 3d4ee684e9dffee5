//! The plain facts that a plugin file states about itself, readable without running any of its code.
//!
//! The export macro places one [`Descriptor`] in an ELF section of its own; the host reads that section first and
//! refuses what it cannot run. The head of 32 bytes stays as it is in every ABI major, so that any host can name the
//! major of any plugin; what follows the head belongs to the major. Integers are in the byte order of the machine.
//!
//! A descriptor is a courtesy, not a proof: whoever can write the file can write the descriptor.

use billhook_abi::{ABI_MAJOR, ABI_MINOR};
use serde::Deserialize;

/// The ELF section that holds the descriptor.
pub const SECTION: &str = ".billhook";

/// The first bytes of every descriptor.
pub const MAGIC: [u8; 16] = *b"billhook-plugin\0";

/// Bit 0 of the flags: a panic unwinds, so the glue can catch it. All other bits are reserved and ignored.
pub const FLAG_UNWINDS: u32 = 1;

const HEAD_BYTES: usize = 32;

/// Names end up in configuration, URLs and file names.
const NAME_MAX_BYTES: usize = 64;

/// A descriptor as it lies in the file; `N` is the length of its JSON in bytes.
#[repr(C)]
pub struct Descriptor<const N: usize> {
    magic: [u8; 16],
    abi_major: u32,
    abi_minor: u32,
    flags: u32,
    json_bytes: u32,
    json: [u8; N],
}

impl<const N: usize> Descriptor<N> {
    /// A descriptor for the ABI that this crate was built with. For the export macro, at compile time.
    ///
    /// # Panics
    ///
    /// When `json` is not exactly `N` bytes long.
    pub const fn new(json: &str, unwinds: bool) -> Self {
        let text = json.as_bytes();
        assert!(text.len() == N, "the descriptor's length is that of its text");
        let mut bytes = [0; N];
        let mut at = 0;
        while at < N {
            bytes[at] = text[at];
            at += 1;
        }
        Self {
            magic: MAGIC,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            flags: if unwinds { FLAG_UNWINDS } else { 0 },
            json_bytes: N as u32,
            json: bytes,
        }
    }
}

/// What a descriptor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptorView {
    /// Equal to [`ABI_MAJOR`]; any other is [`DescriptorError::AbiMajor`].
    pub abi_major: u32,
    /// For information only.
    pub abi_minor: u32,
    /// Whether a panic in the plugin unwinds; otherwise the first one ends the process.
    pub unwinds: bool,
    /// The plugin's crate name: lower-case letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// The plugin's version, as its package has it.
    pub version: String,
}

/// Why the bytes of the section are no descriptor for this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The section does not begin like a descriptor.
    #[error("the descriptor does not begin with its magic bytes")]
    Magic,
    /// The section ends before the descriptor does.
    #[error("the descriptor needs {needed} bytes and its section has {found}")]
    Short {
        /// Bytes that the descriptor says it has, head included.
        needed: usize,
        /// Bytes in the section.
        found: usize,
    },
    /// The plugin speaks another major of the ABI; nothing behind the head was read.
    #[error("the plugin has ABI major {found}, not {expected}")]
    AbiMajor {
        /// The plugin's.
        found: u32,
        /// This crate's, [`ABI_MAJOR`].
        expected: u32,
    },
    /// The text behind the head is not the JSON that it should be.
    #[error("the descriptor's JSON cannot be read")]
    Json(#[source] serde_json::Error),
    /// The name is empty, too long, or has other characters than those allowed.
    #[error("the name {name:?} is not made of 1 to 64 lower-case letters, digits, `_` and `-`")]
    Name {
        /// What stood there.
        name: String,
    },
}

#[derive(Deserialize)]
struct Facts {
    name: String,
    version: String,
}

/// Reads a descriptor from the bytes of its section; what follows the descriptor is padding.
///
/// # Errors
///
/// One [`DescriptorError`] for each way to be wrong, found in the order magic, length, major, text.
pub fn parse(section: &[u8]) -> Result<DescriptorView, DescriptorError> {
    if !section.starts_with(&MAGIC) {
        return Err(DescriptorError::Magic);
    }
    let short = |needed| DescriptorError::Short { needed, found: section.len() };
    let (head, rest) = section.split_at_checked(HEAD_BYTES).ok_or_else(|| short(HEAD_BYTES))?;
    let abi_major = word(head, 16);
    if abi_major != ABI_MAJOR {
        return Err(DescriptorError::AbiMajor { found: abi_major, expected: ABI_MAJOR });
    }
    let json_bytes = word(head, 28) as usize;
    let json = rest.get(..json_bytes).ok_or_else(|| short(HEAD_BYTES.saturating_add(json_bytes)))?;
    let facts: Facts = serde_json::from_slice(json).map_err(DescriptorError::Json)?;
    if !is_name(&facts.name) {
        return Err(DescriptorError::Name { name: facts.name });
    }
    Ok(DescriptorView {
        abi_major,
        abi_minor: word(head, 20),
        unwinds: word(head, 24) & FLAG_UNWINDS != 0,
        name: facts.name,
        version: facts.version,
    })
}

/// The integer at `at`, which lies within the head.
fn word(head: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

fn is_name(name: &str) -> bool {
    (1..=NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"name":"toy","version":"1.2.3"}"#;

    /// The bytes that the linker would place, written out by hand so that a change of the struct shows.
    fn section(major: u32, flags: u32, json: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for word in [major, ABI_MINOR, flags, json.len() as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(json.bytes());
        bytes
    }

    #[test]
    fn a_descriptor_reads_back_as_it_was_built() {
        let built = Descriptor::<{ JSON.len() }>::new(JSON, true);
        assert_eq!(std::mem::offset_of!(Descriptor<5>, json), HEAD_BYTES);
        let bytes = section(built.abi_major, built.flags, std::str::from_utf8(&built.json).unwrap());

        let view = parse(&bytes).unwrap();

        let expected =
            DescriptorView { abi_major: 1, abi_minor: 0, unwinds: true, name: "toy".into(), version: "1.2.3".into() };
        assert_eq!(view, expected);
    }

    #[test]
    fn padding_and_unknown_flags_and_fields_are_ignored() {
        let json = r#"{"name":"toy","version":"1.2.3","homepage":"x"}"#;
        let mut bytes = section(ABI_MAJOR, FLAG_UNWINDS | 0x80, json);
        bytes.extend([0; 7]);

        assert!(parse(&bytes).unwrap().unwinds);
    }

    #[test]
    fn each_wrong_descriptor_has_its_own_error() {
        let good = section(ABI_MAJOR, 1, JSON);
        let cases: [(&str, Vec<u8>); 9] = [
            ("Magic", Vec::new()),
            ("Magic", b"billhook-plugin\x01".to_vec()),
            ("Short { needed: 32, found: 20 }", good[..20].to_vec()),
            ("Short { needed: 64, found: 40 }", good[..40].to_vec()),
            ("AbiMajor { found: 2, expected: 1 }", section(2, 1, "not JSON at all")),
            ("Json", section(ABI_MAJOR, 1, "{")),
            ("Json", section(ABI_MAJOR, 1, r#"{"name":"toy"}"#)),
            ("Name", section(ABI_MAJOR, 1, r#"{"name":"","version":"1"}"#)),
            ("Name", section(ABI_MAJOR, 1, r#"{"name":"../toy","version":"1"}"#)),
        ];
        for (expected, bytes) in cases {
            let error = format!("{:?}", parse(&bytes).unwrap_err());
            assert!(error.starts_with(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_length_that_runs_past_the_section_is_an_error_and_not_a_panic() {
        let mut bytes = section(ABI_MAJOR, 1, JSON);
        bytes[28..32].copy_from_slice(&u32::MAX.to_ne_bytes());

        assert!(matches!(parse(&bytes), Err(DescriptorError::Short { .. })));
    }
}
