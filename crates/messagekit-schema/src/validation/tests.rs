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
        Just(json!({"type": "integer", "maximum": 9_007_199_254_740_992_u64})),
        Just(json!({"type": "integer", "minimum": u64::MAX})),
        Just(json!({"const": "a", "enum": ["b"]})),
        Just(json!({"$ref": "#"})),
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
        Just(json!(-0.0)),
        Just(json!(i64::MIN)),
        Just(json!(999_999_999_999_999_999_i64)),
        Just(json!(u64::MAX)),
        Just(json!(9_007_199_254_740_993_u64)),
        prop::sample::select(vec![
            "",
            "a",
            "b",
            "ab",
            "é",
            "\n",
            "\"",
            "a text that is longer than a look",
            "\\"
        ])
        .prop_map(Value::from),
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
    fn data_passes_if_and_only_if_it_matches_the_schema(
        root in schema(),
        all in prop::collection::vec(data(), 1..4),
        is_pretty: bool,
    ) {
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
        let rules = Rules::of(&schema).unwrap();
        for data in all {
            let text = if is_pretty { format!("{data:#}") } else { data.to_string() };
            let fault = rules.fault_of(text.as_bytes());
            prop_assert_eq!(fault.is_none(), model.is_valid(&data), "{:?} of {} by {}", fault, data, schema);
        }
    }
}

fn fault(schema: Value, data: &str) -> Option<String> {
    Rules::of(&schema).unwrap().fault_of(data.as_bytes()).map(|fault| fault.to_string())
}

#[test]
fn most_data_passes_by_one_look_at_its_bytes() {
    let schema = json!({
        "type": "object", "required": ["id", "lines", "at"], "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": 8},
            "at": {"type": "string", "format": "date-time"},
            "note": {"type": ["string", "null"]},
            "lines": {"type": "array", "items": {
                "type": "object", "required": ["pence"],
                "properties": {"pence": {"type": "integer", "minimum": 1}, "rate": {"type": ["number", "null"], "maximum": 1}},
            }},
        },
    });
    let rules = Rules::of(&schema).unwrap();
    let of = |id: &str, pence: &str| {
        format!(
            r#"{{"eventId":"e","id":"{id}","at":"2026-01-31T23:59:59Z","lines":[{{"pence":{pence},"rate":0.5}}]}}"#
        )
    };
    for data in [
        of("o-1", "12"),
        of("éééééééé", "1").replace("\":", "\" :\n "),
        of("o-1", "1").replace("0.5", "null"),
        of("o-1", "1").replace(r#""id""#, r#""note":"two\nlines of \"text\"","id""#),
    ] {
        assert!(rules.surely_take(data.as_bytes()), "{data}");
        assert_eq!(rules.fault_of(data.as_bytes()), None, "{data}");
    }
    // What takes a second look, and matches.
    for data in [
        of("\\u0041", "1"),
        of("o-1", "1.0"),
        of("o-1", "1e2"),
        of("o-1", "12").replace("pence", "\\u0070ence"),
    ] {
        assert!(!rules.surely_take(data.as_bytes()), "{data}");
        assert_eq!(rules.fault_of(data.as_bytes()), None, "{data}");
    }
    for data in [
        of("", "1"),
        of("o-1", "0"),
        of("o-1", "-1"),
        of("o-1", "1.5"),
        of("o-1", "1").replace("0.5", "1.5"),
        of("ninechars", "1"),
    ] {
        assert!(!rules.surely_take(data.as_bytes()), "{data}");
        assert!(rules.fault_of(data.as_bytes()).is_some(), "{data}");
    }
}

