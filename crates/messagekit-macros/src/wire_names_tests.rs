//! Tests of fields that clash with the envelope.

use syn::{Data, Fields};

use super::*;

/// Returns the error texts for a struct, in order.
fn problems_of(source: &str) -> Vec<String> {
    let input: DeriveInput = syn::parse_str(source).expect(source);
    let Data::Struct(data) = &input.data else { return Vec::new() };
    let Fields::Named(named) = &data.fields else { return Vec::new() };
    let mut problems = Problems::default();
    check(&input, &named.named.iter().collect::<Vec<_>>(), &mut problems);
    match problems.into_result() {
        Ok(()) => Vec::new(),
        Err(error) => error.into_iter().map(|problem| problem.to_string()).collect(),
    }
}

#[test]
fn every_envelope_name_clashes_as_a_field_name() {
    for name in ENVELOPE_NAMES {
        assert_eq!(problems_of(&format!("struct OrderPlaced {{ {name}: u8 }}")).len(), 1, "{name}");
    }
    assert!(problems_of("struct A { id: u8, event: u8, sources: u8, r#type: u8, key: u8 }").is_empty());
}

#[test]
fn a_convention_makes_and_avoids_clashes() {
    for (convention, clashes) in [
        ("camelCase", true),
        ("snake_case", true),
        ("lowercase", true),
        ("UPPERCASE", false),
        ("PascalCase", false),
        ("SCREAMING_SNAKE_CASE", false),
        ("kebab-case", false),
        ("SCREAMING-KEBAB-CASE", false),
    ] {
        let source = format!("#[serde(rename_all = \"{convention}\")] struct A {{ event_id: u8 }}");
        assert_eq!(!problems_of(&source).is_empty(), clashes, "{convention}");
    }
    let one_side = "#[serde(rename_all(serialize = \"kebab-case\"))] struct A { event_id: u8 }";
    assert_eq!(problems_of(one_side).len(), 1, "it is still read as event_id");
}

#[test]
fn a_rename_makes_and_avoids_clashes() {
    for (field, clashes) in [
        ("#[serde(rename = \"origin\")] source: u8", false),
        ("#[serde(default, rename = \"source\")] origin: u8", true),
        ("#[serde(rename(serialize = \"source\"))] origin: u8", true),
        ("#[serde(rename(deserialize = \"metadata\"))] origin: u8", true),
        ("#[serde(rename(serialize = \"a\", deserialize = \"b\"))] source: u8", false),
        ("#[serde(rename(serialize = \"a\"))] source: u8", true),
        ("#[serde(alias = \"eventId\")] id: u8", true),
        ("#[serde(default)] #[serde(rename = \"eventId\")] id: u8", true),
    ] {
        assert_eq!(!problems_of(&format!("struct A {{ {field} }}")).is_empty(), clashes, "{field}");
    }
}

#[test]
fn a_field_that_is_not_on_the_wire_does_not_clash() {
    for (source, clashes) in [
        ("struct A { #[serde(skip)] source: u8 }", false),
        ("struct A { #[serde(skip_serializing, skip_deserializing)] source: u8 }", false),
        ("struct A { #[serde(skip_serializing)] source: u8 }", true),
        ("struct A { #[serde(skip_serializing_if = \"is_zero\")] source: u8 }", true),
        ("struct A { #[serde(flatten)] metadata: Extra }", false),
        ("#[serde(transparent)] struct A { source: Extra }", false),
        ("#[serde(from = \"B\", into = \"B\")] struct A { source: u8 }", false),
        ("#[serde(from = \"B\")] struct A { source: u8 }", true),
    ] {
        assert_eq!(!problems_of(source).is_empty(), clashes, "{source}");
    }
}

#[test]
fn the_container_is_checked_too() {
    assert_eq!(problems_of("#[serde(default, deny_unknown_fields)] struct A {}").len(), 1);
    assert_eq!(problems_of("#[serde(tag = \"eventType\")] struct A {}").len(), 1);
    assert!(problems_of("#[serde(tag = \"kind\")] struct A {}").is_empty());
}

#[test]
fn a_clash_comes_with_a_free_name_in_the_same_convention() {
    let texts = problems_of("#[serde(rename_all = \"camelCase\")] struct OrderPlaced { event_id: u8 }");
    let text = texts.join("\n");
    assert!(text.contains("`order_event_id`") && text.contains("\"orderEventId\""), "{text}");
}

#[test]
fn what_serde_refuses_is_left_to_serde() {
    for source in [
        "#[serde(rename_all = 3)] struct A { id: u8 }",
        "#[serde(= =)] struct A { id: u8 }",
        "#[serde] struct A { id: u8 }",
        "struct A { #[serde(rename(serialize))] id: u8 }",
        "#[serde(rename_all = \"camelCase\")] struct A { _: u8 }",
        "#[serde(rename_all = \"camelCase\")] struct A { __é: u8 }",
    ] {
        assert!(syn::parse_str::<DeriveInput>(source).is_err() || problems_of(source).is_empty(), "{source}");
    }
}
