//! The program `messagekit-bridge`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use messagekit::config::Configuration;
use messagekit::{Error, ErrorKind, Shutdown, chain};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::{Settings, run};

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
pub fn program() -> ExitCode {
    let arguments = Arguments::parse();
    // lapin logs returned messages with their bytes, and its trace shows every body and the password.
    let quiet = Targets::new()
        .with_default(arguments.log)
        .with_target("lapin", arguments.log.min(LevelFilter::DEBUG))
        .with_target("lapin::returned_messages", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(quiet)).init();
    match work(&arguments) {
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

fn work(arguments: &Arguments) -> Result<(), Error> {
    let settings = Settings::read(&Configuration::load(arguments.config.as_deref())?)?;
    if arguments.check {
        println!("settings of bridge {} can be used", settings.name());
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(ErrorKind::Unavailable, "runtime").caused_by(error))?;
    let outcome = runtime.block_on(async { run(settings, Shutdown::on_signal()?).await });
    // A closing connection must not delay the end.
    runtime.shutdown_background();
    outcome
}
