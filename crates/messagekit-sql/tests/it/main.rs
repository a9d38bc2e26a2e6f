//! Statements are read, written again, refused with the token that is wrong, and run over a file.
//!
//! `MESSAGEKIT_FULL=1` runs the long tests at their stated size. `MESSAGEKIT_SEED` selects the statements of the fuzzer.

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
