//! Passwords and tokens.

use std::fmt;
use std::sync::Arc;

/// Holds a password, a token, or a URL that may contain one. `Debug` hides it, and there is no `Display`.
///
/// ```
/// use messagekit_config::Secret;
///
/// let password = Secret::new("s3cret");
/// assert_eq!(format!("{password:?}"), "Secret");
/// assert_eq!(password.expose(), "s3cret");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Returns the secret text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
