//! A consumer before servers that do not answer, or answer as no server of messagekit does.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

mod silent;
mod strange;
