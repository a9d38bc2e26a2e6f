//! What the tests of this package share when they need real services.
//!
//! The services are started by `cargo xtask test` (or `cargo xtask stack up`) and named by variables. A test that needs one
//! and does not find it fails; it is never passed over.

mod database;
mod port;
pub mod raw_amqp;
pub mod services;

pub use database::Database;
pub use port::Port;
