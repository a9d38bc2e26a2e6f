//! The fields of a schema as rows.

use serde_json::{Map, Value};

use super::limits::Limits;

/// One field at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its path, such as `lines[].pence`.
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) is_required: bool,
    pub(super) description: String,
}

/// Returns the fields of a schema, each before those inside of it.
pub(super) fn of(schema: &Value) -> Vec<Row> {
    let mut fields =
        Fields { root: schema, open: vec![("", String::new())], rows: Vec::new(), limits: Limits::default() };
    fields.inside(schema, "");
    fields.rows
}

struct Fields<'a> {
    root: &'a Value,
    /// The references that lead to where it is, each with the path at which it stands.
    open: Vec<(&'a str, String)>,
    rows: Vec<Row>,
    limits: Limits,
}

impl<'a> Fields<'a> {
    /// Adds the fields of the objects in a schema.
    fn inside(&mut self, schema: &'a Value, path: &str) {
        let Value::Object(fields) = schema else { return };
        if self.limits.enter() {
            self.parts(fields, path);
        }
        self.limits.leave();
    }

    fn parts(&mut self, fields: &'a Map<String, Value>, path: &str) {
        if let Some((pointer, target)) = self.target(fields)
            && !self.open.iter().any(|(open, _)| *open == pointer)
        {
            self.open.push((pointer, path.to_owned()));
            self.inside(target, path);
            self.open.pop();
        }
        for part in list(fields, "allOf") {
            self.inside(part, path);
        }
        for name in ["oneOf", "anyOf"] {
            let members: Vec<&Value> = list(fields, name).filter(|member| !is_null(member)).collect();
            for (index, member) in members.iter().enumerate() {
                match members.len() {
                    1 => self.inside(member, path),
                    _ => self.inside(member, &format!("{path}({})", index + 1)),
                }
            }
        }
        if let Some(Value::Object(properties)) = fields.get("properties") {
            for (name, property) in properties {
                let is_required = list(fields, "required").any(|required| required == name);
                self.field(&joined(path, name), property, is_required);
            }
        }
        if let Some(values) = map_values(fields) {
            self.inside(values, &joined(path, "*"));
        }
        match fields.get("prefixItems").or_else(|| fields.get("items")) {
            Some(Value::Array(positions)) => {
                for (index, position) in positions.iter().enumerate() {
                    self.inside(position, &format!("{path}[{index}]"));
                }
            }
            Some(items) => self.inside(items, &format!("{path}[]")),
            None => {}
        }
    }

    fn field(&mut self, path: &str, schema: &'a Value, is_required: bool) {
        let described = |schema: &Value| schema.get("description").and_then(Value::as_str).map(str::to_owned);
        let target = schema.as_object().and_then(|fields| self.target(fields));
        let description = described(schema).or_else(|| target.and_then(|(_, target)| described(target)));
        let (kind, description) = (self.kind(schema), description.unwrap_or_default());
        self.rows.push(Row { path: path.to_owned(), kind, is_required, description });
        self.inside(schema, path);
    }

    fn target(&self, fields: &'a Map<String, Value>) -> Option<(&'a str, &'a Value)> {
        let pointer = fields.get("$ref")?.as_str()?.strip_prefix('#')?;
        Some((pointer, if pointer.is_empty() { self.root } else { self.root.pointer(pointer)? }))
    }

    /// Returns the type of a value in words.
    fn kind(&mut self, schema: &'a Value) -> String {
        let kind = if self.limits.enter() { self.words(schema) } else { "…".to_owned() };
        self.limits.leave();
        kind
    }

