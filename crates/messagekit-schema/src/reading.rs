//! Reads a JSON Schema, of any draft from 6 to 2020-12, as schemars and Pydantic write them.

use std::collections::BTreeMap;

use messagekit::{Error, ErrorKind};
use serde_json::{Map, Value};

use super::canonical;
use super::shape::{Field, OtherFields, Shape};

/// Deeper schemas are refused: a stack has an end.
const MAX_DEPTH: usize = 64;
/// Larger schemas are refused: references that are used twice at each level double with each.
const MAX_PARTS: usize = 20_000;

impl Shape {
    /// Returns the shape that a JSON Schema describes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if it is no schema, refers to a definition that it does not have, contains itself without
    /// an object in between, or is nested too deep.
    pub fn of_schema(schema: &Value) -> Result<Self, Error> {
        Reading::of(schema, false)
    }

    /// Returns the shape that a JSON Schema describes, with the formats of texts and numbers.
    ///
    /// # Errors
    /// As [`of_schema`](Self::of_schema).
    pub fn with_formats(schema: &Value) -> Result<Self, Error> {
        Reading::of(schema, true)
    }
}

struct Reading<'a> {
    root: &'a Value,
    /// The definitions whose objects are open, the outermost first; `None` for an object without a name.
    objects: Vec<Option<&'a str>>,
    depth: usize,
    parts: usize,
    /// Whether the shape is for a comparison of what is written with what is read, in which more of a schema counts.
    has_formats: bool,
}

fn refused(text: &'static str) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, text)
}

impl<'a> Reading<'a> {
    fn of(schema: &'a Value, has_formats: bool) -> Result<Shape, Error> {
        Self { root: schema, objects: Vec::new(), depth: 0, parts: 0, has_formats }.shape(schema)
    }

    fn shape(&mut self, schema: &'a Value) -> Result<Shape, Error> {
        self.named(schema, None)
    }

    /// Reads a schema that stands under a name, so that it can refer to itself.
    fn named(&mut self, schema: &'a Value, name: Option<&'a str>) -> Result<Shape, Error> {
        (self.depth, self.parts) = (self.depth + 1, self.parts + 1);
        if self.parts > MAX_PARTS {
            return Err(refused("schema has too many parts"));
        }
        if self.depth > MAX_DEPTH {
            return Err(refused(
                "schema is nested too deep, or contains itself without an object in between",
            ));
        }
        let shape = match schema {
            Value::Bool(true) => Ok(Shape::Anything),
            Value::Object(schema) => self.object(schema, name),
            _ => Err(refused("schema is neither an object nor `true`")),
        };
        self.depth -= 1;
        shape
    }

