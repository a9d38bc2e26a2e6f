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
mod serve;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use messagekit::{Error, ErrorKind, Shutdown, chain};
use messagekit_config::Configuration;
use messagekit_telemetry::{TelemetryGuard, WithTraceId};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

pub use serve::serve;
pub use settings::Settings;

/// Forward records of Kafka to exchanges of RabbitMQ: nothing lost, in order per key.
#[derive(Debug, Parser)]
#[command(name = "messagekit-bridge", version)]
struct Arguments {
    /// Settings in TOML; variables MESSAGEKIT_… win over them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the settings, say what is wrong with them, and end
    #[arg(long)]
    check: bool,
    /// How much is logged to standard error
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "MESSAGEKIT_LOG")]
    log: LevelFilter,
}

/// Runs the program `messagekit-bridge` with the arguments of this process.
///
/// Exit codes: 0 stopped on request, 1 failed, 2 the arguments or the settings are invalid.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // lapin logs returned messages with their bytes, and its trace shows every body and the password.
    let quiet = Targets::new()
        .with_default(arguments.log)
        .with_target("lapin", arguments.log.min(LevelFilter::DEBUG))
        .with_target("lapin::returned_messages", LevelFilter::OFF);
    match traced(&arguments, quiet) {
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

fn traced(arguments: &Arguments, quiet: Targets) -> Result<(), Error> {
    let telemetry = TelemetryGuard::from_env("messagekit-bridge")?;
    let lines = tracing_subscriber::fmt::layer()
        .event_format(WithTraceId::default())
        .with_writer(std::io::stderr)
        .with_ansi(false);
    tracing_subscriber::registry().with(telemetry.layer()).with(lines.with_filter(quiet)).init();
    work(arguments)
}

fn work(arguments: &Arguments) -> Result<(), Error> {
    let settings = Settings::read(&Configuration::load(arguments.config.as_deref())?)?;
    if arguments.check {
        println!("settings of bridge {} can be used", settings.name());
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(ErrorKind::Unavailable, "runtime").caused_by(error))?;
    let outcome = runtime.block_on(async { serve(settings, Shutdown::on_signal()?).await });
    // A closing connection must not delay the end.
    runtime.shutdown_background();
    outcome
}
