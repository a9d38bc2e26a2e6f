//! Secrets of callers, of which only the hash is stored.

use std::fmt;
use std::str::FromStr;

use messagekit::{Error, ErrorKind};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

const PREFIX: &str = "mk_";
const HASH_PREFIX: &str = "sha256:";

/// Holds a new secret of 256 random bits, for one caller.
///
/// ```
/// let token = messagekit_admin::Token::generate()?;
/// // ByteText once; the configuration gets only the hash.
/// assert!(token.secret().starts_with("mk_"));
/// assert!(token.hash().to_string().starts_with("sha256:"));
/// # Ok::<(), messagekit::Error>(())
/// ```
pub struct Token(String);

impl Token {
    /// Generates a token.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the system provides no random numbers.
    pub fn generate() -> Result<Self, Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "random numbers of the system")
                .caused_by(std::io::Error::other(error.to_string()))
        })?;
        Ok(Self(format!("{PREFIX}{}", hex(&random))))
    }

    /// Returns the secret that the caller sends as `Authorization: Bearer …`. It is stored nowhere.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Returns the hash for the configuration.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

/// Hides the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Holds the SHA-256 of a token, written `sha256:` and 64 hexadecimal digits.
///
/// A hash without salt and stretching is enough, because a [`Token`] is 256 random bits: it cannot be guessed. Do not
/// use the hash of a word that a person chose.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", hex(&self.0))
    }
}

/// Hides the hash.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl FromStr for TokenHash {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`]; the text is not repeated, because it may be the token itself.
    fn from_str(text: &str) -> Result<Self, Error> {
        let unreadable = || {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "token hash is not sha256: and 64 hexadecimal digits, as `messagekit admin token` prints it",
            )
        };
        let digits = text.strip_prefix(HASH_PREFIX).ok_or_else(unreadable)?;
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(unreadable());
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| unreadable())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| unreadable())?;
        }
        Ok(Self(hash))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_a_token_reads_back() {
        let token = Token::generate().unwrap();
        assert_eq!(token.secret().len(), 67);
        assert_eq!(token.hash().to_string().parse::<TokenHash>().unwrap(), token.hash());
        assert_ne!(token.hash(), Token::generate().unwrap().hash());
    }

    #[test]
    fn nothing_repeats_a_secret() {
        let token = Token::generate().unwrap();
        let refused = token.secret().parse::<TokenHash>().unwrap_err();
        for shown in [format!("{token:?}"), format!("{:?}", token.hash()), format!("{refused:?}")] {
            assert!(
                !shown.contains(&token.secret()[3..]) && !shown.contains(&hex(&token.hash().0)),
                "{shown}"
            );
        }
    }

    #[test]
    fn hashes_of_another_form_are_refused() {
        let half = "0".repeat(63);
        for text in ["", "sha256:", "sha256:zz", &format!("sha256:{half}"), &format!("sha256:{half}+"), &half]
        {
            assert_eq!(
                text.parse::<TokenHash>().unwrap_err().kind(),
                ErrorKind::InvalidConfiguration,
                "{text}"
            );
        }
    }
}
