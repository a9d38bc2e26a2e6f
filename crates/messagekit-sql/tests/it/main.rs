//! Statements are read, written again, refused with the token that is wrong, and run over a file.
//!
//! `MESSAGEKIT_FULL=1` runs the long tests at their stated size. `MESSAGEKIT_SEED` selects the statements of the fuzzer.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

mod caps;
mod commands;
mod errors;
mod expressions;
mod fuzz;
mod refused_queries;
mod refused_topics;
mod scripts;
mod session;
mod session_groups;
mod session_home;
mod statements;
