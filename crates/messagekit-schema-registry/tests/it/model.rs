//! Values of any schema, against the crate `apache-avro` as a model.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use messagekit_schema_registry::AvroSchema;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A schema and a value that fits it, both as JSON.
type Pair = (Value, Value);

fn scalar() -> impl Strategy<Value = Pair> {
    let logical = |of: &str, name: &str| json!({"type": of, "logicalType": name});
    prop_oneof![
        Just((json!("null"), json!(null))),
        any::<bool>().prop_map(|value| (json!("boolean"), json!(value))),
        any::<i32>().prop_map(|value| (json!("int"), json!(value))),
        any::<i64>().prop_map(|value| (json!("long"), json!(value))),
        any::<i32>().prop_map(|value| (json!("double"), json!(f64::from(value) / 8.0))),
        any::<i16>().prop_map(|value| (json!("float"), json!(f64::from(value) / 8.0))),
        ".*".prop_map(|value| (json!("string"), json!(value))),
        Just((json!("bytes"), json!("AP8="))),
        (-2_000_000..2_000_000).prop_map(move |days: i32| {
            let date = jiff::civil::Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(days));
            (logical("int", "date"), json!(date.unwrap().to_string()))
        }),
        (-62_000_000_000_000..200_000_000_000_000_i64).prop_map(move |at| {
            let at = jiff::Timestamp::from_millisecond(at).unwrap();
            (logical("long", "timestamp-millis"), json!(at.to_string()))
        }),
        (-99_999_999..99_999_999_i64).prop_map(|number| {
            let of = json!({"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2});
            let sign = if number < 0 { "-" } else { "" };
            let number = number.abs();
            (of, json!(format!("{sign}{}.{:02}", number / 100, number % 100)))
        }),
    ]
}

fn pair() -> impl Strategy<Value = Pair> {
    scalar().prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|(of, value)| (
                json!({"type": "array", "items": of}),
                json!([value.clone(), value])
            )),
            // One entry: the model writes several in any order.
            (inner.clone(), ".*")
                .prop_map(|((of, value), name)| (json!({"type": "map", "values": of}), json!({name: value}))),
            inner.clone().prop_filter_map("unions hold no unions and one null", |(of, value)| {
                let fits = !of.is_array() && of != json!("null");
                fits.then(|| (json!(["null", of]), value))
            }),
            prop::collection::vec(inner, 1..5).prop_map(|fields| {
                let (mut of, mut value) = (Vec::new(), Map::new());
                for (number, (field, held)) in fields.into_iter().enumerate() {
                    of.push(json!({"name": format!("f{number}"), "type": field}));
                    value.insert(format!("f{number}"), held);
                }
                (json!({"type": "record", "name": "R", "fields": of}), Value::Object(value))
            }),
        ]
    })
}

/// Gives each record a name of its own.
fn named(of: &mut Value, next: &mut u32) {
    match of {
        Value::Object(object) => {
            if object.get("type") == Some(&json!("record")) {
                *next += 1;
                object.insert("name".to_owned(), json!(format!("R{next}")));
            }
            object.values_mut().for_each(|value| named(value, next));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| named(value, next)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_value_survives_and_the_model_writes_the_same_bytes((mut of, value) in pair()) {
        named(&mut of, &mut 0);
        let schema = AvroSchema::parse(&of.to_string(), &[]).unwrap();
        let data = schema.write(&value).unwrap();
        let read: Value = serde_json::from_slice(&schema.read(&data).unwrap()).unwrap();
        prop_assert_eq!(&read, &value);

        let model = Schema::parse(&of).unwrap();
        let mut left = &data[..];
        let found = GenericDatumReader::builder(&model).build().unwrap().read_value(&mut left).unwrap();
        prop_assert!(left.is_empty());
        let written = GenericDatumWriter::builder(&model).build().unwrap().write_value_to_vec(found).unwrap();
        prop_assert_eq!(written, data.clone());

        for end in 0..data.len() {
            prop_assert!(schema.read(&data[..end]).is_err(), "cut after {} of {} bytes", end, data.len());
        }
        let longer = [&data[..], &[0]].concat();
        prop_assert!(schema.read(&longer).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused((mut of, _) in pair(), data in prop::collection::vec(any::<u8>(), 0..200)) {
        named(&mut of, &mut 0);
        let schema = AvroSchema::parse(&of.to_string(), &[]).unwrap();
        if let Ok(json) = schema.read(&data) {
            prop_assert!(serde_json::from_slice::<Value>(&json).is_ok());
        }
    }
}
