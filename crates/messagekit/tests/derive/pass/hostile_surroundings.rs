//! The generated code needs nothing in scope, and surrounding lints do not affect it.
#![deny(warnings, unused_qualifications, deprecated)]
#![allow(dead_code)]
#![no_implicit_prelude]

mod shadows {
    pub struct Option;
    pub struct String;
    pub struct Cow;
    pub mod std {}
    pub mod messagekit {}
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

fn main() {}
