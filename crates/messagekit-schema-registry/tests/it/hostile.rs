//! Data that no writer of its schema has written.

use messagekit::ErrorKind;
use messagekit_schema_registry::AvroSchema;
use serde_json::{Value, json};

fn schema(text: &Value) -> AvroSchema {
    AvroSchema::parse(&text.to_string(), &[]).unwrap()
}

fn refusal(schema: &AvroSchema, data: &[u8]) -> String {
    let error = schema.read(data).expect_err("cannot be read");
    assert_eq!(error.kind(), ErrorKind::Undecodable);
    error.to_string()
}

#[test]
fn data_cannot_make_a_reader_recurse_without_end() {
    let list = schema(
        &json!({"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]}),
    );
    let text = refusal(&list, &vec![2; 1_000_000]);
    assert!(text.ends_with("value is nested deeper than 100 levels"), "{text}");
    // A schema whose values have no end.
    let endless = schema(
        &json!({"type": "record", "name": "Endless", "fields": [{"name": "next", "type": "Endless"}]}),
    );
    assert!(refusal(&endless, &[]).ends_with("value is nested deeper than 100 levels"));
    let mut value = json!({});
    for _ in 0..120 {
        value = json!({"next": value});
    }
    assert!(endless.write(&value).is_err());
}

#[test]
fn lengths_and_counts_allocate_nothing_that_is_not_there() {
    let of =
        |of: Value| schema(&json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": of}]}));
    // The largest length that fits into a number.
    let largest = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    for of_type in [
        json!("bytes"),
        json!("string"),
        json!({"type": "array", "items": "int"}),
        json!({"type": "map", "values": "int"}),
    ] {
        assert_eq!(
            refusal(&of(of_type.clone()), &largest).split(": ").last(),
            Some("data ends within the value"),
            "{of_type}"
        );
    }
    let nulls = refusal(&of(json!({"type": "array", "items": "null"})), &largest);
    assert!(nulls.ends_with("value is larger than 66536 bytes as JSON"), "{nulls}");
    let fixed = of(json!({"type": "fixed", "name": "F", "size": 4_000_000_000_u64}));
    assert!(refusal(&fixed, b"abc").ends_with("data ends within the value"));
    let decimal = of(json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}));
    let mut long = vec![0xD0, 0x0F];
    long.extend([1; 1_000]);
    assert!(refusal(&decimal, &long).contains("decimal has more than 256 bytes"));
}

#[test]
fn numbers_and_branches_outside_of_the_schema_are_refused() {
    let of =
        |of: Value| schema(&json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": of}]}));
    for (of_type, data, text) in [
        (json!("boolean"), &[2][..], "boolean is neither 0 nor 1"),
        (json!("int"), &[0x80, 0x80, 0x80, 0x80, 0x10], "number has more than 32 bits"),
        (json!("long"), &[0xFF; 11], "number has more than 64 bits"),
        (json!("string"), &[2, 0xFF], "text is not UTF-8"),
        (json!("string"), &[1], "data ends within the value"),
        (json!(["null", "int"]), &[4], "union has no such branch"),
        (json!(["null", "int"]), &[1], "union has no such branch"),
        (json!({"type": "enum", "name": "E", "symbols": ["A"]}), &[2], "enum has no such symbol"),
        (json!({"type": "enum", "name": "E", "symbols": ["A"]}), &[1], "enum has no such symbol"),
        (
            json!({"type": "long", "logicalType": "timestamp-millis"}),
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
            "time is out of the years -9999 to 9999",
        ),
        (json!({"type": "int", "logicalType": "time-millis"}), &[1], "time of the day is not within a day"),
        (json!("int"), &[2, 0], "bytes are left after the value: it was written with another schema"),
    ] {
        let found = refusal(&of(of_type.clone()), data);
        assert_eq!(found.trim_start_matches("field `f`: "), text, "{of_type}");
    }
}
