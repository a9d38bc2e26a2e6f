//! The program `messagekit-bridge`: reads settings, opens the connections, serves health and metrics, and runs a bridge.
//!
//! ```no_run
//! # async fn run() -> Result<(), messagekit::Error> {
//! use std::path::Path;
//! use messagekit::Shutdown;
//! use messagekit_bridge::program::{Settings, serve};
//! use messagekit_config::Configuration;
//!
//! let settings = Settings::read(&Configuration::load(Some(Path::new("bridge.toml")))?)?;
//! serve(settings, Shutdown::on_signal()?).await
//! # }
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]

mod connections;
mod health;
mod options;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use messagekit::{Error, ErrorKind, chain};

pub use options::Options;
pub use serve::serve;
pub use settings::Settings;

/// Forward records of Kafka to exchanges of RabbitMQ: nothing lost, in order per key.
#[derive(Debug, Parser)]
#[command(name = "messagekit-bridge", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// Runs the program `messagekit-bridge` with the arguments of this process.
///
/// Exit codes: 0 stopped on request, 1 failed, 2 the arguments or the settings are invalid.
pub fn main() -> ExitCode {
    let Arguments { options } = Arguments::parse();
    match work(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("messagekit-bridge: {}", chain(&error));
            match error.kind() {
                ErrorKind::InvalidConfiguration => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn work(options: Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(ErrorKind::Unavailable, "runtime").caused_by(error))?;
    let outcome = runtime.block_on(options.run());
    // A closing connection must not delay the end.
    runtime.shutdown_background();
    outcome
}
