//! The accepted callers.

use std::sync::Arc;

use messagekit::{Error, ErrorKind};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::{Role, TokenHash};

/// Lists the accepted tokens, each with its name in the audit and its role. Only their hashes are stored.
///
/// A name may have several tokens, so that a new token is in use before the old one is removed.
///
/// ```
/// use messagekit_admin::{Role, Token, Tokens};
///
/// let token = Token::generate()?;
/// let mut tokens = Tokens::new();
/// tokens.add("mona", Role::Operator, token.hash())?;
/// // The same from a file, one token per line.
/// let tokens = Tokens::parse(&format!("# people\nmona operator {}\n", token.hash()))?;
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    name: Arc<str>,
    role: Role,
    hash: TokenHash,
}

impl Tokens {
    /// Creates an empty set; an admin needs at least one token.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts a token.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a name that is not 1 to 64 of `a-z A-Z 0-9 . _ @ -`, or for a hash
    /// that exists already.
    pub fn add(&mut self, name: &str, role: Role, hash: TokenHash) -> Result<(), Error> {
        let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(usable) {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "name of a token is not 1 to 64 of a-z, A-Z, 0-9, '.', '_', '@' and '-'",
            ));
        }
        if let Some(known) = self.0.iter().find(|known| known.hash == hash) {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                format!("token of {name} is that of {} again: make one for each", known.name),
            ));
        }
        self.0.push(Known { name: name.into(), role, hash });
        Ok(())
    }

    /// Reads a list of tokens, one `NAME ROLE HASH` per line; ignores empty lines and lines that begin with `#`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with the number of every invalid line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut tokens = Self::new();
        let mut problems = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(error) = tokens.add_line(line) {
                problems.push(format!("line {number}: {error}"));
            }
        }
        if problems.is_empty() {
            return Ok(tokens);
        }
        Err(Error::new(ErrorKind::InvalidConfiguration, format!("tokens: {}", problems.join("; "))))
    }

    fn add_line(&mut self, line: &str) -> Result<(), Error> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, role, hash] = words[..] else {
            return Err(Error::new(ErrorKind::InvalidConfiguration, "not NAME ROLE sha256:DIGITS"));
        };
        self.add(name, role.parse()?, hash.parse()?)
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the owner of a secret. Every hash is compared in full, so that the time reveals nothing.
    pub(crate) fn find(&self, secret: &str) -> Option<(Arc<str>, Role)> {
        let shown = TokenHash::of(secret);
        let mut found = 0_u64;
        let mut any = Choice::from(0);
        for (index, known) in (0..).zip(&self.0) {
            let equal = known.hash.as_bytes().ct_eq(shown.as_bytes());
            found.conditional_assign(&index, equal);
            any |= equal;
        }
        let known = self.0.get(usize::try_from(found).ok()?)?;
        bool::from(any).then(|| (known.name.clone(), known.role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;

    #[test]
    fn each_token_is_found_under_its_name_and_no_other() {
        let made = [Token::generate().unwrap(), Token::generate().unwrap(), Token::generate().unwrap()];
        let mut tokens = Tokens::new();
        tokens.add("vera", Role::Viewer, made[0].hash()).unwrap();
        tokens.add("otto", Role::Operator, made[1].hash()).unwrap();
        let found = |secret: &str| tokens.find(secret).map(|(name, role)| (name.to_string(), role));
        assert_eq!(found(made[0].secret()), Some(("vera".to_owned(), Role::Viewer)));
        assert_eq!(found(made[1].secret()), Some(("otto".to_owned(), Role::Operator)));
        for stranger in [made[2].secret(), "", "mk_", &made[0].hash().to_string(), &made[0].secret()[..66]] {
            assert_eq!(found(stranger), None);
        }
        assert_eq!(Tokens::new().find(made[0].secret()), None);
    }

    #[test]
    fn every_line_that_is_not_understood_is_named_and_none_repeated() {
        let token = Token::generate().unwrap();
        let hash = token.hash();
        let text = format!(
            "# people\n\nvera viewer {hash}\notto king {hash}\nx\ny viewer {}\nz reader {hash}\na/b viewer {hash}\n",
            token.secret()
        );
        let error = Tokens::parse(&text).unwrap_err().to_string();
        for part in ["line 4: role is none of", "line 5: not NAME", "line 6: token hash", "line 7", "line 8"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(
            !error.contains(token.secret()) && !error.contains(&hash.to_string()) && !error.contains("king")
        );
        assert_eq!(Tokens::parse(&format!("vera viewer {hash}\r\n")).unwrap().0.len(), 1);
    }
}
