//! Resolves the names of a parsed schema.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, Name, NamespaceRef, RecordSchema, UuidSchema};
use messagekit::{Error, ErrorKind};

use super::types::{Decimal, Field, Type, Types, Unit, UuidForm};

/// Returns the named types of a schema and of those it depends on, and its own type.
pub(super) fn compiled(root: &Schema, dependencies: &[Schema]) -> Result<(Types, Type), Error> {
    let mut compiler = Compiler::default();
    for dependency in dependencies {
        compiler.compile(dependency, None);
    }
    let root = compiler.compile(root, None);
    let absent = compiler.numbers.iter().find(|(_, number)| compiler.found[**number].is_none());
    if let Some((name, _)) = absent {
        let text = format!("schema of Avro uses the name `{name}`, for which there is no schema");
        return Err(Error::new(ErrorKind::InvalidConfiguration, text));
    }
    let cycle = compiler.found.iter().position(|found| matches!(found, Some(Type::Named(_))));
    if cycle.is_some() {
        return Err(Error::new(
            ErrorKind::InvalidConfiguration,
            "schema of Avro has a name that is only a name",
        ));
    }
    Ok((Types(compiler.found.into_iter().flatten().collect()), root))
}

#[derive(Default)]
struct Compiler {
    numbers: HashMap<String, usize>,
    found: Vec<Option<Type>>,
}

impl Compiler {
    /// Returns the number of a name, whose type may follow later.
    fn number_of(&mut self, name: &Name, within: NamespaceRef<'_>) -> usize {
        let next = self.found.len();
        let number = *self.numbers.entry(name.fullname(within)).or_insert(next);
        if number == next {
            self.found.push(None);
        }
        number
    }

    fn named(&mut self, name: &Name, within: NamespaceRef<'_>, of: Type) -> Type {
        let number = self.number_of(name, within);
        self.found[number] = Some(of);
        Type::Named(number)
    }

    fn compile(&mut self, schema: &Schema, within: NamespaceRef<'_>) -> Type {
        match schema {
            Schema::Null => Type::Null,
            Schema::Boolean => Type::Boolean,
            Schema::Int => Type::Int,
            Schema::Long => Type::Long,
            Schema::Float => Type::Float,
            Schema::Double => Type::Double,
            Schema::Bytes => Type::Bytes,
            Schema::String => Type::Text,
            Schema::Array(array) => Type::Array(Box::new(self.compile(&array.items, within))),
            Schema::Map(map) => Type::Map(Box::new(self.compile(&map.types, within))),
            Schema::Union(union) => {
                Type::Union(union.variants().iter().map(|variant| self.compile(variant, within)).collect())
            }
            Schema::Record(record) => self.record(record, within),
            Schema::Enum(of) => self.named(&of.name, within, Type::Enum(of.symbols.clone())),
            Schema::Fixed(fixed) => self.named(&fixed.name, within, Type::Fixed(fixed.size)),
            Schema::Ref { name } => Type::Named(self.number_of(name, within)),
            Schema::Decimal(decimal) => self.decimal(decimal, within),
            Schema::BigDecimal => Type::BigDecimal,
            Schema::Uuid(UuidSchema::String) => Type::Uuid(UuidForm::Text),
            Schema::Uuid(UuidSchema::Bytes) => Type::Uuid(UuidForm::Bytes),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                self.named(&fixed.name, within, Type::Uuid(UuidForm::Fixed))
            }
            Schema::Duration(fixed) => self.named(&fixed.name, within, Type::Duration),
            Schema::Date => Type::Date,
            Schema::TimeMillis => Type::TimeOfDay(Unit::Milliseconds),
            Schema::TimeMicros => Type::TimeOfDay(Unit::Microseconds),
            Schema::TimestampMillis => Type::Timestamp(Unit::Milliseconds),
            Schema::TimestampMicros => Type::Timestamp(Unit::Microseconds),
            Schema::TimestampNanos => Type::Timestamp(Unit::Nanoseconds),
            Schema::LocalTimestampMillis => Type::LocalTimestamp(Unit::Milliseconds),
            Schema::LocalTimestampMicros => Type::LocalTimestamp(Unit::Microseconds),
            Schema::LocalTimestampNanos => Type::LocalTimestamp(Unit::Nanoseconds),
        }
    }

    fn record(&mut self, record: &RecordSchema, within: NamespaceRef<'_>) -> Type {
        let number = self.number_of(&record.name, within);
        let full = record.name.fully_qualified_name(within).into_owned();
        let fields = record.fields.iter().map(|field| Field {
            name: field.name.clone(),
            default: field.default.clone(),
            of: self.compile(&field.schema, full.namespace()),
        });
        let fields = fields.collect();
        self.found[number] = Some(Type::Record(fields));
        Type::Named(number)
    }

    fn decimal(&mut self, decimal: &DecimalSchema, within: NamespaceRef<'_>) -> Type {
        let of = |size| {
            let DecimalSchema { precision, scale, .. } = *decimal;
            Type::Decimal(Decimal { precision, scale, size })
        };
        match &decimal.inner {
            InnerDecimalSchema::Bytes => of(None),
            InnerDecimalSchema::Fixed(fixed) => self.named(&fixed.name, within, of(Some(fixed.size))),
        }
    }
}
