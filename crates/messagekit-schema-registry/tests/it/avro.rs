//! How values of Avro look as JSON.

use messagekit::ErrorKind;
use messagekit_schema_registry::AvroSchema;
use serde_json::{Value, json};

fn schema(text: &Value) -> AvroSchema {
    AvroSchema::parse(&text.to_string(), &[]).unwrap()
}

/// Returns a schema of a record with one field.
fn of(field: Value) -> AvroSchema {
    schema(&json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": field}]}))
}

fn through(schema: &AvroSchema, value: &Value) -> Value {
    let data = schema.write(value).unwrap_or_else(|error| panic!("{value}: {error}"));
    serde_json::from_slice(&schema.read(&data).unwrap()).unwrap()
}

fn refusal(schema: &AvroSchema, value: &Value) -> String {
    let error = schema.write(value).expect_err("does not fit");
    assert_eq!(error.kind(), ErrorKind::InvalidEvent);
    error.to_string()
}

fn logical(of: &str, name: &str) -> Value {
    json!({"type": of, "logicalType": name})
}

#[test]
fn each_type_of_avro_has_a_form_in_json() {
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2});
    let fixed_decimal = json!({"type": {"type": "fixed", "name": "D", "size": 8},
        "logicalType": "decimal", "precision": 9, "scale": 2});
    let fixed_decimal = {
        let mut fixed = fixed_decimal["type"].clone();
        for name in ["logicalType", "precision", "scale"] {
            fixed[name] = fixed_decimal[name].clone();
        }
        fixed
    };
    let fixed = |size: u32, logical: Option<&str>| {
        let mut fixed = json!({"type": "fixed", "name": "F", "size": size});
        if let Some(logical) = logical {
            fixed["logicalType"] = json!(logical);
        }
        fixed
    };
    for (of_type, value) in [
        (json!("null"), json!(null)),
        (json!("boolean"), json!(true)),
        (json!("int"), json!(i32::MIN)),
        (json!("long"), json!(i64::MAX)),
        (json!("float"), json!(0.1)),
        (json!("double"), json!(1e300)),
        (json!("double"), json!("-Infinity")),
        (json!("float"), json!("NaN")),
        (json!("string"), json!("nörd \u{0} \"")),
        (json!("bytes"), json!("AP8=")),
        (fixed(3, None), json!("AAEC")),
        (json!({"type": "array", "items": "int"}), json!([1, -1, 64])),
        (json!({"type": "map", "values": "string"}), json!({"a": "1", "": "2"})),
        (json!({"type": "enum", "name": "E", "symbols": ["NEW", "PAID"]}), json!("PAID")),
        (json!(["null", "long", "string"]), json!("x")),
        (decimal.clone(), json!("-12.50")),
        (decimal, json!("0.07")),
        (fixed_decimal, json!("-0.01")),
        (logical("bytes", "big-decimal"), json!("123456789012345678901234567890.5")),
        (logical("string", "uuid"), json!("0191e1f0-0000-7000-8000-000000000001")),
        (fixed(16, Some("uuid")), json!("0191e1f0-0000-7000-8000-000000000001")),
        (fixed(12, Some("duration")), json!({"months": 1, "days": 2, "milliseconds": 3})),
        (logical("int", "date"), json!("1969-12-31")),
        (logical("int", "date"), json!("9999-12-31")),
        (logical("long", "local-timestamp-micros"), json!("9999-12-31T23:59:59.999999")),
        (logical("long", "timestamp-millis"), json!("9999-12-31T23:59:59.999Z")),
        (logical("long", "timestamp-millis"), json!("0001-01-01T00:00:00Z")),
        (logical("int", "time-millis"), json!("23:59:59.999")),
        (logical("long", "time-micros"), json!("00:00:00.000001")),
        (logical("long", "timestamp-millis"), json!("1969-12-31T23:59:59.999Z")),
        (logical("long", "timestamp-micros"), json!("2026-01-31T23:59:59.000001Z")),
        (logical("long", "timestamp-nanos"), json!("2026-01-31T23:59:59.000000001Z")),
        (logical("long", "local-timestamp-millis"), json!("2026-01-31T23:59:59.5")),
    ] {
        let value = json!({"f": value});
        assert_eq!(through(&of(of_type.clone()), &value), value, "{of_type}");
    }
}

