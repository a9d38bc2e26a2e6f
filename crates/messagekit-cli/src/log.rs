//! The log of long-running commands on standard error, and their traces.

use messagekit::Error;
use messagekit_telemetry::{LogFilter, TelemetryGuard};
use tracing_subscriber::filter::LevelFilter;

/// Starts the log at this level, unless `MESSAGEKIT_LOG` sets another one, and exports traces where the environment names a
/// receiver, until the guard is dropped.
pub(crate) fn begin(usual: LevelFilter) -> Result<TelemetryGuard, Error> {
    let telemetry = TelemetryGuard::from_env("messagekit")?;
    telemetry.log(LogFilter::from_env(usual)?);
    Ok(telemetry)
}

/// Returns the problem of `MESSAGEKIT_LOG`, for the check of the settings.
pub(crate) fn problem() -> Option<Error> {
    LogFilter::from_env(LevelFilter::INFO).err()
}
