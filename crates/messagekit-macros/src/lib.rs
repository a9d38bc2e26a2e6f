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
//! Everything the attribute says is checked while compiling, and each problem is reported at the literal or
//! name that causes it, together with what to write instead.

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
/// | `key` | no | the name of a field; events with the same key keep their order | no order is promised |
/// | `version` | no | `MAJOR.MINOR`, two decimal numbers | `1.0` |
/// | `source` | no | who says so: begins with `a-z`, then `a-z`, `0-9` and `-` | the name of the outbox |
///
/// The field that `key` names is anything with `Display`, or an `Option` of that: `None` means that this one
/// event has no key. Text (`String`, `&'static str`, `Box<str>`, `Arc<str>`) is borrowed, everything else is
/// formatted. Only a field of the struct itself can be named, not a path into one.
///
/// # The struct
///
/// A struct with named fields, or `struct Ping {}` for an event that says everything by happening. Type and
/// constant parameters are allowed: the generated impl carries the bounds of the struct over, and holds for
/// those parameters for which the struct is `Serialize + DeserializeOwned + Send + Sync + 'static` (and its
/// key field is `Display`, where that field's type depends on a parameter).
///
/// # What is refused, and why
///
/// - Tuple structs and unit structs: an event is a JSON object, they are an array and `null`.
/// - Enums: a type belongs to one struct, so that whoever subscribes to it knows what arrives.
/// - Lifetime parameters: events outlive the code that published them.
/// - `#[serde(deny_unknown_fields)]`: the flat wire form puts the envelope's fields beside the event's own.
/// - A field that is called like an envelope field on the wire (`eventId`, `source`, `metadata` and so on,
///   also as `event_id`), for the same reason. Renames, aliases and `rename_all` are taken into account.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::event_impl(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
