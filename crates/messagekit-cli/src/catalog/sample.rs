//! A sample of an event, from its schema.

use serde_json::{Map, Value, json};

use super::limits::Limits;
use super::plain_values::{merged, number, size, text};

/// The most parts of a list whose schema asks for many.
const MAX_SIZE: usize = 1_000;

/// Returns the first of the schema's examples that is valid, otherwise a value that is made from the schema; `None` if that one is not
/// valid, because of a pattern for instance.
pub(super) fn of(schema: &Value) -> Option<Value> {
    let validator = jsonschema::validator_for(schema).ok()?;
    let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
    let made =
        || Sample { root: schema, open: Vec::new(), limits: Limits::default() }.made(schema.as_object()?);
    examples.cloned().chain(made()).find(|value| validator.is_valid(value))
}

/// A value in the making.
struct Sample<'a> {
    root: &'a Value,
    /// The references that lead to where it is: one that is there already leads on without end.
    open: Vec<&'a str>,
    limits: Limits,
}

impl<'a> Sample<'a> {
    /// Returns a value for a schema; `None` if it has no end, or allows nothing.
    fn of(&mut self, schema: &'a Value) -> Option<Value> {
        let value = if self.limits.enter() { self.inside(schema) } else { None };
        self.limits.leave();
        value
    }

    fn inside(&mut self, schema: &'a Value) -> Option<Value> {
        let fields = match schema {
            Value::Bool(true) => return Some(json!({})),
            Value::Object(fields) => fields,
            _ => return None,
        };
        let given = |name: &str| fields.get(name).and_then(Value::as_array).and_then(|values| values.first());
        let written = fields.get("default").filter(|value| !value.is_null());
        if let Some(value) = given("examples").or(fields.get("const")).or(given("enum")).or(written) {
            return Some(value.clone());
        }
        self.made(fields)
    }

