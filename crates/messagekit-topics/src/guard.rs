//! Compares the topic of a file with the program's.

use messagekit_schema::{Shape, differences, is_compatible};
use messagekit_topic_store::TopicDefinition;
use serde_json::Value;

use crate::{Error, SchemaMismatch};

/// How much the schema of a topic and that of a program may differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Not at all.
    #[default]
    Exact,
    /// By optional fields that only one of them has.
    Compatible,
    /// In any way. A record that does not fit fails when it is read.
    Off,
}

/// Returns whether the schema of the file should become the program's; fails when the two do not fit.
pub(crate) fn check(guard: Guard, stored: &TopicDefinition, given: &TopicDefinition) -> Result<bool, Error> {
    if stored.dedup != given.dedup {
        let dedup = Some((stored.dedup.clone(), given.dedup.clone()));
        return Err(mismatch(stored, Vec::new(), dedup, None));
    }
    if stored.key != given.key {
        let key = Some((stored.key.clone(), given.key.clone()));
        return Err(mismatch(stored, Vec::new(), None, key));
    }
    // A form of another version of this program is made again from the schema beside it.
    let shape = |definition: &TopicDefinition| -> Result<Option<Shape>, Error> {
        let Some(text) = &definition.shape else { return Ok(None) };
        if let Some(shape) = Shape::decode(text)? {
            return Ok(Some(shape));
        }
        let schema = definition.json_schema()?.unwrap_or(Value::Bool(true));
        Ok(Some(Shape::of_schema(&schema)?))
    };
    match (shape(stored)?, shape(given)?) {
        // A topic without a schema takes any object, and a reader without one reads any.
        (None, None) | (Some(_), None) => Ok(false),
        (None, Some(_)) => Ok(guard != Guard::Off),
        (Some(stored), Some(given)) if stored == given => Ok(false),
        (Some(_), Some(_)) if guard == Guard::Off => Ok(false),
        (Some(theirs), Some(ours)) if guard == Guard::Compatible && is_compatible(&theirs, &ours) => {
            Ok(has_more(&theirs, &ours))
        }
        (Some(theirs), Some(ours)) => Err(mismatch(stored, differences(&theirs, &ours), None, None)),
    }
}

/// Returns whether a compatible shape has fields that the other one lacks.
fn has_more(stored: &Shape, given: &Shape) -> bool {
    differences(stored, given).iter().all(|difference| difference.stored.is_none())
}

fn mismatch(
    stored: &TopicDefinition,
    differences: Vec<messagekit_schema::Difference>,
    dedup: Option<(Vec<String>, Vec<String>)>,
    key: Option<(Option<String>, Option<String>)>,
) -> Error {
    Error::of_mismatch(SchemaMismatch { topic: stored.name.to_string(), differences, dedup, key })
}
