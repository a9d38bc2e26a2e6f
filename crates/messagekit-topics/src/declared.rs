//! What a program says of the records of a topic.

use messagekit::Error;
use messagekit_schema::Shape;
use messagekit_topic_store::TopicDefinition;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::fields;
use crate::topic::Checks;

pub(crate) enum Declared {
    /// They are values of the Rust type.
    ByType,
    /// They fit this JSON Schema.
    As(Value),
    /// Nothing: the topic keeps its rules.
    Nothing,
}

impl Declared {
    /// Returns a definition with the schema that the program says, and with its rules checked against that.
    pub(crate) fn define<T: JsonSchema>(&self, with: TopicDefinition) -> Result<TopicDefinition, Error> {
        let schema = self.schema::<T>();
        let shape = schema.as_ref().map(Shape::of_schema).transpose()?;
        let dedup = fields::checked("dedup", &with.dedup, shape.as_ref())?;
        fields::checked("key", with.key.as_slice(), shape.as_ref())?;
        let schema = schema.map(|schema| schema.to_string());
        Ok(TopicDefinition { schema, shape: shape.as_ref().map(Shape::encode), dedup, ..with })
    }

    pub(crate) fn checks(&self) -> Checks {
        match self {
            Self::ByType => Checks::Type,
            Self::As(_) => Checks::Caller,
            Self::Nothing => Checks::Schema,
        }
    }

    fn schema<T: JsonSchema>(&self) -> Option<Value> {
        match self {
            Self::ByType => {
                Some(SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value())
            }
            Self::As(schema) => Some(schema.clone()),
            Self::Nothing => None,
        }
    }
}
