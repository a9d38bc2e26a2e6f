//! Writes JSON as Avro data.

use serde_json::{Map, Value};

use super::bounds::MAX_DEPTH;
use super::fault::{Fault, fault};
use super::scalar::{put_bytes, put_long, scalar};
use super::types::{Field, Type, Types};
use super::union::{branch_of, null_branch};

pub(super) fn write(types: &Types, root: &Type, value: &Value) -> Result<Vec<u8>, Fault> {
    let mut writer = Writer { types, data: Vec::with_capacity(256), is_default: false };
    writer.value(root, value, 0)?;
    Ok(writer.data)
}

struct Writer<'a> {
    types: &'a Types,
    data: Vec<u8>,
    /// Defaults of a schema write bytes as text, a character per byte.
    is_default: bool,
}

impl<'a> Writer<'a> {
    fn value(&mut self, of: &'a Type, value: &Value, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(fault(format!("value is nested deeper than {MAX_DEPTH} levels")));
        }
        let of = self.types.resolved(of);
        match (of, value) {
            (Type::Record(fields), Value::Object(object)) => self.record(fields, object, depth),
            (Type::Array(items), Value::Array(values)) => self.array(items, values, depth),
            (Type::Map(values), Value::Object(object)) => self.map(values, object, depth),
            (Type::Union(branches), _) => {
                let branch = branch_of(self.types, branches, value, self.is_default)
                    .ok_or_else(|| fault("value fits no branch of the union"))?;
                put_long(&mut self.data, i64::try_from(branch).expect("a union has few branches"));
                self.value(&branches[branch], value, depth + 1)
            }
            _ => {
                let bytes = scalar(of, value, self.is_default);
                self.data.extend(bytes.ok_or_else(|| fault(format!("value is no {}", of.name())))?);
                Ok(())
            }
        }
    }

    fn record(
        &mut self,
        fields: &'a [Field],
        object: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), Fault> {
        let unknown = object.keys().find(|name| fields.iter().all(|field| field.name != **name));
        if let Some(name) = unknown {
            return Err(fault("schema does not have the field, which would be lost").within(name));
        }
        for field in fields {
            let written = match (object.get(&field.name), &field.default) {
                (Some(value), _) => self.value(&field.of, value, depth + 1),
                (None, Some(default)) => self.default(field, default, depth),
                (None, None) => match null_branch(self.types, &field.of) {
                    Some(branch) => {
                        put_long(&mut self.data, i64::try_from(branch).expect("a union has few branches"));
                        Ok(())
                    }
                    None => Err(fault("field is absent, and the schema has no default for it")),
                },
            };
            written.map_err(|fault| fault.within(&field.name))?;
        }
        Ok(())
    }

    fn default(&mut self, field: &'a Field, default: &Value, depth: usize) -> Result<(), Fault> {
        let before = std::mem::replace(&mut self.is_default, true);
        let written = self.value(&field.of, default, depth + 1);
        self.is_default = before;
        written
    }

    fn array(&mut self, items: &'a Type, values: &[Value], depth: usize) -> Result<(), Fault> {
        if !values.is_empty() {
            put_long(&mut self.data, i64::try_from(values.len()).expect("memory is smaller"));
        }
        for (number, value) in values.iter().enumerate() {
            self.value(items, value, depth + 1).map_err(|fault| fault.within(number.to_string()))?;
        }
        self.data.push(0);
        Ok(())
    }

    fn map(&mut self, values: &'a Type, object: &Map<String, Value>, depth: usize) -> Result<(), Fault> {
        if !object.is_empty() {
            put_long(&mut self.data, i64::try_from(object.len()).expect("memory is smaller"));
        }
        for (name, value) in object {
            put_bytes(&mut self.data, name.as_bytes());
            // The name is data.
            self.value(values, value, depth + 1).map_err(|fault| fault.within("*"))?;
        }
        self.data.push(0);
        Ok(())
    }
}
