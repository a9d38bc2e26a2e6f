//! A sample of an event, from its schema.

use serde_json::{Map, Value, json};

use super::plain_values::{number, text};

/// Deeper values are left out: a stack has an end.
const MAX_DEPTH: usize = 32;

/// Returns the first of the schema's examples that is valid, otherwise a value that is made from the schema; `None` if that one is not
/// valid, because of a pattern for instance.
pub(super) fn of(schema: &Value) -> Option<Value> {
    let validator = jsonschema::validator_for(schema).ok()?;
    let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
    let made = || Sample { root: schema, open: Vec::new() }.made(schema.as_object()?);
    examples.cloned().chain(made()).find(|value| validator.is_valid(value))
}

/// A value in the making.
struct Sample<'a> {
    root: &'a Value,
    /// The references that lead to where it is: one that is there already leads on without end.
    open: Vec<&'a str>,
}

impl<'a> Sample<'a> {
    /// Returns a value for a schema; `None` if it has no end, or allows nothing.
    fn of(&mut self, schema: &'a Value) -> Option<Value> {
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
        if self.open.contains(&path) || self.open.len() > MAX_DEPTH {
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
        match item {
            Some(item) => Some(Value::Array(vec![item; usize::try_from(least.clamp(1, 100)).unwrap_or(1)])),
            None => (least == 0).then(|| json!([])),
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

fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (one, _) => one,
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
            object(json!({"self": {"$ref": "#"}})),
            object(json!({"id": {"type": "integer", "minimum": 3, "maximum": 1}})),
        ] {
            assert_eq!(of(&schema), None, "{schema}");
        }
    }
}
