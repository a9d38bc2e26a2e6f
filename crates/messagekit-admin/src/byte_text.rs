//! Foreign bytes in JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

/// Foreign bytes, such as a key: `{"text": …}` if they are UTF-8, otherwise `{"base64": …}`.
///
/// ```
/// use messagekit_admin::ByteText;
///
/// assert_eq!(serde_json::to_value(ByteText::of(b"o-1"))?["text"], "o-1");
/// assert_eq!(serde_json::to_value(ByteText::of(b"\xff"))?["base64"], "/w==");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ByteText {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Base64(String),
}

impl ByteText {
    /// Returns bytes as they are shown.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }
}

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
