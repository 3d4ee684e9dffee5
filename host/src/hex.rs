//! Bytes for people, as two lower-case digits each.

/// `ab01…`
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
