//! Log and traces. The log goes to stderr. Stdout holds only the lines that other programs wait for.

use std::io::{IsTerminal, stderr};

use messagekit::Error;
use messagekit_telemetry::{TelemetryGuard, WithTraceId};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. The default level is info, and warnings only for the database driver. Traces are exported where the
/// environment names a receiver (`OTEL_EXPORTER_OTLP_ENDPOINT`), until the guard is dropped.
pub(crate) fn start(wished: Option<Targets>) -> Result<TelemetryGuard, Error> {
    let telemetry = TelemetryGuard::from_env("billing-service")?;
    let usual = || Targets::new().with_default(LevelFilter::INFO).with_target("sqlx", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(WithTraceId::default())
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_filter(wished.unwrap_or_else(usual));
    // A second start in one process, as in tests, keeps the first log.
    tracing_subscriber::registry().with(telemetry.layer()).with(lines).try_init().ok();
    Ok(telemetry)
}
