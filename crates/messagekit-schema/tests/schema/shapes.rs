//! Shapes of JSON Schemas: what is equal, what differs, and what has none.

use messagekit::ErrorKind;
use messagekit_schema::{Shape, differences, is_compatible};
use serde_json::{Value, json};

fn shape(schema: Value) -> Shape {
    Shape::of_schema(&schema).expect("it has a shape")
}

fn object(properties: Value, required: Value) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

#[test]
fn spellings_of_one_structure_have_one_shape() {
    for (first, second) in [
        (json!({"type": ["null", "string"]}), json!({"oneOf": [{"type": "string"}, {"const": null}]})),
        (json!({"enum": ["b", "a"]}), json!({"anyOf": [{"const": "a", "title": "A"}, {"const": "b"}]})),
        (json!({"type": "array"}), json!({"type": "array", "items": true, "maxItems": 4})),
        (
            json!({"properties": {"a": {}}}),
            json!({"type": "object", "properties": {"a": true}, "additionalProperties": true}),
        ),
        (json!({"type": ["integer", "number"]}), json!({"type": "number", "exclusiveMinimum": 0})),
        (
            json!({"allOf": [{"type": "string"}], "description": "d"}),
            json!({"type": "string", "format": "uri"}),
        ),
        (json!({"anyOf": [{"type": "string"}, {}]}), json!({})),
        (
            json!({"type": "array", "items": [{"type": "null"}]}),
            json!({"type": "array", "prefixItems": [{"type": "null"}]}),
        ),
    ] {
        assert_eq!(shape(first.clone()), shape(second.clone()), "{first} and {second}");
    }
}

#[test]
fn structures_that_differ_have_different_shapes() {
    let shapes = [
        json!({"type": "string"}),
        json!({"type": ["string", "null"]}),
        json!({"type": "integer"}),
        json!({"type": "number"}),
        json!({"const": 1}),
        json!({"const": 1.0}),
        json!({"const": "1"}),
        json!({"type": "array", "items": {"type": "string"}}),
        json!({"type": "array", "prefixItems": [{"type": "string"}]}),
        object(json!({"a": {"type": "string"}}), json!([])),
        object(json!({"a": {"type": "string"}}), json!(["a"])),
        object(json!({"b": {"type": "string"}}), json!([])),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"type": "object", "additionalProperties": false}),
        json!({"type": "object"}),
        json!({}),
    ];
    let hashes: std::collections::BTreeSet<String> =
        shapes.iter().map(|schema| shape(schema.clone()).hash()).collect();
    assert_eq!(hashes.len(), shapes.len());
}

#[test]
fn a_type_that_contains_itself_has_a_shape() {
    let list = |name: &str| {
        json!({"$ref": format!("#/$defs/{name}"), "$defs": {name: {"type": "object", "required": ["next"], "properties": {
            "next": {"anyOf": [{"$ref": format!("#/$defs/{name}")}, {"type": "null"}]}}}}})
    };
    assert_eq!(shape(list("Node")), shape(list("Link")), "its name is no part of it");
    assert_eq!(shape(list("Node")).to_string(), "{next: null | ^0}");
    let root =
        json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}});
    assert_eq!(shape(root).to_string(), "{children?: [^0]}");
}

#[test]
fn what_is_no_schema_is_refused_with_the_reason() {
    let mut deep = json!({"type": "string"});
    for _ in 0..200 {
        deep = json!({"type": "array", "items": deep});
    }
    for (schema, reason) in [
        (json!(7), "neither an object nor"),
        (json!(false), "neither an object nor"),
        (json!({"$ref": "https://example.org/other"}), "out of the schema"),
        (json!({"$ref": "#/$defs/Missing"}), "does not have"),
        (
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}),
            "contains itself",
        ),
        (json!({"type": "text"}), "unknown type"),
        (json!({"type": 1}), "neither a text"),
        (json!({"allOf": [{"type": "string"}, {"type": "null"}]}), "allOf"),
        (deep, "too deep"),
    ] {
        let refused = Shape::of_schema(&schema).expect_err("it has no shape");
        assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[test]
fn differences_name_the_path_and_both_sides() {
    let line =
        |pence: Value| object(json!({"pence": pence, "sku": {"type": "string"}}), json!(["pence", "sku"]));
    let order = |pence: Value, more: Value| {
        let mut properties = json!({"lines": {"type": "array", "items": line(pence)}});
        properties.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        shape(object(properties, json!(["lines"])))
    };
    let stored = order(json!({"type": "integer"}), json!({"note": {"type": "string"}}));
    let given = order(json!({"type": "number"}), json!({"at": {"type": "string"}}));
    let found: Vec<String> = differences(&stored, &given).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "at is missing there and optional string here",
            "lines[].pence is integer there and number here",
            "note is optional string there and missing here",
        ]
    );
    assert_eq!(differences(&stored, &stored), []);
    assert_eq!(differences(&shape(json!({})), &stored)[0].path, "");
}

#[test]
fn only_optional_fields_that_the_other_ignores_are_compatible() {
    let base = shape(object(json!({"a": {"type": "string"}}), json!(["a"])));
    let with =
        |field: Value, required: Value| shape(object(json!({"a": {"type": "string"}, "b": field}), required));
    let text = json!({"type": "string"});
    assert!(is_compatible(&base, &with(text.clone(), json!(["a"]))));
    assert!(is_compatible(&with(text.clone(), json!(["a"])), &base), "in both directions");
    assert!(!is_compatible(&base, &with(text.clone(), json!(["a", "b"]))), "the other does not write it");
    let closed = shape(
        json!({"type": "object", "properties": {"a": text}, "required": ["a"], "additionalProperties": false}),
    );
    assert!(!is_compatible(&closed, &with(text, json!(["a"]))));
    let inner = |b: Value| shape(json!({"type": "array", "items": b}));
    assert!(!is_compatible(&inner(json!({"type": "string"})), &inner(json!({"type": "integer"}))));
}

#[test]
fn a_stored_shape_of_another_version_is_made_again() {
    let stored = shape(json!({"type": "string"})).encode();
    assert_eq!(Shape::decode(&stored).expect("reads"), Some(Shape::Text));
    let later = stored.replace("\"version\":1", "\"version\":2").replace("\"text\"", "{\"other\":{}}");
    assert_eq!(Shape::decode(&later).expect("is no fault"), None);
    assert_eq!(Shape::decode("{}").expect_err("is none").kind(), ErrorKind::Corrupt);
}
