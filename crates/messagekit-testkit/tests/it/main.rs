//! The suites over the in-memory adapters, and the tests of the suites.

mod crash;
mod effectively_once;
mod faulty;
mod ledger;
mod memory;
mod meta;
mod scenario;
mod waiting;
