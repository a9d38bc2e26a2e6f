//! Bytes as hexadecimal digits.

/// Returns two lowercase digits for each byte.
pub(crate) fn digits(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
