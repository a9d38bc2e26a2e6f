//! From a JSON Schema to its rules.

use std::collections::HashMap;

use messagekit::adapter::codec::ENVELOPE_FIELDS;
use messagekit::{Error, ErrorKind};
use serde_json::{Map, Value, json};

use super::rules::{Bound, Fields, NamedField, Other, Rule, RuleId, Rules, Simple, Types};

/// Keywords that say nothing of the data.
const NOTES: [&str; 11] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
];

/// Where schemas refer to their definitions.
const DEFINITIONS: [&str; 2] = ["#/$defs/", "#/definitions/"];

/// The most required fields of an object: each has a bit.
const MAX_REQUIRED: usize = 64;

impl Rules {
    /// Compiles a schema.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if it is none.
    pub(super) fn of(schema: &Value) -> Result<Self, Error> {
        let mut compiler = Compiler { root: schema, all: Vec::new(), definitions: HashMap::new() };
        // The whole has to be a schema, whatever of it is simple.
        let whole = compiler.whole(schema)?;
        if refers_elsewhere(schema, true) {
            return Ok(Self { all: vec![whole], root: RuleId(0) });
        }
        let root = compiler.rule(schema)?;
        let anything = compiler.rule(&Value::Bool(true))?;
        // No rule but this one refers to itself as the root, so what may stand here may not elsewhere.
        if let Rule::Simple(event) = &mut compiler.all[root.0] {
            event.fields.add(ENVELOPE_FIELDS.map(|name| NamedField::new(name, anything, None)));
        }
        Ok(Self { all: compiler.all, root })
    }
}

struct Compiler<'a> {
    root: &'a Value,
    all: Vec<Rule>,
    /// The rules of definitions, by reference.
    definitions: HashMap<String, RuleId>,
}

impl<'a> Compiler<'a> {
    fn rule(&mut self, schema: &'a Value) -> Result<RuleId, Error> {
        // First the number: the parts of a schema get those behind it.
        let id = RuleId(self.all.len());
        self.all.push(Rule::Anything);
        self.all[id.0] = self.made(schema)?;
        Ok(id)
    }

    fn made(&mut self, schema: &'a Value) -> Result<Rule, Error> {
        let Value::Object(keywords) = schema else {
            return if schema == &Value::Bool(true) { Ok(Rule::Anything) } else { self.whole(schema) };
        };
        let rules: Vec<&String> = keywords.keys().filter(|name| !NOTES.contains(&name.as_str())).collect();
        match rules.as_slice() {
            [] => return Ok(Rule::Anything),
            [name] if *name == "$ref" => {
                if let Some(id) = self.definition(&keywords["$ref"])? {
                    return Ok(Rule::Same(id));
                }
            }
            [name] if *name == "anyOf" => {
                if let Some(other) = beside_null(&keywords["anyOf"]) {
                    return Ok(Rule::NullOr(self.rule(other)?));
                }
            }
            _ => {}
        }
        match self.simple(keywords)? {
            Some(simple) => Ok(Rule::Simple(Box::new(simple))),
            None => self.whole(schema),
        }
    }

    fn definition(&mut self, reference: &Value) -> Result<Option<RuleId>, Error> {
        let Some(reference) = reference.as_str().filter(|reference| is_plain(reference)) else {
            return Ok(None);
        };
        if let Some(id) = self.definitions.get(reference) {
            return Ok(Some(*id));
        }
        let Some(schema) = self.root.pointer(&reference[1..]) else { return Ok(None) };
        // Before it is made, because it may contain itself.
        self.definitions.insert(reference.to_owned(), RuleId(self.all.len()));
        self.rule(schema).map(Some)
    }

