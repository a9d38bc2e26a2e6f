//! Fields that a rule of a topic names.

use messagekit::{Error, ErrorKind};
use messagekit_schema::Shape;

/// Checks that a shape has every field, each named once, and returns them sorted.
///
/// A topic without a schema may name any field.
pub(crate) fn checked(
    rule: &'static str,
    fields: &[String],
    shape: Option<&Shape>,
) -> Result<Vec<String>, Error> {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let refused = |text: String, field: &str| {
        Err(Error::new(ErrorKind::InvalidConfiguration, text).with("rule", rule).with("field", field))
    };
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return refused("rule of the topic names a field twice".to_owned(), &pair[0]);
    }
    let known = match shape {
        None => return Ok(sorted),
        Some(Shape::Object { fields, .. }) => fields,
        Some(other) => {
            let text = format!("a topic holds objects, and the type is {other}: use a struct");
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
    };
    match sorted.iter().find(|field| !known.contains_key(*field)) {
        None => Ok(sorted),
        Some(field) => {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            refused(
                format!(
                    "rule of the topic names a field that the type does not have: it has {}",
                    names.join(", ")
                ),
                field,
            )
        }
    }
}
