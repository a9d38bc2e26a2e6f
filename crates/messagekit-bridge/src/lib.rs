//! The bridge from Kafka to RabbitMQ: a program, and the library under it.
//!
//! Every record of its topics is published to an exchange, at least once, with the same id, headers and payload bytes, in order
//! per key; what cannot be forwarded is a dead letter in full before its offset moves. The loop and its promises are
//! [`messagekit::bridge`]; this crate reads settings, makes the connections and answers on a port for health and figures.
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
