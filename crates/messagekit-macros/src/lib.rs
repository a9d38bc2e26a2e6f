//! The derive macro of messagekit: `#[derive(Event)]`.
//!
//! Use it through the `messagekit` crate, which exports the trait and the derive under one name; the
//! generated code refers to `::messagekit` and does not compile without it.
//!
//! ```text
//! use messagekit::Event;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Event)]
//! #[event(type = "orders.order.placed", key = "order_id")]
//! struct OrderPlaced {
//!     order_id: String,
//!     total_cents: u64,
//! }
//!
//! assert_eq!(OrderPlaced::TYPE, "orders.order.placed");
//! assert_eq!(OrderPlaced::TOPIC, "orders.order");
//! ```
//!
//! The attribute is checked at compile time. Each problem is reported at the literal or name that causes it, with a
//! correct form.

mod attribute;
mod entry;
mod expand;
mod grammar;
mod key;
mod problems;
mod suggest;
mod wire_names;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `messagekit::Event` for a struct.
///
/// ```text
/// #[derive(Serialize, Deserialize, Event)]
/// #[event(type = "orders.order.placed", key = "order_id", version = "1.2", source = "shop")]
/// struct OrderPlaced {
///     order_id: String,
///     total_cents: u64,
/// }
/// ```
///
/// # The attribute
///
/// | key | required | value | when left out |
/// |---|---|---|---|
/// | `type` | yes | two or more segments joined by dots, each of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit; at most 200 bytes | |
/// | `topic` | no | 1 to 249 characters of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, not `.` or `..` | the type without its last segment: `orders.order` |
/// | `key` | no | the name of a field; events with the same key keep their order | no order is guaranteed |
/// | `version` | no | `MAJOR.MINOR`, two decimal numbers | `1.0` |
/// | `upcast_from` | no | the event of the major version before, a type; there is a conversion `From` or `TryFrom` it | data of earlier major versions is refused |
/// | `source` | no | the origin of the event: begins with `a-z`, then `a-z`, `0-9` and `-` | the name of the outbox |
///
/// The field that `key` names has a type with `Display`, or an `Option` of one: `None` means that this event has no
/// key. Text (`String`, `&'static str`, `Box<str>`, `Arc<str>`) is borrowed, every other type is formatted. Only a
/// field of the struct itself is possible, not a path into one.
///
/// # The struct
///
/// A struct with named fields, or `struct Ping {}` for an event without data. Type and constant parameters are
/// allowed: the generated impl keeps the bounds of the struct. It applies to parameters for which the struct is
/// `Serialize + DeserializeOwned + Send + Sync + 'static`. A key field whose type depends on a parameter must be
/// `Display`.
///
/// # Rejected structs
///
/// - Tuple structs and unit structs: an event is a JSON object, but they are an array and `null`.
/// - Enums: a type belongs to one struct, so that its subscribers know the format.
/// - Lifetime parameters: events outlive the code that published them.
/// - `#[serde(deny_unknown_fields)]`: the flat wire form puts the envelope's fields beside the event's own.
/// - A field with the name of an envelope field on the wire (`eventId`, `source`, `metadata` and so on, also as
///   `event_id`), for the same reason. Renames, aliases and `rename_all` are taken into account.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::event_impl(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
