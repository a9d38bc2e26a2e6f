//! Foreign bytes in JSON.

use messagekit::operations::ByteText;

/// Returns at most `most` bytes, without splitting a character.
pub(crate) fn beginning(bytes: &[u8], most: usize) -> ByteText {
    let cut = &bytes[..bytes.len().min(most)];
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() && cut.len() < bytes.len() => {
            ByteText::of(&cut[..error.valid_up_to()])
        }
        _ => ByteText::of(cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_between_characters() {
        assert!(matches!(beginning("aé".as_bytes(), 2), ByteText::Text(text) if text == "a"));
        assert!(matches!(beginning("aé".as_bytes(), 3), ByteText::Text(text) if text == "aé"));
        assert!(matches!(beginning(b"a\xff", 9), ByteText::Base64(text) if text == "Yf8="));
        assert!(matches!(beginning(b"a\xc3", 9), ByteText::Base64(_)), "cut by its writer, not here");
    }
}
