//! The modes of compatibility between two versions of a schema.

use std::fmt;
use std::str::FromStr;

use messagekit::{Error, ErrorKind};

use super::reading_check::{Unread, unread};
use super::shape::Shape;

/// Which programs must read what others write, when a schema changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// Programs with the new schema read what was written with the old one: deploy readers first.
    #[default]
    Backward,
    /// Programs with the old schema read what is written with the new one: deploy writers first.
    Forward,
    /// Both: deploy in any order.
    Full,
}

/// A change of a schema that a mode of compatibility forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatibility {
    /// Whether programs with the new schema are the readers that fail.
    pub is_backward: bool,
    /// What they do not read.
    pub unread: Unread,
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reader, writer) = if self.is_backward { ("new", "old") } else { ("old", "new") };
        write!(f, "the {reader} program does not read data of the {writer} one: {}", self.unread)
    }
}

messagekit::adapter::words! {
    Compatibility {
        Backward: "backward",
        Forward: "forward",
        Full: "full",
    }
}

impl Compatibility {
    /// Returns what a change from `old` to `new` breaks; nothing if the mode allows it.
    ///
    /// ```
    /// use messagekit_schema::{Compatibility, Shape};
    /// use serde_json::json;
    ///
    /// let status = |values| Shape::of_schema(&json!({"type": "object", "properties": {"status": {"enum": values}}}));
    /// let (old, new) = (status(json!(["open"]))?, status(json!(["open", "closed"]))?);
    /// assert!(Compatibility::Backward.check(&old, &new).is_empty());
    /// assert_eq!(
    ///     Compatibility::Forward.check(&old, &new)[0].to_string(),
    ///     r#"the old program does not read data of the new one: status is written as "closed" and read as "open""#,
    /// );
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    pub fn check(self, old: &Shape, new: &Shape) -> Vec<Incompatibility> {
        let direction = |writer, reader, is_backward| {
            unread(writer, reader).into_iter().map(move |unread| Incompatibility { is_backward, unread })
        };
        let mut found = Vec::new();
        if self != Self::Forward {
            found.extend(direction(old, new, true));
        }
        if self != Self::Backward {
            found.extend(direction(new, old, false));
        }
        found
    }
}

impl FromStr for Compatibility {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let modes = [Self::Backward, Self::Forward, Self::Full];
        modes.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| {
            let text = format!("compatibility is not backward, forward or full: {text:?}");
            Error::new(ErrorKind::InvalidConfiguration, text)
        })
    }
}
