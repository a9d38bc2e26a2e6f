//! The types of a schema, with the names resolved.

use serde_json::Value;

/// The named types of a schema.
#[derive(Debug)]
pub(super) struct Types(pub(super) Vec<Type>);

/// A type.
#[derive(Debug)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Array(Box<Self>),
    Map(Box<Self>),
    Union(Vec<Self>),
    Enum(Vec<String>),
    Record(Vec<Field>),
    /// A named type, by its number.
    Named(usize),
    Date,
    TimeOfDay(Unit),
    Timestamp(Unit),
    LocalTimestamp(Unit),
    Decimal(Decimal),
    BigDecimal,
    Uuid(UuidForm),
    Duration,
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) default: Option<Value>,
    pub(super) of: Type,
}

/// What a number of a time counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// A decimal number of a fixed scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    pub(super) precision: usize,
    pub(super) scale: usize,
    /// The number of bytes; `None` if each number says it.
    pub(super) size: Option<usize>,
}

/// How a UUID is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum UuidForm {
    Text,
    Bytes,
    Fixed,
}

impl Types {
    /// Returns the type itself of a name.
    pub(super) fn resolved<'a>(&'a self, mut of: &'a Type) -> &'a Type {
        while let Type::Named(number) = of {
            of = &self.0[*number];
        }
        of
    }
}

impl Type {
    /// Returns the type as an error names it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes in base64",
            Self::Text => "text",
            Self::Fixed(_) => "fixed in base64",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Enum(_) => "enum",
            Self::Record(_) | Self::Named(_) => "record",
            Self::Date => "date like 2026-01-31",
            Self::TimeOfDay(_) => "time like 23:59:59",
            Self::Timestamp(_) => "timestamp like 2026-01-31T23:59:59Z",
            Self::LocalTimestamp(_) => "local timestamp like 2026-01-31T23:59:59",
            Self::Decimal(_) | Self::BigDecimal => "decimal like \"12.50\"",
            Self::Uuid(_) => "uuid",
            Self::Duration => "duration of months, days and milliseconds",
        }
    }
}
