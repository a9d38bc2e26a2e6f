//! Compares the shapes of two programs.

use std::collections::BTreeSet;
use std::fmt;

use super::compatibility::Compatibility;
use super::reading_check::field_path;
use super::shape::{Field, OtherFields, Shape};

/// One place at which two shapes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The place, such as `customer.lines[].pence`; empty for the whole value.
    pub path: String,
    /// What the first shape has there, or `None` without such a field.
    pub stored: Option<String>,
    /// What the second shape has there, or `None` without such a field.
    pub given: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the value" } else { &*self.path };
        match (&self.stored, &self.given) {
            (Some(stored), Some(given)) => write!(f, "{path} is {stored} there and {given} here"),
            (Some(stored), None) => write!(f, "{path} is {stored} there and missing here"),
            (None, Some(given)) => write!(f, "{path} is missing there and {given} here"),
            (None, None) => f.write_str(path),
        }
    }
}

/// Returns where two shapes differ, in the order of their fields; nothing for equal shapes.
///
/// ```
/// use messagekit_schema::{Shape, differences};
/// use serde_json::json;
///
/// let object = |fields| Shape::of_schema(&json!({"type": "object", "properties": fields}));
/// let (stored, given) = (object(json!({"n": {"type": "integer"}}))?, object(json!({"n": {"type": "string"}}))?);
/// assert_eq!(differences(&stored, &given)[0].to_string(), "n is integer there and string here");
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn differences(stored: &Shape, given: &Shape) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(stored, given, "", &mut found);
    found
}

fn compare(stored: &Shape, given: &Shape, path: &str, found: &mut Vec<Difference>) {
    match (stored, given) {
        _ if stored == given => {}
        (Shape::List(stored), Shape::List(given)) => compare(stored, given, &format!("{path}[]"), found),
        (Shape::Tuple(stored), Shape::Tuple(given)) if stored.len() == given.len() => {
            for (index, (stored, given)) in stored.iter().zip(given).enumerate() {
                compare(stored, given, &format!("{path}[{index}]"), found);
            }
        }
        (Shape::Object { fields: stored, other: others }, Shape::Object { fields: given, other }) => {
            let names: BTreeSet<&String> = stored.keys().chain(given.keys()).collect();
            for name in names {
                let path = field_path(path, name);
                match (stored.get(name), given.get(name)) {
                    (Some(stored), Some(given)) if stored.is_required == given.is_required => {
                        compare(&stored.shape, &given.shape, &path, found);
                    }
                    (stored, given) => found.push(Difference {
                        path,
                        stored: stored.map(in_words),
                        given: given.map(in_words),
                    }),
                }
            }
            match (others, other) {
                (OtherFields::Shaped(stored), OtherFields::Shaped(given)) => {
                    compare(stored, given, &format!("{path}.*"), found);
                }
                _ if others == other => {}
                _ => found.push(Difference {
                    path: format!("{path}.*").trim_start_matches('.').to_owned(),
                    stored: Some(other_in_words(others)),
                    given: Some(other_in_words(other)),
                }),
            }
        }
        _ => found.push(Difference {
            path: path.to_owned(),
            stored: Some(stored.to_string()),
            given: Some(given.to_string()),
        }),
    }
}

fn in_words(field: &Field) -> String {
    if field.is_required { field.shape.to_string() } else { format!("optional {}", field.shape) }
}

fn other_in_words(other: &OtherFields) -> String {
    match other {
        OtherFields::Ignored => "ignored".to_owned(),
        OtherFields::Refused => "refused".to_owned(),
        OtherFields::Shaped(shape) => shape.to_string(),
    }
}

/// Returns whether programs of both shapes read what the other one writes: fields that only one of them has are optional there and
/// ignored by the other, and the rest is equal in effect.
pub fn is_compatible(stored: &Shape, given: &Shape) -> bool {
    Compatibility::Full.check(stored, given).is_empty()
}
