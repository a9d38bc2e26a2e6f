//! The log of long-running commands on standard error, and their traces.

use std::io::{IsTerminal, stderr};

use messagekit::{Error, ErrorKind};
use messagekit_telemetry::{TelemetryGuard, WithTraceId};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sets the log level, or levels per target, such as `info,messagekit_admin=debug`.
const VARIABLE: &str = "MESSAGEKIT_LOG";

/// Starts the log at this level, unless the variable sets another one, and exports traces where the environment names a
/// receiver, until the guard is dropped.
pub(crate) fn begin(usual: LevelFilter) -> Result<TelemetryGuard, Error> {
    let telemetry = TelemetryGuard::from_env("messagekit")?;
    let wished: Targets = match wished()? {
        // The client of RabbitMQ logs errors that the adapter expects and handles.
        None => Targets::new().with_default(usual).with_target("lapin", LevelFilter::OFF),
        Some(wished) => {
            let at_most = wished.default_level().unwrap_or(LevelFilter::ERROR).min(LevelFilter::DEBUG);
            // The trace of these targets shows the password and every body.
            let told = ["channels", "frames", "internal_rpc", "io_loop"];
            told.iter().fold(wished, |wished, part| wished.with_target(format!("lapin::{part}"), at_most))
        }
    };
    // This target logs the payload of a returned message.
    let filter = wished.with_target("lapin::returned_messages", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(WithTraceId::default())
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_filter(filter);
    tracing_subscriber::registry().with(telemetry.layer()).with(lines).try_init().ok();
    Ok(telemetry)
}

/// Returns the targets of the variable.
pub(crate) fn wished() -> Result<Option<Targets>, Error> {
    match std::env::var(VARIABLE).unwrap_or_default().as_str() {
        "" => Ok(None),
        wished => wished.parse().map(Some).map_err(|error| {
            let text = format!("{VARIABLE} is no level such as info, or messagekit_admin=debug");
            Error::new(ErrorKind::InvalidConfiguration, text).caused_by(error)
        }),
    }
}
