//! The generated code needs nothing in scope, and surrounding lints do not affect it.
#![deny(warnings, unused_qualifications, deprecated)]
#![allow(dead_code)]
#![no_implicit_prelude]

mod shadows {
    pub(super) struct Option;
    pub(super) struct String;
    pub(super) struct Cow;
    pub(super) mod std {}
    pub(super) mod messagekit {}
}
#[allow(unused_imports)]
use shadows::*;

#[deprecated]
#[derive(::serde::Serialize, ::serde::Deserialize, ::messagekit::Event)]
#[event(type = "a.b", topic = "t", version = "1.1", source = "s", key = "id")]
struct Old {
    id: ::std::string::String,
}

#[derive(::serde::Serialize, ::serde::Deserialize, ::messagekit::Event)]
#[event(type = "a.b", key = "id")]
struct Optional<T> {
    #[deprecated]
    id: ::std::option::Option<T>,
}