/// Bytes that are no JSON, of every length, never end the scan in a panic.
#[test]
fn a_scan_reads_any_bytes() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}, "t": {"type": "string"}, "l": {"type": "array", "items": {"type": "number"}}}});
    let rules = Rules::of(&schema).unwrap();
    let data = "{\"n\":-12,\"t\":\"a\\\"é\",\"l\":[1.5,2e3],\"x\":{\"y\":[true,null]}}".as_bytes();
    for end in 0..data.len() {
        rules.surely_take(&data[..end]);
        for byte in [0, b'"', b'\\', b'-', b'.', b'{', b']', 0xFF] {
            let mut broken = data.to_vec();
            broken[end] = byte;
            rules.surely_take(&broken);
        }
    }
    assert_eq!(rules.fault_of(data), None);
    // As the reader of values says: no text.
    for unreadable in [&b"{\"t\":\"\xFF\"}"[..], b"{\"t\":\"\\ud800\"}"] {
        assert!(!rules.surely_take(unreadable) && rules.fault_of(unreadable).is_some());
    }
}

#[test]
fn an_event_that_contains_itself_is_checked_at_every_depth() {
    let schema = json!({
        "type": "object", "required": ["n"],
        "properties": {"n": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    });
    assert_eq!(fault(schema.clone(), r#"{"n":1,"next":{"n":2,"next":null}}"#), None);
    assert!(fault(schema, r#"{"n":1,"next":{"next":null}}"#).is_some());
}

/// A reader may pass over the field that cannot be read.
#[test]
fn what_cannot_be_read_does_not_hide_what_is_behind_it() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "number"}, "n": {"type": "integer", "minimum": 1}}});
    for unreadable in ["1e400", r#""\ud800""#, &format!("{}{}", "[".repeat(200), "]".repeat(200))] {
        let found = fault(schema.clone(), &format!(r#"{{"a":{unreadable},"n":0}}"#));
        assert!(found.is_some(), "{unreadable}");
    }
    assert_eq!(fault(schema, r#"{"a":1,"n":"#), None, "who reads it next says that it is no JSON");
}

#[test]
fn fields_of_the_envelope_do_not_count() {
    let flat = r#"{"eventId":"m-1","source":"shop","metadata":{"a":1},"n":1}"#;
    for closed in [
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": false}),
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": {"type": "boolean"}}),
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "maxProperties": 1}),
        json!({"oneOf": [{"properties": {"n": {"type": "integer"}}, "additionalProperties": false}]}),
    ] {
        assert_eq!(fault(closed.clone(), flat), None, "{closed}");
        assert!(fault(closed.clone(), r#"{"eventId":"m-1","n":1,"more":2}"#).is_some(), "{closed}");
    }
}

#[test]
fn the_draft_of_a_schema_counts() {
    let schema = |draft: &str| json!({"$schema": draft, "type": "object", "properties": {"pair": {"type": "array", "items": [{"type": "integer"}]}}});
    let draft_7 = schema("http://json-schema.org/draft-07/schema#");
    assert_eq!(fault(draft_7.clone(), r#"{"pair":[1,"x"]}"#), None);
    assert_eq!(fault(draft_7, r#"{"pair":["x"]}"#).as_deref(), Some("`pair[]` breaks `type`"));
    assert!(Rules::of(&schema("https://json-schema.org/draft/2020-12/schema")).is_err());
}

#[test]
fn formats_take_what_types_of_rust_write() {
    let of = |format: &str, text: &str| {
        let schema = json!({"type": "object", "properties": {"t": {"type": "string", "format": format}}});
        fault(schema, &json!({"t": text}).to_string()).is_none()
    };
    for (format, text) in [
        ("duration", "PT1.5S"),
        ("duration", "P2W3D"),
        ("uuid", "0190f5a57b1c7cc08d3a1f2e3d4c5b6a"),
        ("uuid", "0190f5a5-7b1c-7cc0-8d3a-1f2e3d4c5b6a"),
        ("date-time", "2026-01-31T23:59:59.123456789Z"),
        ("date", "2026-01-31"),
        ("x-ours", "anything"),
    ] {
        assert!(of(format, text), "{format} {text}");
    }
    for (format, text) in
        [("duration", "soon"), ("uuid", "o-7"), ("date-time", "2026-01-31T23:59:59"), ("date", "31.1.")]
    {
        assert!(!of(format, text), "{format} {text}");
    }
}
