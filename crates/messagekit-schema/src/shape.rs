//! The normal form of a JSON Schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use messagekit::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of the normal form. A stored form of another version is made again from the schema beside it.
pub(super) const VERSION: u32 = 1;

/// The structure of JSON data.
///
/// ```
/// use messagekit_schema::Shape;
/// use serde_json::json;
///
/// let rust = json!({"type": "object", "required": ["n"], "properties": {
///     "n": {"type": "integer", "format": "uint32", "minimum": 0}, "note": {"type": ["string", "null"]}}});
/// let python = json!({"title": "Order", "type": "object", "required": ["n"], "properties": {
///     "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null}, "n": {"title": "N", "type": "integer"}}});
/// assert_eq!(Shape::of_schema(&rust)?, Shape::of_schema(&python)?);
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Any value.
    Anything,
    /// Null.
    Null,
    /// True or false.
    Boolean,
    /// A number without a fraction.
    Integer,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A text, an integer or a number of a format; only in shapes [with formats](Shape::with_formats).
    Formatted {
        /// What has the format.
        base: Box<Shape>,
        /// Its name, such as `uuid` or `uint32`.
        format: String,
    },
    /// One of these values, each as canonical JSON.
    OneOf(BTreeSet<String>),
    /// A list of any length.
    List(Box<Shape>),
    /// A list with a shape for each position.
    Tuple(Vec<Shape>),
    /// An object.
    Object {
        /// Its named fields.
        fields: BTreeMap<String, Field>,
        /// What other fields may hold.
        other: OtherFields,
    },
    /// One of several shapes, at least two.
    Union(BTreeSet<Shape>),
    /// The object this many objects further out: a type that contains itself.
    Outer(u32),
}

/// A named field of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Field {
    /// Its shape.
    pub shape: Shape,
    /// Whether every object has it.
    pub is_required: bool,
}

/// The fields of an object that have no name in its schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherFields {
    /// They are ignored.
    Ignored,
    /// There may be none.
    Refused,
    /// They have this shape, as those of a map have.
    Shaped(Box<Shape>),
}

/// A normal form with its version, as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    shape: Shape,
}

impl Shape {
    /// Returns the text to store, which [`decode`](Self::decode) reads.
    pub fn encode(&self) -> String {
        let stored = Stored { version: VERSION, shape: self.clone() };
        serde_json::to_string(&stored).expect("texts and lists can be written as JSON")
    }

    /// Returns a stored shape, or `None` for one of another version of the normal form.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for a text that is no stored shape.
    pub fn decode(text: &str) -> Result<Option<Self>, Error> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let corrupt = |error| Error::new(ErrorKind::Corrupt, "stored schema cannot be read").caused_by(error);
        let Version { version } = serde_json::from_str(text).map_err(corrupt)?;
        if version != VERSION {
            return Ok(None);
        }
        let Stored { shape, .. } = serde_json::from_str(text).map_err(corrupt)?;
        Ok(Some(shape))
    }

    /// Returns the SHA-256 of the stored text in hexadecimal digits. Equal shapes have equal hashes.
    pub fn hash(&self) -> String {
        format!("{:x}", Sha256::digest(self.encode()))
    }

    /// Returns the shape of a value that has one of these shapes.
    ///
    /// Unions inside are dissolved, values that stand alone are gathered, and a number includes an integer.
    pub(super) fn union(shapes: impl IntoIterator<Item = Self>) -> Self {
        let (mut members, mut values) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting: Vec<Self> = shapes.into_iter().collect();
        while let Some(shape) = waiting.pop() {
            match shape {
                Self::Anything => return Self::Anything,
                Self::Union(inner) => waiting.extend(inner),
                Self::OneOf(inner) => values.extend(inner),
                other => {
                    members.insert(other);
                }
            }
        }
        if members.contains(&Self::Number) {
            members.remove(&Self::Integer);
        }
        if values.remove("null") {
            members.insert(Self::Null);
        }
        if !values.is_empty() {
            members.insert(Self::OneOf(values));
        }
        match members.len() {
            1 => members.pop_first().unwrap_or(Self::Anything),
            _ => Self::Union(members),
        }
    }
}

/// A short form for errors: `{id: integer, note?: string | null}`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anything => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Boolean => f.write_str("boolean"),
            Self::Integer => f.write_str("integer"),
            Self::Number => f.write_str("number"),
            Self::Text => f.write_str("string"),
            Self::Formatted { base, format } => write!(f, "{base} ({format})"),
            Self::OneOf(values) => joined(f, values, " | "),
            Self::List(items) => write!(f, "[{items}]"),
            Self::Tuple(items) => {
                f.write_str("(")?;
                joined(f, items, ", ")?;
                f.write_str(")")
            }
            Self::Object { fields, other } => {
                let fields = fields.iter().map(|(name, field)| {
                    format!("{name}{}: {}", if field.is_required { "" } else { "?" }, field.shape)
                });
                let other = match other {
                    OtherFields::Ignored => None,
                    OtherFields::Refused => Some("no other".to_owned()),
                    OtherFields::Shaped(shape) => Some(format!("*: {shape}")),
                };
                f.write_str("{")?;
                joined(f, fields.chain(other), ", ")?;
                f.write_str("}")
            }
            Self::Union(members) => joined(f, members, " | "),
            Self::Outer(objects) => write!(f, "^{objects}"),
        }
    }
}

fn joined<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: impl IntoIterator<Item = T>,
    between: &str,
) -> fmt::Result {
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        part.fmt(f)?;
    }
    Ok(())
}
