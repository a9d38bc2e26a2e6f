//! The numbered programs beside this file are the examples; each says in its first line how to run it, and
//! `tests/output.rs` compares what it prints.
//!
//! The library itself is empty. It is here so that the sample in the project's README is compiled.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
