//! The log of long-running commands on standard error, and what they export.

use messagekit::Error;
use messagekit_telemetry::{LogFilter, MetricsGuard, TelemetryGuard};
use prometheus::Registry;
use tracing_subscriber::filter::LevelFilter;

/// The name of the program in what it exports.
const SERVICE: &str = "messagekit";

/// Starts the log at this level, unless `MESSAGEKIT_LOG` sets another one, and exports traces where the environment names a
/// receiver, until the guard is dropped.
pub(crate) fn begin(usual: LevelFilter) -> Result<TelemetryGuard, Error> {
    let telemetry = TelemetryGuard::from_env(SERVICE)?;
    telemetry.log(LogFilter::from_env(usual)?);
    Ok(telemetry)
}

/// Exports the metrics of a command where the environment names a receiver, until the guard is dropped.
pub(crate) fn export(registry: &Registry) -> Result<MetricsGuard, Error> {
    MetricsGuard::from_env(SERVICE, registry)
}

/// Returns the problem of `MESSAGEKIT_LOG` or of the variables of the exports, for the check of the settings.
pub(crate) fn problem() -> Option<Error> {
    let log = LogFilter::from_env(LevelFilter::INFO).map(drop);
    log.and_then(|()| TelemetryGuard::check_env()).and_then(|()| MetricsGuard::check_env()).err()
}
