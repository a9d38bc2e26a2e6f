//! The suites over the adapters in memory, and the suites' own tests.

mod crash;
mod ledger;
mod memory;
mod meta;
mod waiting;
