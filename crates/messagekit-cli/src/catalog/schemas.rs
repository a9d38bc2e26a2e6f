//! JSON Schemas as parts of an AsyncAPI document, whose schemas are those of draft 7 and whose references start at its root.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value, json};

use super::names::plain;

/// The schemas of a document, by their names in `components/schemas`.
pub(super) type Schemas = BTreeMap<String, Value>;

/// Keywords whose value is a schema.
const SCHEMA: [&str; 11] = [
    "additionalProperties",
    "additionalItems",
    "items",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value has a schema for each of its names.
const MAPS: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
/// Keywords that would give references another root, or hold what is moved.
const MOVED: [&str; 5] = ["$schema", "$id", "$anchor", "$defs", "definitions"];
/// Keywords that say nothing of the data: draft 7 passes over them beside a reference.
const NOTES: [&str; 7] =
    ["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"];

/// Adds a schema as `name`, and each part of it that it refers to under a name that begins so. It takes fields `beside` its own, whatever it says
/// of other fields.
pub(super) fn add(schemas: &mut Schemas, name: &str, schema: &Value, beside: &[&str]) {
    let mut moving = Moving { name, waiting: Vec::new() };
    let mut root = moving.schema(schema);
    let is_closed = root.get("additionalProperties").is_some_and(|others| *others != Value::Bool(true));
    if is_closed
        && let Some(fields) = root.as_object_mut()
        && let Some(own) = fields.entry("properties").or_insert_with(|| json!({})).as_object_mut()
    {
        own.extend(beside.iter().map(|name| ((*name).to_owned(), Value::Bool(true))));
    }
    schemas.insert(name.to_owned(), root);
    while let Some(pointer) = moving.waiting.pop() {
        if let Entry::Vacant(part) = schemas.entry(moving.named(&pointer)) {
            let target = schema.pointer(&pointer).unwrap_or(&Value::Bool(true));
            part.insert(moving.schema(target));
        }
    }
}

/// Returns a reference to a schema of the document.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

struct Moving<'a> {
    name: &'a str,
    /// The pointers of references that were seen.
    waiting: Vec<String>,
}

impl Moving<'_> {
    fn named(&self, pointer: &str) -> String {
        if pointer.is_empty() {
            return self.name.to_owned();
        }
        let definition = pointer.strip_prefix("/$defs/").filter(|name| !name.contains('/'));
        match definition {
            Some(definition) => format!("{}_d{}", self.name, plain(definition)),
            None => format!("{}_p{}", self.name, plain(pointer)),
        }
    }

    fn schema(&mut self, schema: &Value) -> Value {
        let Value::Object(fields) = schema else { return schema.clone() };
        let mut moved = Map::new();
        for (keyword, value) in fields {
            let name = keyword.as_str();
            if MOVED.contains(&name) || name == "$ref" {
                continue;
            }
            // What Pydantic writes there is no name of a field.
            if matches!(name, "discriminator" | "externalDocs") {
                continue;
            }
            moved.insert(keyword.clone(), self.keyword(name, value));
        }
        older_tuple(&mut moved);
        let Some(pointer) =
            fields.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'))
        else {
            return Value::Object(moved);
        };
        self.waiting.push(pointer.to_owned());
        let reference = reference(&self.named(pointer));
        if moved.keys().all(|keyword| NOTES.contains(&keyword.as_str())) {
            moved.extend(reference.as_object().cloned().unwrap_or_default());
            return Value::Object(moved);
        }
        json!({ "allOf": [reference, Value::Object(moved)] })
    }

    fn keyword(&mut self, keyword: &str, value: &Value) -> Value {
        match value {
            Value::Object(named) if MAPS.contains(&keyword) => named
                .iter()
                .map(|(name, schema)| (name.clone(), self.schema(schema)))
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(list) if LISTS.contains(&keyword) || keyword == "items" => {
                list.iter().map(|schema| self.schema(schema)).collect()
            }
            Value::Object(_) if SCHEMA.contains(&keyword) => self.schema(value),
            // Values, such as those of `const` and `examples`, may look like schemas.
            _ => value.clone(),
        }
    }
}

/// Writes a tuple as draft 7 does.
fn older_tuple(fields: &mut Map<String, Value>) {
    let Some(positions) = fields.remove("prefixItems") else { return };
    let others = fields.remove("items");
    if positions.as_array().is_some_and(|positions| !positions.is_empty()) {
        fields.insert("items".to_owned(), positions);
        fields.extend(others.map(|others| ("additionalItems".to_owned(), others)));
    } else {
        fields.extend(others.map(|others| ("items".to_owned(), others)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_part_of_the_document() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://example.org/order",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "line": {"$ref": "#/$defs/Line", "description": "what was ordered"},
                "$ref": {"type": "string"},
                "same": {"$ref": "#/properties/line"},
                "old": {"$ref": "#/definitions/Line"},
                "self": {"$ref": "#"},
                "pair": {"prefixItems": [{"$ref": "#/$defs/A b"}], "items": false},
                "flat": {"$ref": "#/$defs/Line", "properties": {"n": {"type": "integer"}}},
                "text": {"const": {"$ref": "#/nowhere"}},
            },
            "definitions": {"Line": {"type": "integer"}},
            "$defs": {"Line": {"type": "object", "properties": {"up": {"$ref": "#/$defs/Line"}}}, "A b": true, "Unused": {}},
        });
        let mut schemas = Schemas::new();
        add(&mut schemas, "order", &schema, &["eventId"]);
        let names: Vec<&str> = schemas.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "order",
                "order_d_41_20b",
                "order_d_4cine",
                "order_p_2fdefinitions_2f_4cine",
                "order_p_2fproperties_2fline"
            ]
        );
        let order = &schemas["order"];
        let line = "#/components/schemas/order_d_4cine";
        assert_eq!(order["properties"]["line"], json!({"$ref": line, "description": "what was ordered"}));
        assert_eq!(order["properties"]["$ref"], json!({"type": "string"}), "a field may have any name");
        assert_eq!(order["properties"]["self"], json!({"$ref": "#/components/schemas/order"}));
        assert_eq!(order["properties"]["flat"]["allOf"][0], json!({"$ref": line}));
        assert_eq!(
            order["properties"]["pair"],
            json!({"items": [{"$ref": "#/components/schemas/order_d_41_20b"}], "additionalItems": false})
        );
        assert_eq!(
            order["properties"]["text"],
            json!({"const": {"$ref": "#/nowhere"}}),
            "a value is no schema"
        );
        assert_eq!(schemas["order_d_4cine"]["properties"]["up"], json!({"$ref": line}));
        assert_eq!(
            (&order["properties"]["eventId"], &order["additionalProperties"]),
            (&json!(true), &json!(false))
        );
        assert!(["$id", "$schema", "$defs", "definitions"].iter().all(|word| order.get(word).is_none()));
    }
}