    fn words(&mut self, schema: &'a Value) -> String {
        let fields = match schema {
            Value::Object(fields) => fields,
            Value::Bool(false) => return "nothing".to_owned(),
            _ => return "any".to_owned(),
        };
        if let Some((pointer, target)) = self.target(fields) {
            if let Some((_, path)) = self.open.iter().find(|(open, _)| *open == pointer) {
                return if path.is_empty() {
                    "the same as the event".to_owned()
                } else {
                    format!("the same as {path}")
                };
            }
            self.open.push((pointer, "above".to_owned()));
            let kind = self.kind(target);
            self.open.pop();
            return kind;
        }
        if let Some(value) = fields.get("const") {
            return value.to_string();
        }
        let values: Vec<String> = list(fields, "enum").map(Value::to_string).collect();
        if !values.is_empty() {
            return values.join(" or ");
        }
        for name in ["oneOf", "anyOf", "allOf"] {
            let mut kinds: Vec<String> = Vec::new();
            for member in list(fields, name) {
                let kind = self.kind(member);
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            if !kinds.is_empty() {
                return kinds.join(if name == "allOf" { " and " } else { " or " });
            }
        }
        let names: Vec<&str> = match fields.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ if fields.contains_key("properties") => vec!["object"],
            _ => return "any".to_owned(),
        };
        let kinds: Vec<String> = names.into_iter().map(|name| self.named(name, fields)).collect();
        kinds.join(" or ")
    }

    fn named(&mut self, name: &str, fields: &'a Map<String, Value>) -> String {
        match name {
            "array" => match fields.get("prefixItems").or_else(|| fields.get("items")) {
                Some(Value::Array(positions)) => {
                    let kinds: Vec<String> = positions.iter().map(|position| self.kind(position)).collect();
                    format!("tuple of {}", kinds.join(", "))
                }
                Some(items) => format!("list of {}", self.kind(items)),
                None => "list".to_owned(),
            },
            "object" => match map_values(fields) {
                Some(values) if !fields.contains_key("properties") => format!("map of {}", self.kind(values)),
                _ => "object".to_owned(),
            },
            "null" | "boolean" => name.to_owned(),
            _ => match fields.get("format").and_then(Value::as_str) {
                Some(format) => format!("{name} ({format})"),
                None => name.to_owned(),
            },
        }
    }
}

fn list<'a>(fields: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    fields.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Returns the schema of the values of a map. One whose keys are numbers names them by a pattern.
fn map_values(fields: &Map<String, Value>) -> Option<&Value> {
    let patterns = fields.get("patternProperties").and_then(Value::as_object);
    let named = patterns.and_then(|patterns| patterns.values().next());
    named.or_else(|| fields.get("additionalProperties").filter(|values| values.is_object()))
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_at_any_depth_have_a_path_and_a_type() {
        let schema = json!({
            "type": "object",
            "required": ["id", "lines"],
            "properties": {
                "id": {"type": "string", "format": "uuid", "description": "of the order"},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
                "note": {"type": ["string", "null"]},
                "address": {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]},
                "status": {"enum": ["open", "closed"]},
                "prices": {"type": "object", "additionalProperties": {"type": "integer"}},
                "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
                "by": {"oneOf": [{"type": "object", "properties": {"card": {"type": "string"}}}, {"const": "cash"}]},
                "parent": {"$ref": "#"},
            },
            "$defs": {
                "Line": {"type": "object", "required": ["pence"], "description": "what was ordered", "properties": {
                    "pence": {"type": "integer", "format": "int64"},
                    "parts": {"type": "array", "items": {"$ref": "#/$defs/Line"}}}},
                "Address": {"type": "object", "description": "where to", "properties": {"city": {"type": "string"}}},
            },
        });
        let rows: Vec<(String, String, bool)> =
            of(&schema).into_iter().map(|row| (row.path, row.kind, row.is_required)).collect();
        let expected = [
            ("address", "object or null", false),
            ("address.city", "string", false),
            ("by", "object or \"cash\"", false),
            ("by(1).card", "string", false),
            ("id", "string (uuid)", true),
            ("lines", "list of object", true),
            ("lines[].parts", "list of the same as lines[]", false),
            ("lines[].pence", "integer (int64)", true),
            ("note", "string or null", false),
            ("pair", "tuple of integer, string", false),
            ("parent", "the same as the event", false),
            ("prices", "map of integer", false),
            ("status", "\"open\" or \"closed\"", false),
        ];
        let expected: Vec<(String, String, bool)> = expected
            .iter()
            .map(|(path, kind, is_required)| ((*path).to_owned(), (*kind).to_owned(), *is_required))
            .collect();
        assert_eq!(rows, expected);
        assert_eq!(of(&schema)[4].description, "of the order");
    }
}
