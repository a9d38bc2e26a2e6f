//! Rust types and Pydantic models of the same data have the same shape.
//!
//! `pydantic.json` holds what Pydantic 2.13 writes for a model of each name.

#![allow(dead_code, reason = "only the schemas of the types are looked at")]

use std::collections::HashMap;

use messagekit_schema::{Shape, canonical, differences};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// An item, with a docstring of its own.
#[derive(JsonSchema)]
struct Flat {
    /// Where it stands.
    url: String,
    title: String,
}

#[derive(JsonSchema)]
struct Numbers {
    count: u32,
    price: f64,
    big: i64,
}

#[derive(JsonSchema)]
struct OptionalNote {
    id: String,
    note: Option<String>,
}

#[derive(JsonSchema)]
struct Flags {
    on: bool,
    #[serde(default)]
    off: bool,
}

#[derive(JsonSchema)]
struct Lists {
    tags: Vec<String>,
    matrix: Vec<Vec<f64>>,
}

#[derive(JsonSchema)]
struct Inner {
    street: String,
    number: i32,
}

#[derive(JsonSchema)]
struct Nested {
    name: String,
    address: Inner,
}

#[derive(JsonSchema)]
struct NestedTwice {
    home: Inner,
    work: Option<Inner>,
}

#[derive(JsonSchema)]
struct Map {
    counts: HashMap<String, i64>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Color {
    /// As of the sky.
    Blue,
    Red,
    Green,
}

#[derive(JsonSchema)]
struct WithEnum {
    color: Color,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Only,
}

#[derive(JsonSchema)]
struct OneValue {
    kind: Kind,
}

#[derive(JsonSchema)]
struct Times {
    #[schemars(extend("format" = "date-time"))]
    at: String,
    day: String,
}

#[derive(JsonSchema)]
struct Pair {
    point: (f64, f64),
}

#[derive(JsonSchema)]
struct Any {
    data: Value,
}

#[derive(JsonSchema)]
struct Tree {
    name: String,
    children: Vec<Tree>,
}

#[derive(JsonSchema)]
struct Cat {
    lives: u8,
}

#[derive(JsonSchema)]
struct Dog {
    name: String,
}

#[derive(JsonSchema)]
#[serde(untagged)]
enum Pet {
    Dog(Dog),
    Cat(Cat),
}

#[derive(JsonSchema)]
struct Choice {
    pet: Pet,
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Closed {
    a: i64,
}

#[derive(JsonSchema)]
struct Ids {
    id: String,
}

#[derive(JsonSchema)]
struct MaybeList {
    items: Option<Vec<i64>>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Number(i64),
}

#[derive(JsonSchema)]
struct Mixed {
    value: TextOrNumber,
}

#[derive(JsonSchema)]
struct MapOfLists {
    groups: HashMap<String, Vec<Inner>>,
}

#[derive(JsonSchema)]
struct Unicode {
    #[serde(rename = "straße")]
    street: String,
}

fn shape_of<T: JsonSchema>() -> Shape {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    Shape::of_schema(&schema.to_value()).expect("a Rust type has a shape")
}

macro_rules! pairs {
    ($($model:ident),*) => { vec![$((stringify!($model), shape_of::<$model>())),*] };
}

#[test]
fn every_pair_has_one_shape_and_one_hash() {
    let pydantic: Value = serde_json::from_str(include_str!("pydantic.json")).unwrap();
    let pairs = pairs![
        Flat,
        Numbers,
        OptionalNote,
        Flags,
        Lists,
        Nested,
        NestedTwice,
        Map,
        WithEnum,
        OneValue,
        Times,
        Pair,
        Any,
        Tree,
        Choice,
        Closed,
        Ids,
        MaybeList,
        Mixed,
        MapOfLists,
        Unicode
    ];
    assert_eq!(pairs.len(), pydantic.as_object().unwrap().len());
    for (model, rust) in &pairs {
        let python = Shape::of_schema(&pydantic[model]).unwrap();
        assert_eq!(differences(&python, rust), [], "{model}: {python} and {rust}");
        assert_eq!(python.hash(), rust.hash(), "{model}");
        assert_eq!(Shape::decode(&rust.encode()).unwrap().as_ref(), Some(rust), "{model}");
    }
    let hashes: std::collections::BTreeSet<String> = pairs.iter().map(|(_, shape)| shape.hash()).collect();
    // Flat and Ids differ by their fields, Times only by its formats.
    assert_eq!(hashes.len(), pairs.len());
}

/// The SHA-256 of what `json.dumps` of CPython 3.11 writes for the same values.
#[test]
fn hashes_are_those_of_python() {
    for (value, hash) in [
        (json!({}), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        (json!({"b": "é", "a": 1}), "09ad9fd2fb648cb2f62141215828ea00a62c299db05d20aa9ade2f527a301cc6"),
        (
            json!({"j": 5e-324, "i": -0.0, "h": 1e-5, "g": 1e16, "f": 0.1}),
            "35cda7ae57988b8f952d95582131623ea44892d990f7ce4eacc697ea17c27bfe",
        ),
        (
            json!({"z": [null, true, {"b": 2, "a": "\u{1}\n"}], "n": 12_345_678_901_234_567_890_u64}),
            "e574b3e0c5bb5f66cdf51ba09ae621ed0a17cea2dae4903212234a645b7e2003",
        ),
        (
            json!({"url": "https://example.org/?a=1&b=ü", "n": 1.0}),
            "43e6ecbe86e86f972ba3677f3b931b1eb2e8271ec07481ddb6fb7875f9a321db",
        ),
    ] {
        assert_eq!(canonical::hash(&value), hash, "{value}");
    }
}
