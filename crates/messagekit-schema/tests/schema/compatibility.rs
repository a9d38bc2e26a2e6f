//! Changes of a schema, and who reads what after them.

use messagekit_schema::{Compatibility, Shape, is_compatible, unread};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A change of the schema of a value.
struct Change {
    name: &'static str,
    old: Value,
    new: Value,
    /// Why programs with the new schema do not read old data; `None` if they do.
    backward: Option<&'static str>,
    /// Why programs with the old schema do not read new data.
    forward: Option<&'static str>,
}

fn change(
    name: &'static str,
    (old, new): (Value, Value),
    backward: impl Into<Option<&'static str>>,
    forward: impl Into<Option<&'static str>>,
) -> Change {
    Change { name, old, new, backward: backward.into(), forward: forward.into() }
}

/// Returns an object schema; names that end in `!` are required.
fn object(fields: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = fields.iter().filter_map(|(name, _)| name.strip_suffix('!')).collect();
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|(name, schema)| (name.trim_end_matches('!').to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn closed(mut schema: Value) -> Value {
    schema["additionalProperties"] = json!(false);
    schema
}

fn t(kind: &str) -> Value {
    json!({ "type": kind })
}

fn format(kind: &str, format: &str) -> Value {
    json!({"type": kind, "format": format})
}

fn nullable(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn map(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": values})
}

fn tuple(items: &[Value]) -> Value {
    json!({"type": "array", "prefixItems": items})
}

fn tagged(members: &[(&str, Value)]) -> Value {
    let members =
        members.iter().map(|(tag, value)| object(&[("tag!", json!({"const": tag})), ("v!", value.clone())]));
    json!({ "oneOf": members.collect::<Vec<_>>() })
}

/// A map whose keys are numbers, as schemars writes it.
fn numbered(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "patternProperties": {"^\\d+$": values}})
}

/// An object with a flattened enum, as schemars writes it.
fn beside(more: &[(&str, Value)]) -> Value {
    let mut schema = object(&[&[("id!", t("string"))], more].concat());
    schema["oneOf"] = json!([object(&[("card!", t("string"))]), object(&[("cash!", t("integer"))])]);
    schema
}

/// A variant that holds a struct beside its tag, as schemars writes it.
fn referred(tag: &str) -> Value {
    let mut schema = object(&[("kind!", json!({ "const": tag }))]);
    schema["oneOf"] = json!([object(&[("number!", t("string"))])]);
    schema
}

const MISSING: Option<&str> = Some("may be missing");

fn fields() -> Vec<Change> {
    let n = ("n!", t("integer"));
    let base = || object(std::slice::from_ref(&n));
    let with = |name: &str, schema: Value| object(&[n.clone(), (name, schema)]);
    vec![
        change("nothing", (base(), base()), None, None),
        change("optional field added", (base(), with("x", t("string"))), None, None),
        change("nullable field added", (base(), with("x", nullable("string"))), None, None),
        change("required field added", (base(), with("x!", t("string"))), MISSING, None),
        change("optional field removed", (with("x", t("string")), base()), None, None),
        change("required field removed", (with("x!", t("string")), base()), None, MISSING),
        change("field renamed", (with("x!", t("string")), with("y!", t("string"))), MISSING, MISSING),
        change("optional field renamed", (with("x", t("string")), with("y", t("string"))), None, None),
        change("optional to required", (with("x", t("string")), with("x!", t("string"))), MISSING, None),
        change("required to optional", (with("x!", t("string")), with("x", t("string"))), None, MISSING),
        change(
            "field added to a closed object",
            (closed(base()), closed(with("x", t("string")))),
            None,
            "refuses fields",
        ),
        change(
            "field removed from a closed object",
            (closed(with("x", t("string"))), closed(base())),
            "refuses fields",
            None,
        ),
        change("object closed", (with("x", t("string")), closed(with("x", t("string")))), None, None),
        change("object opened", (closed(base()), base()), None, None),
        change(
            "fields in another order",
            (
                object(&[("a!", t("string")), ("b", t("integer"))]),
                object(&[("b", t("integer")), ("a!", t("string"))]),
            ),
            None,
            None,
        ),
        change(
            "title and bounds",
            (
                base(),
                json!({"title": "T", "type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 3, "description": "d"}}}),
            ),
            None,
            None,
        ),
    ]
}

fn types() -> Vec<Change> {
    let both = |words: &'static str| (Some(words), Some(words));
    let (written, read) = both("is written as");
    vec![
        change("text to integer", (t("string"), t("integer")), written, read),
        change("integer to text", (t("integer"), t("string")), written, read),
        change("integer to number", (t("integer"), t("number")), None, "number and read as integer"),
        change("number to integer", (t("number"), t("integer")), "number and read as integer", None),
        change("boolean to text", (t("boolean"), t("string")), written, read),
        change("object to text", (object(&[]), t("string")), written, read),
        change("text to list of it", (t("string"), list(t("string"))), written, read),
        change("nullable now", (t("string"), nullable("string")), None, "null and read as string"),
        change("nullable no longer", (nullable("string"), t("string")), "null and read as string", None),
        change("anything to text", (json!({}), t("string")), "any and read as string", None),
        change("text to anything", (t("string"), json!(true)), None, "any and read as string"),
        change(
            "union member added",
            (json!({"anyOf": [t("string")]}), json!({"anyOf": [t("string"), t("integer")]})),
            None,
            "integer and read as string",
        ),
        change(
            "union member removed",
            (json!({"anyOf": [t("string"), t("boolean")]}), t("string")),
            "boolean and read as string",
            None,
        ),
        change("list items", (list(t("string")), list(t("integer"))), written, read),
        change("list items widened", (list(t("integer")), list(t("number"))), None, "is written as number"),
        change("list to tuple", (list(t("string")), tuple(&[t("string")])), written, None),
        change("tuple longer", (tuple(&[t("string")]), tuple(&[t("string"), t("string")])), written, read),
        change(
            "tuple item",
            (tuple(&[t("string"), t("integer")]), tuple(&[t("string"), t("string")])),
            written,
            read,
        ),
        change("map values", (map(t("string")), map(t("integer"))), written, read),
        change("map values widened", (map(t("integer")), map(t("number"))), None, "is written as number"),
        change("map to optional fields", (map(t("string")), object(&[("x", t("string"))])), None, None),
        change("map to required field", (map(t("string")), object(&[("x!", t("string"))])), MISSING, None),
        change(
            "map to field of another type",
            (map(t("string")), object(&[("x", t("integer"))])),
            written,
            read,
        ),
        change(
            "map of anything narrowed",
            (map(json!(true)), map(t("integer"))),
            "any and read as integer",
            None,
        ),
        change("map with numbers as keys", (numbered(t("string")), numbered(t("integer"))), written, read),
        change(
            "integers to floats",
            (format("integer", "int32"), format("number", "double")),
            None,
            "(double) and read as",
        ),
        change(
            "field beside a flattened enum",
            (beside(&[]), beside(&[("more!", t("string"))])),
            MISSING,
            None,
        ),
        change(
            "tag of a referred variant renamed",
            (referred("Card"), referred("CreditCard")),
            r#""Card" and read as "CreditCard""#,
            r#""CreditCard" and read as "Card""#,
        ),
        change("map to closed object", (map(t("string")), closed(object(&[]))), "refuses fields", None),
    ]
}

fn enums_and_formats() -> Vec<Change> {
    let values = |values: &[&str]| json!({ "enum": values });
    let text = |name| format("string", name);
    vec![
        change("enum value added", (values(&["a"]), values(&["a", "b"])), None, r#""b" and read as "a""#),
        change("enum value removed", (values(&["a", "b"]), values(&["a"])), r#""b" and read as "a""#, None),
        change("enum values in another order", (values(&["a", "b"]), values(&["b", "a"])), None, None),
        change("enum to text", (values(&["a"]), t("string")), None, "string and read as"),
        change("text to enum", (t("string"), values(&["a"])), "string and read as", None),
        change(
            "constant to another",
            (json!({"const": 1}), json!({"const": 2})),
            "1 and read as 2",
            "2 and read as 1",
        ),
        change("constant to integer", (json!({"const": 1}), t("integer")), None, "integer and read as 1"),
        change(
            "enum of numbers to integer",
            (json!({"enum": [1, 2.5]}), t("integer")),
            "2.5 and read as integer",
            "integer and read as",
        ),
        change("format added", (t("string"), text("uuid")), "string and read as string (uuid)", None),
        change("format removed", (text("uuid"), t("string")), None, "string and read as string (uuid)"),
        change(
            "format changed",
            (text("date"), text("date-time")),
            "(date) and read as",
            "(date-time) and read as",
        ),
        change(
            "integer widened",
            (format("integer", "int32"), format("integer", "int64")),
            None,
            "(int64) and read as",
        ),
        change(
            "integer narrowed",
            (format("integer", "uint32"), format("integer", "uint8")),
            "(uint32) and read as",
            None,
        ),
        change(
            "integer may be negative",
            (format("integer", "uint32"), format("integer", "int64")),
            None,
            "(int64) and read as",
        ),
        change(
            "integer of any size",
            (format("integer", "int64"), t("integer")),
            None,
            "integer and read as",
        ),
        change(
            "number more precise",
            (format("number", "float"), format("number", "double")),
            None,
            "(double) and read as",
        ),
        change(
            "integer format to number",
            (format("integer", "int32"), t("number")),
            None,
            "number and read as",
        ),
        change(
            "variant added",
            (tagged(&[("a", t("string"))]), tagged(&[("a", t("string")), ("b", t("integer"))])),
            None,
            "is written as",
        ),
        change(
            "variant removed",
            (tagged(&[("a", t("string")), ("b", t("integer"))]), tagged(&[("a", t("string"))])),
            "is written as",
            None,
        ),
        change(
            "variant's value changed",
            (
                tagged(&[("a", t("string")), ("b", t("integer"))]),
                tagged(&[("a", t("boolean")), ("b", t("integer"))]),
            ),
            "v is written as string",
            "v is written as boolean",
        ),
    ]
}

fn changes() -> Vec<Change> {
    fields().into_iter().chain(types()).chain(enums_and_formats()).collect()
}

/// A place at which a value stands inside a schema.
type Nested = (&'static str, fn(Value) -> Value);

const PLACES: [Nested; 6] = [
    ("by itself", |schema| schema),
    ("three objects deep", |schema| object(&[("a!", object(&[("b!", object(&[("c!", schema)]))]))])),
    ("in lists three deep", |schema| object(&[("a", list(list(list(schema))))])),
    ("behind references", |schema| {
        json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {
            "A": {"type": "object", "required": ["b"], "properties": {"b": {"type": "array", "items": {"$ref": "#/$defs/B"}}}},
            "B": {"type": "object", "properties": {"c": schema}}}})
    }),
    ("in a variant", |schema| tagged(&[("one", object(&[("x", schema)])), ("two", t("null"))])),
    ("beside itself", |schema| {
        json!({"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object", "required": ["v"], "properties": {
            "v": schema, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}}}})
    }),
];

fn shape(schema: &Value) -> Shape {
    Shape::with_formats(schema).unwrap_or_else(|error| panic!("{error}: {schema}"))
}

#[test]
fn each_change_has_its_verdict_in_each_mode_wherever_it_stands() {
    assert!(changes().len() >= 60, "{}", changes().len());
    for Change { name, old, new, backward, forward } in changes() {
        for (place, nest) in PLACES {
            let (old, new) = (shape(&nest(old.clone())), shape(&nest(new.clone())));
            for (mode, reasons) in [
                (Compatibility::Backward, [backward, None]),
                (Compatibility::Forward, [None, forward]),
                (Compatibility::Full, [backward, forward]),
            ] {
                let found = mode.check(&old, &new);
                for (is_backward, expected) in [(true, reasons[0]), (false, reasons[1])] {
                    let texts: Vec<String> = found
                        .iter()
                        .filter(|one| one.is_backward == is_backward)
                        .map(ToString::to_string)
                        .collect();
                    assert_eq!(texts.is_empty(), expected.is_none(), "{name}, {place}, {mode}: {texts:?}");
                    // Inside of another schema the text shows more around the difference.
                    if place == "by itself" || place == "three objects deep" {
                        assert!(
                            expected.is_none_or(|expected| texts.iter().any(|text| text.contains(expected))),
                            "{name}, {place}, {mode}: {texts:?} do not say {expected:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_break_names_its_path() {
    let order = |pence: Value| object(&[("lines!", list(object(&[("pence!", pence)])))]);
    let found = unread(&shape(&order(t("number"))), &shape(&order(t("integer"))));
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["lines[].pence is written as number and read as integer"]);
}

#[test]
fn a_type_that_contains_itself_is_compared_to_its_end() {
    let tree = |value: Value| {
        json!({"$ref": "#/$defs/Tree", "$defs": {"Tree": {"type": "object", "required": ["v"], "properties": {
            "v": value, "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}}})
    };
    let (old, new) = (shape(&tree(t("integer"))), shape(&tree(t("number"))));
    assert_eq!(unread(&old, &new), []);
    assert_eq!(unread(&new, &old).len(), 1);
    // One of the two says the first level twice.
    let unrolled = json!({"type": "object", "required": ["v"], "properties": {"v": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
        "$defs": {"Tree": tree(t("integer"))["$defs"]["Tree"]}});
    assert_eq!(unread(&shape(&unrolled), &old), []);
    assert_eq!(unread(&old, &shape(&unrolled)), []);
}

#[test]
fn fields_beside_a_reference_count() {
    let pay = |tag: &str| {
        shape(&json!({"$ref": "#/$defs/Card", "type": "object", "required": ["kind"],
            "properties": {"kind": {"const": tag}},
            "$defs": {"Card": {"type": "object", "required": ["number"], "properties": {"number": {"type": "string"}}}}}))
    };
    assert_eq!(unread(&pay("Card"), &pay("Card")), []);
    assert_eq!(unread(&pay("Card"), &pay("Other")).len(), 1, "its tag is another one");
}

#[test]
fn schemas_that_double_at_each_level_are_refused() {
    let mut definitions = serde_json::Map::new();
    for level in 0..29 {
        let next = json!({"$ref": format!("#/$defs/A{}", level + 1)});
        definitions.insert(format!("A{level}"), object(&[("l", next.clone()), ("r", next)]));
    }
    definitions.insert("A29".to_owned(), t("string"));
    let refused = Shape::with_formats(&json!({"$ref": "#/$defs/A0", "$defs": definitions}));
    assert!(refused.expect_err("it is too large").to_string().contains("too many parts"));
}

#[test]
fn a_mode_is_read_from_its_name() {
    for mode in [Compatibility::Backward, Compatibility::Forward, Compatibility::Full] {
        assert_eq!(mode.as_str().parse::<Compatibility>().expect("its name"), mode);
    }
    assert!("none".parse::<Compatibility>().is_err());
}

fn schemas() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(t("string")),
        Just(t("integer")),
        Just(t("number")),
        Just(nullable("boolean")),
        Just(json!({"enum": ["a", 1]})),
        Just(format("string", "uuid")),
        Just(json!({})),
    ];
    plain.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(list),
            inner.clone().prop_map(map),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|members| json!({ "anyOf": members })),
            prop::collection::btree_map("[ab]!?", inner, 0..4).prop_map(|fields| {
                let fields: Vec<(&str, Value)> =
                    fields.iter().map(|(name, schema)| (name.as_str(), schema.clone())).collect();
                object(&fields)
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_program_reads_what_it_writes(schema in schemas()) {
        let shape = shape(&schema);
        prop_assert_eq!(unread(&shape, &shape), []);
        prop_assert!(is_compatible(&shape, &shape));
    }

    #[test]
    fn full_compatibility_is_both_directions(old in schemas(), new in schemas()) {
        let (old, new) = (shape(&old), shape(&new));
        let both = unread(&old, &new).is_empty() && unread(&new, &old).is_empty();
        prop_assert_eq!(Compatibility::Full.check(&old, &new).is_empty(), both);
    }
}
