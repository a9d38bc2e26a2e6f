//! The schema that holds the tables.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use messagekit::{Error, ErrorKind};
use sqlx::AssertSqlSafe;

/// The name of the schema that holds the tables of messagekit; `messagekit` by default.
///
/// It has 1 to 63 characters of `a-z`, `0-9` and `_`, and does not begin with a digit. It may be a reserved word like
/// `order`: every statement quotes it, and so must yours.
///
/// ```
/// use messagekit_postgres::SchemaName;
///
/// assert_eq!(SchemaName::default().to_string(), "messagekit");
/// assert!("events".parse::<SchemaName>().is_ok());
/// assert!("events; DROP TABLE orders".parse::<SchemaName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SchemaName(Arc<str>);

impl SchemaName {
    /// The schema name in the text of every statement of this crate.
    const WRITTEN: &str = "messagekit";

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Puts the name into a statement of this crate, which writes `messagekit.` before each of our names.
    pub(crate) fn sql(&self, text: impl Into<Cow<'static, str>>) -> AssertSqlSafe<Cow<'static, str>> {
        let text = text.into();
        if &*self.0 == Self::WRITTEN {
            return AssertSqlSafe(text);
        }
        AssertSqlSafe(Cow::Owned(text.replace("messagekit.", &format!("{}.", self.quoted()))))
    }

    /// Returns the name quoted for SQL, because it may be a reserved word. The rule above excludes quotes in the name.
    pub(crate) fn quoted(&self) -> Cow<'static, str> {
        match &*self.0 {
            Self::WRITTEN => Cow::Borrowed(Self::WRITTEN),
            name => Cow::Owned(format!("\"{name}\"")),
        }
    }
}

impl Default for SchemaName {
    fn default() -> Self {
        Self(Arc::from(Self::WRITTEN))
    }
}

impl FromStr for SchemaName {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] when the name breaks the rule above, or begins with `pg_`, which the server
    /// reserves.
    fn from_str(name: &str) -> Result<Self, Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let first = name.as_bytes().first();
        if name.len() <= 63
            && name.bytes().all(plain)
            && first.is_some_and(|byte| !byte.is_ascii_digit())
            && !name.starts_with("pg_")
        {
            return Ok(Self(Arc::from(name)));
        }
        let text =
            format!("schema name {name:?} is not 1 to 63 characters of a-z, 0-9 and _, the first no digit");
        Err(Error::new(ErrorKind::InvalidConfiguration, text))
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
