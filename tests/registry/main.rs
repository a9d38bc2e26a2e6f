//! A schema registry that is a real server, Confluent's serializers for Python, and Kafka between them.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod apicurio;
mod conformance;
mod outage;
mod serializers;
