//! The bridge from Kafka to RabbitMQ: a program, and the library under it.
//!
//! The bridge publishes every record of its topics to an exchange, at least once and in order per key. Id, headers
//! and payload bytes stay the same. A record that cannot be forwarded is stored as a complete dead letter before its
//! offset moves. The loop and its guarantees are [`messagekit::bridge`]; this crate reads settings, opens the
//! connections and serves health and metrics.
//!
//! ```no_run
//! # async fn run() -> Result<(), messagekit::Error> {
//! use std::path::Path;
//! use messagekit::Shutdown;
//! use messagekit::config::Configuration;
//! use messagekit_bridge::Settings;
//!
//! let settings = Settings::read(&Configuration::load(Some(Path::new("bridge.toml")))?)?;
//! messagekit_bridge::run(settings, Shutdown::on_signal()?).await
//! # }
//! ```

mod connections;
mod health;
mod program;
mod run;
mod settings;

pub use program::program;
pub use run::run;
pub use settings::Settings;
