//! Foreign bytes in documents of operators.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// Foreign bytes, such as a key: `{"text": …}` if they are UTF-8, otherwise `{"base64": …}`.
///
/// ```
/// use messagekit::operations::ByteText;
///
/// assert_eq!(serde_json::to_value(ByteText::of(b"o-1"))?["text"], "o-1");
/// assert_eq!(serde_json::to_value(ByteText::of(b"\xff"))?["base64"], "/w==");
/// assert_eq!(ByteText::of(b"\xff").to_string(), "base64 /w==");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

impl fmt::Display for ByteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Base64(text) => write!(f, "base64 {text}"),
        }
    }
}

/// Serialises a key as [`ByteText`].
pub(crate) fn serialize<S: Serializer>(
    key: &Option<impl AsRef<[u8]>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    key.as_ref().map(|key| ByteText::of(key.as_ref())).serialize(serializer)
}
