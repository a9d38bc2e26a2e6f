//! Foreign bytes in JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

/// Foreign bytes: as text if they are UTF-8, otherwise in base64.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ByteText {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Base64(String),
}

pub(crate) fn shown(bytes: &[u8]) -> ByteText {
    match std::str::from_utf8(bytes) {
        Ok(text) => ByteText::Text(text.to_owned()),
        Err(_) => ByteText::Base64(STANDARD.encode(bytes)),
    }
}

/// Returns at most `most` bytes, without splitting a character.
pub(crate) fn beginning(bytes: &[u8], most: usize) -> ByteText {
    let cut = &bytes[..bytes.len().min(most)];
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() && cut.len() < bytes.len() => {
            shown(&cut[..error.valid_up_to()])
        }
        _ => shown(cut),
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
