//! Dedup hashes as they are kept: their index is most of what an append with a dedup rule writes, and bytes halve it.

/// Returns the bytes of hexadecimal digits in lower case, or those of any other text as it is.
pub(crate) fn bytes(hash: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hash.as_bytes().as_chunks::<2>();
    let decoded = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { Option::unwrap_or_else(decoded, || hash.into()) } else { hash.into() }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn only_digits_that_can_be_written_again_become_bytes() {
        assert_eq!(bytes("00ff7a"), [0, 255, 0x7a]);
        for other in ["00f", "00FF", "h1", "ß"] {
            assert_eq!(bytes(other), other.as_bytes());
        }
        assert!(bytes("").is_empty());
    }
}
