use proptest::prelude::*;
use serde_json::{Value, json};

use super::rules::Rules;

/// Schemas of many kinds, some of which refer to themselves.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!({})),
        Just(json!({"type": "integer", "minimum": -1, "maximum": 2})),
        Just(json!({"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255})),
        Just(json!({"type": "number", "exclusiveMinimum": 0})),
        Just(json!({"type": ["string", "null"], "maxLength": 1})),
        Just(json!({"type": "string", "enum": ["a", "b"]})),
        Just(json!({"const": "a"})),
        Just(json!({"enum": ["a", null, 1]})),
        Just(json!({"type": "string", "pattern": "^a"})),
        Just(json!({"minLength": 1})),
        Just(json!({"minimum": 1})),
        Just(json!({"$ref": "#/$defs/Tree"})),
        Just(json!({"$ref": "#/$defs/Tree", "description": "a tree"})),
        Just(json!({"type": "null"})),
        Just(json!({"type": "boolean"})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let fields = prop::collection::btree_map("[ab]", inner.clone(), 0..3);
        let required = prop::collection::btree_set("[abc]", 0..3);
        let other = prop::option::of(prop_oneof![Just(json!(false)), Just(json!(true)), inner.clone()]);
        prop_oneof![
            (fields, required, other).prop_map(|(fields, required, other)| {
                let mut schema = json!({"type": "object", "properties": fields, "required": required});
                if let Some(other) = other {
                    schema["additionalProperties"] = other;
                }
                schema
            }),
            inner.clone().prop_map(|items| json!({"type": "array", "items": items, "maxItems": 2})),
            inner.clone().prop_map(|one| json!({"anyOf": [one, {"type": "null"}]})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"oneOf": all})),
            prop::collection::vec(inner, 1..3).prop_map(|all| json!({"allOf": all})),
        ]
    })
}

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        (-2..4_i64).prop_map(Value::from),
        Just(json!(0.5)),
        Just(json!(1.0)),
        Just(json!(1e300)),
        Just(json!(u64::MAX)),
        prop::sample::select(vec!["", "a", "b", "ab", "é"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The library that knows all of JSON Schema is the model.
    #[test]
    fn data_passes_if_and_only_if_it_matches_the_schema(root in schema(), data in data()) {
        let tree = json!({
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/Tree"}, "b": {"type": "integer"}},
            "required": ["b"],
        });
        let mut schema = match root {
            Value::Object(keywords) => Value::Object(keywords),
            other => json!({"allOf": [other]}),
        };
        schema["$defs"] = json!({"Tree": tree});
        let model = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        let fault = Rules::of(&schema).unwrap().fault_of(data.to_string().as_bytes());
        prop_assert_eq!(fault.is_none(), model.is_valid(&data), "{:?} of {} by {}", fault, data, schema);
    }
}
