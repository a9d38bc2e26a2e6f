//! Reads Avro data as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::bounds::{MAX_DEPTH, max_json};
use super::cursor::Cursor;
use super::fault::{Fault, fault};
use super::types::{Field, Type, Types, Unit, UuidForm};
use super::{decimal, times};

/// Reads one value, which takes all bytes.
pub(super) fn read(types: &Types, root: &Type, data: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut reader = Reader {
        types,
        data: Cursor::new(data),
        json: Vec::with_capacity(data.len() * 2),
        max_json: max_json(data.len()),
    };
    reader.value(root, 0)?;
    match reader.data.is_empty() {
        true => Ok(reader.json),
        false => Err(fault("bytes are left after the value: it was written with another schema")),
    }
}

struct Reader<'a> {
    types: &'a Types,
    data: Cursor<'a>,
    json: Vec<u8>,
    max_json: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, of: &'a Type, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(fault(format!("value is nested deeper than {MAX_DEPTH} levels")));
        }
        if self.json.len() > self.max_json {
            return Err(fault(format!("value is larger than {} bytes as JSON", self.max_json)));
        }
        match of {
            Type::Named(_) => return self.value(self.types.resolved(of), depth),
            Type::Record(fields) => return self.record(fields, depth),
            Type::Array(items) => return self.array(items, depth),
            Type::Map(values) => return self.map(values, depth),
            Type::Union(branches) => {
                let branch = usize::try_from(self.data.long()?).ok().and_then(|number| branches.get(number));
                return self.value(branch.ok_or_else(|| fault("union has no such branch"))?, depth + 1);
            }
            _ => {}
        }
        self.scalar(of)
    }

    fn scalar(&mut self, of: &Type) -> Result<(), Fault> {
        match of {
            Type::Boolean => match self.data.array()? {
                [0] => self.put(&false),
                [1] => self.put(&true),
                _ => return Err(fault("boolean is neither 0 nor 1")),
            },
            Type::Int => {
                let number = self.data.int()?;
                self.put(&number);
            }
            Type::Long => {
                let number = self.data.long()?;
                self.put(&number);
            }
            Type::Float => {
                let number = f32::from_le_bytes(self.data.array()?);
                self.float(&number, f64::from(number));
            }
            Type::Double => {
                let number = f64::from_le_bytes(self.data.array()?);
                self.float(&number, number);
            }
            Type::Text => {
                let text = self.data.text()?;
                self.put(text);
            }
            Type::Enum(symbols) => {
                let symbol = usize::try_from(self.data.int()?).ok().and_then(|number| symbols.get(number));
                self.put(symbol.ok_or_else(|| fault("enum has no such symbol"))?);
            }
            Type::Duration => self.duration()?,
            Type::Null => self.json.extend_from_slice(b"null"),
            _ => {
                let text = self.text_of(of)?;
                self.put(&text);
            }
        }
        Ok(())
    }

    /// Reads a value that is a text in JSON alone.
    fn text_of(&mut self, of: &Type) -> Result<String, Fault> {
        let data = &mut self.data;
        match of {
            Type::Bytes => Ok(STANDARD.encode(data.bytes()?)),
            Type::Fixed(size) => Ok(STANDARD.encode(data.take(*size)?)),
            Type::Uuid(UuidForm::Text) => data.text().map(str::to_owned),
            Type::Uuid(UuidForm::Bytes) => uuid(data.bytes()?),
            Type::Uuid(UuidForm::Fixed) => uuid(data.take(16)?),
            Type::Decimal(of) => {
                let bytes = match of.size {
                    Some(size) => data.take(size)?,
                    None => data.bytes()?,
                };
                decimal::read(bytes, i64::try_from(of.scale).unwrap_or(i64::MAX))
            }
            Type::BigDecimal => {
                let mut inner = Cursor::new(data.bytes()?);
                let (bytes, scale) = (inner.bytes()?, inner.long()?);
                decimal::read(bytes, scale)
            }
            Type::Date => times::date(data.int()?),
            Type::TimeOfDay(unit @ Unit::Milliseconds) => times::time_of_day(i64::from(data.int()?), *unit),
            Type::TimeOfDay(unit) => times::time_of_day(data.long()?, *unit),
            Type::Timestamp(unit) => times::timestamp(data.long()?, *unit),
            Type::LocalTimestamp(unit) => times::local(data.long()?, *unit),
            _ => Err(fault(format!("a {} is not read alone", of.name()))),
        }
    }

    fn put<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.json, value).expect("texts and numbers are JSON");
    }

    /// Writes a number, or the name of one that JSON does not have.
    fn float<T: Serialize>(&mut self, number: &T, value: f64) {
        match value {
            _ if value.is_finite() => self.put(number),
            _ if value.is_nan() => self.put("NaN"),
            _ if value > 0.0 => self.put("Infinity"),
            _ => self.put("-Infinity"),
        }
    }

    fn duration(&mut self) -> Result<(), Fault> {
        let mut number = || Ok(u32::from_le_bytes(self.data.array()?));
        let (months, days, milliseconds) = (number()?, number()?, number()?);
        let text = format!(r#"{{"months":{months},"days":{days},"milliseconds":{milliseconds}}}"#);
        self.json.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn record(&mut self, fields: &'a [Field], depth: usize) -> Result<(), Fault> {
        self.json.push(b'{');
        for (number, field) in fields.iter().enumerate() {
            if number > 0 {
                self.json.push(b',');
            }
            self.put(&field.name);
            self.json.push(b':');
            self.value(&field.of, depth + 1).map_err(|fault| fault.within(&field.name))?;
        }
        self.json.push(b'}');
        Ok(())
    }

    fn array(&mut self, items: &'a Type, depth: usize) -> Result<(), Fault> {
        self.json.push(b'[');
        let mut number = 0_u64;
        loop {
            let block = self.data.block()?;
            if block == 0 {
                break;
            }
            for _ in 0..block {
                if number > 0 {
                    self.json.push(b',');
                }
                self.value(items, depth + 1).map_err(|fault| fault.within(number.to_string()))?;
                number += 1;
            }
        }
        self.json.push(b']');
        Ok(())
    }

    fn map(&mut self, values: &'a Type, depth: usize) -> Result<(), Fault> {
        self.json.push(b'{');
        let mut is_first = true;
        loop {
            let block = self.data.block()?;
            if block == 0 {
                break;
            }
            for _ in 0..block {
                if !is_first {
                    self.json.push(b',');
                }
                is_first = false;
                let name = self.data.text()?;
                self.put(name);
                self.json.push(b':');
                // The name is data.
                self.value(values, depth + 1).map_err(|fault| fault.within("*"))?;
            }
        }
        self.json.push(b'}');
        Ok(())
    }
}

fn uuid(bytes: &[u8]) -> Result<String, Fault> {
    let uuid = uuid::Uuid::from_slice(bytes).map_err(|_| fault("uuid does not have 16 bytes"))?;
    Ok(uuid.to_string())
}