    fn object(&mut self, schema: &'a Map<String, Value>, name: Option<&'a str>) -> Result<Shape, Error> {
        if self.has_formats && schema.contains_key("properties") {
            let beside = ["$ref", "anyOf", "oneOf"].into_iter().find_map(|keyword| schema.get(keyword));
            if let Some(beside) = beside {
                return self.flattened(schema, beside, name);
            }
        }
        if let Some(reference) = schema.get("$ref") {
            return self.reference(reference);
        }
        if let Some(value) = schema.get("const") {
            return Ok(Shape::union([Shape::OneOf([canonical::text(value)].into())]));
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            return Ok(Shape::union([Shape::OneOf(values.iter().map(canonical::text).collect())]));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(Value::Array(members)) = schema.get(keyword) {
                let members = members.iter().map(|member| self.shape(member));
                return Ok(Shape::union(members.collect::<Result<Vec<_>, _>>()?));
            }
        }
        if let Some(Value::Array(parts)) = schema.get("allOf") {
            // The usual way to give a reference a description.
            return match &parts[..] {
                [only] => self.shape(only),
                _ => Err(refused("`allOf` of several schemas has no normal form: write one schema")),
            };
        }
        match schema.get("type") {
            Some(Value::String(kind)) => self.of_type(kind, schema, name),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().map(|kind| {
                    let kind = kind
                        .as_str()
                        .ok_or_else(|| refused("`type` is neither a text nor a list of texts"))?;
                    self.of_type(kind, schema, name)
                });
                Ok(Shape::union(kinds.collect::<Result<Vec<_>, _>>()?))
            }
            Some(_) => Err(refused("`type` is neither a text nor a list of texts")),
            None if schema.contains_key("properties") => self.fields(schema, name),
            None => Ok(Shape::Anything),
        }
    }

    /// Reads an object with members, or a reference, beside its own fields: an enum whose tag is among them, or a flattened one.
    fn flattened(
        &mut self,
        schema: &'a Map<String, Value>,
        beside: &'a Value,
        name: Option<&'a str>,
    ) -> Result<Shape, Error> {
        let Shape::Object { fields, other } = self.fields(schema, name)? else {
            return Err(refused("schema of an object has no fields"));
        };
        let members = match beside {
            Value::Array(members) => members.iter().map(|member| self.shape(member)).collect(),
            reference => self.reference(reference).map(|shape| vec![shape]),
        };
        let mut shapes = Vec::new();
        for member in members? {
            shapes.extend(match member {
                Shape::Union(inner) => inner.into_iter().collect(),
                // A flattened value that may be absent.
                Shape::Anything => vec![Shape::Object { fields: BTreeMap::new(), other: other.clone() }],
                one => vec![one],
            });
        }
        for shape in &mut shapes {
            let Shape::Object { fields: more, .. } = shape else {
                return Err(refused("schema has fields beside a value that is no object"));
            };
            more.extend(fields.clone());
        }
        Ok(Shape::union(shapes))
    }

    fn reference(&mut self, reference: &'a Value) -> Result<Shape, Error> {
        let path = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let path = path.ok_or_else(|| refused("`$ref` leads out of the schema"))?;
        let open = self.objects.iter().rev().position(|object| *object == Some(path));
        if let Some(distance) = open {
            return Ok(Shape::Outer(u32::try_from(distance).unwrap_or(u32::MAX)));
        }
        let target = if path.is_empty() { Some(self.root) } else { self.root.pointer(path) };
        let target = target.ok_or_else(|| {
            refused("`$ref` names a definition that the schema does not have").with("reference", path)
        })?;
        self.named(target, Some(path))
    }

    fn of_type(
        &mut self,
        kind: &str,
        schema: &'a Map<String, Value>,
        name: Option<&'a str>,
    ) -> Result<Shape, Error> {
        match kind {
            "null" => Ok(Shape::Null),
            "boolean" => Ok(Shape::Boolean),
            "integer" => Ok(self.formatted(Shape::Integer, schema)),
            "number" => Ok(self.formatted(Shape::Number, schema)),
            "string" => Ok(self.formatted(Shape::Text, schema)),
            "array" => self.list(schema),
            "object" => self.fields(schema, name),
            _ => Err(refused("schema has an unknown type").with("type", kind)),
        }
    }

    fn formatted(&self, base: Shape, schema: &Map<String, Value>) -> Shape {
        match schema.get("format").and_then(Value::as_str).filter(|_| self.has_formats) {
            Some(format) => Shape::Formatted { base: Box::new(base), format: format.to_owned() },
            None => base,
        }
    }

    fn list(&mut self, schema: &'a Map<String, Value>) -> Result<Shape, Error> {
        // Draft 6 to 2019-09 write a tuple as a list under `items`.
        let positions =
            schema.get("prefixItems").or_else(|| schema.get("items").filter(|items| items.is_array()));
        if let Some(Value::Array(positions)) = positions {
            let positions = positions.iter().map(|position| self.shape(position));
            return Ok(Shape::Tuple(positions.collect::<Result<_, _>>()?));
        }
        let items = schema.get("items").map_or(Ok(Shape::Anything), |items| self.shape(items))?;
        Ok(Shape::List(Box::new(items)))
    }

    fn fields(&mut self, schema: &'a Map<String, Value>, name: Option<&'a str>) -> Result<Shape, Error> {
        self.objects.push(name.or_else(|| self.objects.is_empty().then_some("")));
        let required: Vec<&str> = match schema.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut fields = BTreeMap::new();
        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                let shape = self.shape(property)?;
                fields.insert(name.clone(), Field { shape, is_required: required.contains(&&**name) });
            }
        }
        let patterns =
            schema.get("patternProperties").and_then(Value::as_object).filter(|_| self.has_formats);
        let other = match schema.get("additionalProperties") {
            // The keys of a map that are numbers.
            _ if patterns.is_some_and(|patterns| !patterns.is_empty()) => {
                let values = patterns.into_iter().flat_map(Map::values).map(|value| self.shape(value));
                OtherFields::Shaped(Box::new(Shape::union(values.collect::<Result<Vec<_>, _>>()?)))
            }
            // A map of any value, unlike a struct that names no field.
            Some(Value::Bool(true)) if self.has_formats && fields.is_empty() => {
                OtherFields::Shaped(Box::new(Shape::Anything))
            }
            None | Some(Value::Bool(true)) => OtherFields::Ignored,
            Some(Value::Bool(false)) => OtherFields::Refused,
            Some(other) => OtherFields::Shaped(Box::new(self.shape(other)?)),
        };
        self.objects.pop();
        Ok(Shape::Object { fields, other })
    }
}