    /// Returns the rule for keywords that need no more than the value at hand, or `None` if there is another keyword.
    fn simple(&mut self, keywords: &'a Map<String, Value>) -> Result<Option<Simple>, Error> {
        let mut simple = Simple::default();
        let mut properties = None;
        for (name, value) in keywords {
            let is_known = match name.as_str() {
                note if NOTES.contains(&note) || note.starts_with("x-") => true,
                "const" | "enum" if simple.values.is_some() => false,
                "type" => types(value).map(|types| simple.types = types).is_some(),
                "const" => value.as_str().map(|text| simple.values = Some(vec![text.to_owned()])).is_some(),
                "enum" => texts(value).map(|texts| simple.values = Some(texts)).is_some(),
                "minimum" => Bound::of(value).map(|bound| simple.number.set_low(bound)).is_some(),
                "maximum" => Bound::of(value).map(|bound| simple.number.set_high(bound)).is_some(),
                "minLength" => Bound::of(value).map(|bound| simple.length.set_low(bound)).is_some(),
                "maxLength" => Bound::of(value).map(|bound| simple.length.set_high(bound)).is_some(),
                "minItems" => Bound::of(value).map(|bound| simple.count.set_low(bound)).is_some(),
                "maxItems" => Bound::of(value).map(|bound| simple.count.set_high(bound)).is_some(),
                "items" => value
                    .is_object()
                    .then(|| self.rule(value))
                    .transpose()?
                    .map(|id| simple.items = Some(id))
                    .is_some(),
                "properties" => value.as_object().map(|fields| properties = Some(fields)).is_some(),
                "required" => texts(value)
                    .filter(|texts| texts.len() <= MAX_REQUIRED)
                    .map(|texts| simple.required = texts)
                    .is_some(),
                "additionalProperties" => {
                    simple.other = match value {
                        Value::Bool(true) => Other::Anything,
                        Value::Bool(false) => Other::Nothing,
                        schema => Other::Rule(self.rule(schema)?),
                    };
                    true
                }
                // Formats of numbers are notes; JSON Schema has bounds for them.
                "format" => {
                    keywords.get("type").and_then(types).is_some_and(|types| !types.have(Types::STRING))
                }
                _ => false,
            };
            if !is_known {
                return Ok(None);
            }
        }
        self.add_fields(&mut simple, properties.into_iter().flatten())?;
        Ok(Some(simple))
    }

    fn add_fields(
        &mut self,
        simple: &mut Simple,
        fields: impl Iterator<Item = (&'a String, &'a Value)>,
    ) -> Result<(), Error> {
        let mut named = Vec::new();
        for (name, schema) in fields {
            let rule = self.rule(schema)?;
            let bit = (0..).zip(&simple.required).find(|(_, required)| *required == name).map(|(bit, _)| bit);
            named.push(NamedField::new(name, rule, bit));
        }
        for (bit, name) in (0..).zip(&simple.required) {
            if named.iter().any(|field| field.name == *name) {
                continue;
            }
            // A required field that has no schema may hold what other fields may.
            let rule = match simple.other {
                Other::Anything => Rule::Anything,
                Other::Rule(id) => Rule::Same(id),
                Other::Nothing => self.whole(&Value::Bool(false))?,
            };
            let id = RuleId(self.all.len());
            self.all.push(rule);
            named.push(NamedField::new(name, id, Some(bit)));
        }
        simple.fields = Fields::of(named);
        Ok(())
    }

    /// Returns the rule that reads a value whole, by the draft that the root names.
    fn whole(&self, schema: &Value) -> Result<Rule, Error> {
        let mut schema = schema.clone();
        if let Value::Object(keywords) = &mut schema {
            for name in ["$schema", "$defs", "definitions"] {
                if let Some(of_root) = self.root.get(name) {
                    keywords.insert(name.to_owned(), of_root.clone());
                }
            }
        }
        let options = jsonschema::options().should_validate_formats(true);
        let built = super::formats::lenient(options).build(&schema);
        built.map(|validator| Rule::Whole(Box::new(validator))).map_err(|error| {
            Error::new(ErrorKind::InvalidConfiguration, "schema of an event is no JSON Schema")
                .caused_by(error.to_owned())
        })
    }
}

/// Returns whether a reference names a definition of the root.
fn is_plain(reference: &str) -> bool {
    DEFINITIONS
        .iter()
        .any(|prefix| reference.strip_prefix(prefix).is_some_and(|name| !name.contains(['/', '~', '%'])))
}

/// Returns whether a schema has names or references that only mean something within the whole of it.
fn refers_elsewhere(schema: &Value, is_root: bool) -> bool {
    match schema {
        Value::Object(keywords) => keywords.iter().any(|(name, value)| match name.as_str() {
            "$ref" if value.is_string() => !value.as_str().is_some_and(is_plain),
            "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" | "$recursiveAnchor" => {
                value.is_string() || value.is_boolean()
            }
            "$id" => value.is_string(),
            "$defs" | "definitions" if !is_root => true,
            _ => refers_elsewhere(value, false),
        }),
        Value::Array(schemas) => schemas.iter().any(|schema| refers_elsewhere(schema, false)),
        _ => false,
    }
}

/// Returns the other one of two schemas of which one is null.
fn beside_null(any_of: &Value) -> Option<&Value> {
    let is_null = |schema: &Value| schema == &json!({"type": "null"});
    match any_of.as_array()?.as_slice() {
        [one, null] if is_null(null) => Some(one),
        [null, other] if is_null(null) => Some(other),
        _ => None,
    }
}

fn types(value: &Value) -> Option<Types> {
    match value {
        Value::String(name) => Types::named(name),
        Value::Array(names) => {
            names.iter().try_fold(Types::NONE, |types, name| Some(types.and(Types::named(name.as_str()?)?)))
        }
        _ => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}