    /// Returns a value without a look at those that the schema names itself.
    fn made(&mut self, fields: &'a Map<String, Value>) -> Option<Value> {
        let mut parts = Vec::new();
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            parts.push(self.referenced(reference)?);
        }
        for name in ["oneOf", "anyOf"] {
            if let Some(Value::Array(members)) = fields.get(name) {
                parts.push(self.member(members)?);
            }
        }
        if let Some(Value::Array(all)) = fields.get("allOf") {
            for part in all {
                parts.push(self.of(part)?);
            }
        }
        if parts.is_empty() || fields.contains_key("properties") {
            parts.push(self.plain(fields)?);
        }
        parts.into_iter().reduce(merged)
    }

    fn referenced(&mut self, reference: &'a str) -> Option<Value> {
        let path = reference.strip_prefix('#')?;
        if self.open.contains(&path) {
            return None;
        }
        let target = if path.is_empty() { self.root } else { self.root.pointer(path)? };
        self.open.push(path);
        let value = self.of(target);
        self.open.pop();
        value
    }

    /// Returns a value of the first member that has one, and null only if no other has.
    fn member(&mut self, members: &'a [Value]) -> Option<Value> {
        let (null, others): (Vec<&Value>, Vec<&Value>) =
            members.iter().partition(|member| member.get("type").is_some_and(|kind| kind == "null"));
        others.into_iter().chain(null).find_map(|member| self.of(member))
    }

    fn plain(&mut self, fields: &'a Map<String, Value>) -> Option<Value> {
        let kind = match fields.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(Value::Array(kinds)) => {
                let mut names = kinds.iter().filter_map(Value::as_str);
                names.find(|kind| *kind != "null").unwrap_or("null")
            }
            _ => "object",
        };
        match kind {
            "null" => Some(Value::Null),
            "boolean" => Some(Value::Bool(true)),
            "integer" | "number" => number(fields, kind == "integer"),
            "string" => Some(Value::String(text(fields))),
            "array" => self.list(fields),
            _ => self.object(fields),
        }
    }

    fn list(&mut self, fields: &'a Map<String, Value>) -> Option<Value> {
        let positions =
            fields.get("prefixItems").or_else(|| fields.get("items").filter(|items| items.is_array()));
        if let Some(Value::Array(positions)) = positions {
            return positions
                .iter()
                .map(|position| self.of(position))
                .collect::<Option<Vec<_>>>()
                .map(Value::Array);
        }
        let least = fields.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let item = match fields.get("items") {
            Some(items) => self.of(items),
            None => Some(json!({})),
        };
        let count = usize::try_from(least.max(1)).ok()?;
        match item {
            Some(item) if count.saturating_mul(size(&item)) <= MAX_SIZE => {
                Some(Value::Array(vec![item; count]))
            }
            _ => (least == 0).then(|| json!([])),
        }
    }

    fn object(&mut self, fields: &'a Map<String, Value>) -> Option<Value> {
        let required: Vec<&str> = fields
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = fields.get("properties").and_then(Value::as_object);
        let mut object = Map::new();
        for (name, property) in properties.into_iter().flatten() {
            match self.of(property) {
                Some(value) => _ = object.insert(name.clone(), value),
                None if required.contains(&name.as_str()) => return None,
                None => {}
            }
        }
        // A map: one of its values says more than none.
        if object.is_empty()
            && let Some(values @ Value::Object(_)) = fields.get("additionalProperties")
            && let Some(value) = self.of(values)
        {
            object.insert("key".to_owned(), value);
        }
        Some(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(properties: Value) -> Value {
        let names: Vec<&String> = properties.as_object().unwrap().keys().collect();
        json!({"type": "object", "required": names, "properties": properties})
    }

    #[test]
    fn a_sample_is_made_from_the_schema_and_valid() {
        let schema = json!({
            "type": "object",
            "required": ["id", "lines", "payment", "tree", "at", "share", "pair"],
            "properties": {
                "id": {"type": "string", "minLength": 9, "maxLength": 12},
                "at": {"type": "string", "format": "date-time"},
                "count": {"type": "integer", "minimum": 10, "multipleOf": 4},
                "share": {"type": "number", "exclusiveMaximum": 1},
                "below": {"type": ["null", "integer"], "maximum": -3},
                "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
                "lines": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/Line"}},
                "pair": {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": "x"}], "items": false, "minItems": 2},
                "payment": {"oneOf": [{"$ref": "#/$defs/Card"}, object(json!({"cash": {"type": "integer"}}))]},
                "tree": {"$ref": "#/$defs/Tree"},
                "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                "status": {"enum": ["open", "closed"]},
            },
            "$defs": {
                "Line": object(json!({"pence": {"type": "integer", "minimum": 0, "format": "uint32"}})),
                "Card": object(json!({"number": {"type": "string"}})),
                "Tree": {"type": "object", "required": ["children"], "properties": {
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                    "parent": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]}}},
            },
        });
        let sample = of(&schema).expect("it can be made");
        assert_eq!(sample["count"], 12, "the first from the bound on: {sample}");
        assert_eq!(sample["payment"], json!({"number": "text"}), "{sample}");
        assert_eq!(sample["tree"], json!({"children": [], "parent": null}), "{sample}");
        assert_eq!(sample["note"], "text");
        assert_eq!(sample["lines"], json!([{"pence": 1}, {"pence": 1}]));
    }

    #[test]
    fn an_example_of_the_schema_comes_first_if_it_is_valid() {
        let mut schema = object(json!({"id": {"type": "string"}}));
        schema["examples"] = json!([{"id": 7}, {"id": "o-1"}]);
        assert_eq!(of(&schema), Some(json!({"id": "o-1"})));
        schema["examples"] = json!([{"id": 7}]);
        assert_eq!(of(&schema), Some(json!({"id": "text"})));
        let field = object(json!({"id": {"type": "string", "pattern": "^o-[0-9]+$", "examples": ["o-7"]}}));
        assert_eq!(of(&field), Some(json!({"id": "o-7"})), "examples of a field count, too");
    }

    #[test]
    fn no_sample_is_better_than_one_that_is_not_valid() {
        for schema in [
            object(json!({"id": {"type": "string", "pattern": "^o-[0-9]+$"}})),
            object(json!({"id": false})),
            object(json!({"self": {"$ref": "#/$defs/none"}})),
            object(
                json!({"list": {"type": "array", "minItems": 5_000_000_000_u64, "items": {"type": "string"}}}),
            ),
            object(json!({"id": {"type": "integer", "minimum": 3, "maximum": 1}})),
        ] {
            assert_eq!(of(&schema), None, "{schema}");
        }
    }
    #[test]
    fn a_schema_that_doubles_with_each_level_ends() {
        let mut definitions = serde_json::Map::new();
        for level in 0..60 {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            definitions
                .insert(level.to_string(), json!({"type": "object", "properties": {"a": next, "b": next}}));
        }
        definitions.insert("60".to_owned(), json!({"type": "string"}));
        let schema = json!({"$ref": "#/$defs/0", "$defs": definitions});
        let mut sample = Sample { root: &schema, open: Vec::new(), limits: Limits::default() };
        let value = sample.of(&schema).expect("what is left out is optional");
        assert!(size(&value) < 30_000);
    }
}
