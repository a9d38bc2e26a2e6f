//! The suites over the in-memory adapters, and the tests of the suites.

mod crash;
mod ledger;
mod memory;
mod meta;
mod waiting;