#[test]
fn values_that_a_service_writes_are_converted() {
    for (of_type, written, read) in [
        (
            logical("long", "timestamp-millis"),
            json!("2026-01-31T23:59:59.123456+01:00"),
            json!("2026-01-31T22:59:59.123Z"),
        ),
        (logical("long", "timestamp-millis"), json!(5), json!("1970-01-01T00:00:00.005Z")),
        (logical("int", "date"), json!(1), json!("1970-01-02")),
        (
            json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
            json!(12.5),
            json!("12.50"),
        ),
        (
            json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
            json!("1.500"),
            json!("1.50"),
        ),
        (json!("double"), json!(5), json!(5.0)),
        (json!("float"), json!(0.1), json!(0.1)),
    ] {
        let read_back = through(&of(of_type.clone()), &json!({"f": written}));
        assert_eq!(read_back, json!({"f": read}), "{of_type}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_its_path_alone() {
    let order = schema(&json!({"type": "record", "name": "Order", "fields": [
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "pieces", "type": "int"}, {"name": "extra", "type": {"type": "map", "values": "boolean"}}]}}}]}));
    let line = |line: Value| json!({"lines": [{"pieces": 1, "extra": {}}, line]});
    assert_eq!(
        refusal(&order, &line(json!({"pieces": "secret", "extra": {}}))),
        "field `lines.1.pieces`: value is no int"
    );
    assert_eq!(
        refusal(&order, &line(json!({"pieces": 1, "extra": {"secret": 1}}))),
        "field `lines.1.extra.*`: value is no boolean"
    );
    assert_eq!(
        refusal(&order, &line(json!({"extra": {}}))),
        "field `lines.1.pieces`: field is absent, and the schema has no default for it"
    );
    assert_eq!(
        refusal(&order, &line(json!({"pieces": 1, "extra": {}, "gift": true}))),
        "field `lines.1.gift`: schema does not have the field, which would be lost"
    );
    for (of_type, value) in [
        (json!("int"), json!(2_147_483_648_i64)),
        (json!("long"), json!(u64::MAX)),
        (json!("long"), json!(1.0)),
        (json!("bytes"), json!("no base64")),
        (json!({"type": "fixed", "name": "F", "size": 3}), json!("AAE=")),
        (json!({"type": "enum", "name": "E", "symbols": ["NEW"]}), json!("OLD")),
        (json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}), json!("1.005")),
        (json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}), json!("100.00")),
        (json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}), json!("1e2")),
        (json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}), json!("")),
        (logical("long", "timestamp-millis"), json!("2026-01-31T23:59:59")),
        (logical("int", "date"), json!("2026-01-31T23:30:00-05:00")),
        (logical("int", "time-millis"), json!("2026-01-31T23:30:00")),
        (logical("int", "time-millis"), json!("23:30:00+01:00")),
        (logical("long", "local-timestamp-millis"), json!("2026-01-31T23:30:00+05:00")),
        (logical("long", "local-timestamp-millis"), json!("2026-01-31")),
        (json!("float"), json!(1e300)),
        (
            json!({"type": "bytes", "logicalType": "decimal", "precision": 16, "scale": 2}),
            json!(99_999_999_999_999.99),
        ),
        (logical("int", "time-millis"), json!(86_400_000)),
        (logical("string", "uuid"), json!("7")),
        (json!(["null", "int"]), json!("x")),
    ] {
        assert!(refusal(&of(of_type.clone()), &json!({"f": value})).starts_with("field `f`: "), "{of_type}");
    }
}

#[test]
fn a_union_takes_the_branch_of_the_value_s_own_type() {
    let record = |name: &str, field: &str| {
        json!({"type": "record", "name": name, "fields": [{"name": field, "type": "int"},
            {"name": "note", "type": ["null", "string"], "default": null}]})
    };
    let branches = json!(["null", "bytes", "float", "double", "long", "string", {"type": "map", "values": "int"},
        record("Card", "card"), record("Cash", "cash")]);
    let schema = of(branches);
    let branch = |value: Value| schema.write(&json!({"f": value})).unwrap()[0] / 2;
    for (value, number) in [
        (json!(null), 0),
        (json!(1.5), 2),
        (json!(0.123_456_789_012), 3),
        (json!(1e300), 3),
        (json!(1), 4),
        (json!("AP8="), 5),
        (json!({"other": 1}), 6),
        (json!({"card": 1}), 7),
        (json!({"cash": 1, "note": "x"}), 8),
    ] {
        assert_eq!(branch(value.clone()), number, "{value}");
    }
}

#[test]
fn an_absent_field_takes_its_default_as_the_schema_writes_it() {
    let schema = schema(&json!({"type": "record", "name": "R", "fields": [
        {"name": "text", "type": "string", "default": "none"},
        {"name": "bytes", "type": "bytes", "default": "\u{ff}\u{0}"},
        {"name": "raw", "type": ["bytes", "string"], "default": "\u{ff}"},
        {"name": "price", "type": ["double", "long"], "default": 0},
        {"name": "maybe", "type": ["null", "int"]},
        {"name": "count", "type": ["int", "null"], "default": 7},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}]}));
    let expected = json!({"text": "none", "bytes": "/wA=", "raw": "/w==", "price": 0.0, "maybe": null, "count": 7, "tags": []});
    assert_eq!(through(&schema, &json!({})), expected);
}

#[test]
fn names_are_found_in_namespaces_recursion_and_dependencies() {
    let tree = schema(&json!({"type": "record", "name": "a.Tree", "fields": [
        {"name": "leaf", "type": {"type": "enum", "name": "Leaf", "symbols": ["OAK"]}},
        {"name": "again", "type": "Leaf"},
        {"name": "children", "type": {"type": "array", "items": "Tree"}}]}));
    let value =
        json!({"leaf": "OAK", "again": "OAK", "children": [{"leaf": "OAK", "again": "OAK", "children": []}]});
    assert_eq!(through(&tree, &value), value);

    let money = json!({"type": "record", "name": "Money", "namespace": "shop", "fields": [
        {"name": "pence", "type": "long"}]});
    let order = json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [
        {"name": "total", "type": "shop.Money"}, {"name": "paid", "type": ["null", "Money"]}]});
    let order = AvroSchema::parse(&order.to_string(), &[money.to_string()]).unwrap();
    let value = json!({"total": {"pence": 1}, "paid": {"pence": 2}});
    assert_eq!(through(&order, &value), value);
    assert_eq!(order.name(), Some("shop.Order"));
}

#[test]
fn what_is_no_schema_is_refused() {
    for text in [
        "",
        "{}",
        "\"nothing\"",
        r#"{"type": "record", "name": "R", "fields": [{"name": "f", "type": "Unknown"}]}"#,
    ] {
        let error = AvroSchema::parse(text, &[]).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{text}");
    }
}
