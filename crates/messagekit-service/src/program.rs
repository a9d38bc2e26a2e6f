//! A service as the main function of a program.
#![allow(clippy::print_stderr, reason = "a program says why it ended")]

use std::path::PathBuf;
use std::process::ExitCode;

use messagekit::{Error, ErrorKind, Shutdown, chain};
use messagekit_config::Configuration;
use messagekit_telemetry::{LogFilter, MetricsGuard, TelemetryGuard};
use tracing_subscriber::filter::LevelFilter;

use crate::Service;

/// Names the file of the settings.
const FILE: &str = "MESSAGEKIT_CONFIG";

/// Reads the settings, starts the log and the export of traces and metrics, and runs what `build` makes of the service; the [crate's page](crate) has a program.
///
/// An error is printed to standard error in one line. The exit code is 0, 2 if the settings cannot be used
/// ([`ErrorKind::InvalidConfiguration`]), and 1 for every other error.
///
/// # Panics
/// Panics outside a tokio runtime.
pub async fn main<Run>(name: &str, build: impl FnOnce(Service) -> Run) -> ExitCode
where
    Run: Future<Output = Result<(), Error>>,
{
    match start(name, build).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {}", chain(&error));
            ExitCode::from(if error.kind() == ErrorKind::InvalidConfiguration { 2 } else { 1 })
        }
    }
}

async fn start<Run>(name: &str, build: impl FnOnce(Service) -> Run) -> Result<(), Error>
where
    Run: Future<Output = Result<(), Error>>,
{
    let file = std::env::var_os(FILE).filter(|file| !file.is_empty()).map(PathBuf::from);
    let service = Service::new(name, Configuration::load(file.as_deref())?)?;
    let filter = LogFilter::from_env(LevelFilter::INFO).unwrap_or_else(|error| {
        // With the other mistakes of the settings.
        service.settings().report(chain(&error));
        LogFilter::at(LevelFilter::INFO)
    });
    let telemetry = TelemetryGuard::from_env(name)?;
    telemetry.log(filter);
    // Dropped after the service, so that its last counts are exported.
    let _exported = MetricsGuard::from_env(name, service.registry())?;
    // A signal that comes while the service is built ends it before it runs.
    build(service.stopped_by(Shutdown::on_signal()?)).await
}
