//! What a program says of the records of a topic.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

pub(crate) enum Declared {
    /// They are values of the Rust type.
    ByType,
    /// They fit this JSON Schema.
    As(Value),
    /// Nothing: the topic keeps its rules.
    Nothing,
}

impl Declared {
    /// Returns the JSON Schema of the records, if the program says any.
    pub(crate) fn schema<T: JsonSchema>(&self) -> Option<Value> {
        match self {
            Self::ByType => {
                Some(SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value())
            }
            Self::As(schema) => Some(schema.clone()),
            Self::Nothing => None,
        }
    }
}
