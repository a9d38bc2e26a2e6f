//! `#[derive(Event)]`: the generated code. The texts of its errors are in `diagnostics/cases/derive/`.

#[path = "derive/hostile_surroundings.rs"]
mod hostile_surroundings;
#[path = "derive/wire_names_of_its_own.rs"]
mod wire_names_of_its_own;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use messagekit::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    total_cents: u64,
}

#[derive(Debug, Serialize, Deserialize, Event)]
#[event(type = "shop.ping", topic = "Health_checks.v2", version = "3.14", source = "web-shop-2")]
struct Ping {}

/// Returns the key of an event; allows one line per case.
fn key_of<E: Event>(event: &E) -> Option<String> {
    event.key().map(Cow::into_owned)
}

#[test]
fn the_type_is_taken_from_the_attribute() {
    assert_eq!(OrderPlaced::TYPE, "orders.order.placed");
    assert_eq!(Ping::TYPE, "shop.ping");
}

#[test]
fn topic_defaults_to_the_type_without_its_last_segment() {
    assert_eq!(OrderPlaced::TOPIC, "orders.order");
}

#[test]
fn an_explicit_topic_replaces_the_default() {
    assert_eq!(Ping::TOPIC, "Health_checks.v2");
}

#[test]
fn version_defaults_to_one_point_zero() {
    assert_eq!(OrderPlaced::VERSION, "1.0");
    assert_eq!(Ping::VERSION, "3.14");
}

#[test]
fn source_is_absent_unless_given() {
    assert_eq!(OrderPlaced::SOURCE, None);
    assert_eq!(Ping::SOURCE, Some("web-shop-2"));
}

#[test]
fn the_named_field_is_the_key() {
    let placed = OrderPlaced { order_id: "o-7".to_owned(), total_cents: 1 };
    assert_eq!(placed.key().as_deref(), Some("o-7"));
}

#[test]
fn an_event_without_a_key_promises_no_order() {
    assert_eq!(Ping {}.key(), None);
}

#[test]
fn an_empty_struct_is_an_empty_object() {
    assert_eq!(serde_json::to_string(&Ping {}).expect("serialized"), "{}");
}

#[test]
fn text_keys_are_borrowed() {
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.qualified", key = "id")]
    struct Qualified {
        id: std::string::String,
    }
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.boxed", key = "id")]
    struct Boxed {
        id: Box<str>,
    }
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.optional", key = "id")]
    struct Optional {
        id: Option<String>,
    }

    let id = || "k".to_owned();
    for key in [
        OrderPlaced { order_id: id(), total_cents: 1 }.key(),
        Qualified { id: id() }.key(),
        Boxed { id: id().into() }.key(),
        Optional { id: Some(id()) }.key(),
    ] {
        assert!(matches!(key, Some(Cow::Borrowed("k"))), "{key:?}");
    }
    assert_eq!(Optional { id: None }.key(), None);
}

#[test]
fn static_text_is_a_key() {
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.opened", key = "region")]
    struct Opened {
        // This field is not deserialised: serde would have to borrow it for `'static`.
        #[serde(skip_deserializing)]
        region: &'static str,
    }

    assert!(matches!(Opened { region: "eu" }.key(), Some(Cow::Borrowed("eu"))));
}

#[test]
fn anything_with_display_is_a_key() {
    #[derive(Serialize, Deserialize)]
    struct Sku(u32);
    impl fmt::Display for Sku {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "sku-{}", self.0)
        }
    }
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.numbered", key = "number")]
    struct Numbered {
        number: i64,
    }
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.stocked", key = "sku")]
    struct Stocked {
        sku: Sku,
    }

    assert_eq!(key_of(&Numbered { number: -7 }).as_deref(), Some("-7"));
    assert_eq!(key_of(&Stocked { sku: Sku(9) }).as_deref(), Some("sku-9"));
}

#[test]
fn a_uuid_is_a_key() {
    /// A serialisable Uuid, independent of the features of the `uuid` crate.
    mod as_text {
        use super::*;

        pub(super) fn serialize<S: serde::Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(id)
        }

        pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Uuid, D::Error> {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        }
    }
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.identified", key = "id")]
    struct Identified {
        #[serde(with = "as_text")]
        id: Uuid,
    }

    assert_eq!(key_of(&Identified { id: Uuid::nil() }), Some(Uuid::nil().to_string()));
}

#[test]
fn an_absent_optional_key_is_no_key() {
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.moved", key = "shelf")]
    struct Moved {
        shelf: std::option::Option<u16>,
    }

    assert_eq!(key_of(&Moved { shelf: Some(12) }).as_deref(), Some("12"));
    assert_eq!(key_of(&Moved { shelf: None }), None);
}

#[test]
fn a_raw_identifier_is_named_with_and_without_its_prefix() {
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.plain", key = "type")]
    struct Plain {
        r#type: String,
    }
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.prefixed", key = "r#type")]
    struct Prefixed {
        r#type: String,
    }
    #[derive(Serialize, Deserialize, Event)]
    #[event(r#type = "a.ordinary", key = "r#id")]
    struct Ordinary {
        id: String,
    }

    assert_eq!(key_of(&Plain { r#type: "p".into() }).as_deref(), Some("p"));
    assert_eq!(key_of(&Prefixed { r#type: "q".into() }).as_deref(), Some("q"));
    assert_eq!(key_of(&Ordinary { id: "r".into() }).as_deref(), Some("r"));
}

#[test]
fn a_generic_struct_is_an_event_where_its_parameters_allow() {
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.changed", key = "id")]
    struct Changed<Id, T> {
        id: Id,
        before: Option<T>,
        after: T,
    }
    #[derive(Serialize, Deserialize, Event)]
    #[event(type = "a.measured", key = "id")]
    struct Measured<T, const N: usize>
    where
        T: fmt::Display + Clone,
    {
        id: Option<T>,
        #[serde(skip)]
        names: [Option<Arc<str>>; 2],
    }

    let changed = Changed { id: 5_u8, before: None, after: vec!["x".to_owned()] };
    assert_eq!(key_of(&changed).as_deref(), Some("5"));
    assert!(changed.before.is_none() && changed.after.len() == 1);
    assert_eq!(Changed::<String, u8>::TYPE, "a.changed");
    let measured = Measured::<char, 3> { id: Some('c'), names: [None, None] };
    assert_eq!(key_of(&measured).as_deref(), Some("c"));
    assert_eq!(measured.names.len(), 2);
}

#[test]
fn a_parameter_bound_with_serde_traits_is_not_ambiguous() {
    #[derive(Serialize, Deserialize, Event)]
    #[serde(bound = "")]
    #[event(type = "a.recorded")]
    struct Recorded<T: Serialize + DeserializeOwned + Send + Sync + 'static> {
        value: T,
    }

    assert_eq!(Recorded { value: 1 }.key(), None);
}

#[test]
fn a_struct_written_by_a_macro_is_an_event() {
    macro_rules! event {
        ($name:ident, $event_type:literal, $key:ident: $key_type:ty) => {
            #[derive(Serialize, Deserialize, Event)]
            #[event(type = $event_type, key = "id")]
            struct $name {
                $key: $key_type,
            }
        };
    }
    event!(Text, "made.text", id: String);
    event!(Number, "made.number", id: Option<u8>);

    assert_eq!(Text::TYPE, "made.text");
    assert!(matches!(Text { id: "t".into() }.key(), Some(Cow::Borrowed("t"))));
    assert_eq!(key_of(&Number { id: Some(1) }).as_deref(), Some("1"));
}
