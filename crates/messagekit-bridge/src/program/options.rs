//! The options of the program, and what it does with them.

use std::path::PathBuf;

use messagekit::{Error, Shutdown};
use messagekit_config::Configuration;
use messagekit_telemetry::{LogFilter, MetricsGuard, TelemetryGuard};
use tracing::level_filters::LevelFilter;

use super::serve::{SERVICE, serve};
use super::settings::Settings;

/// The options of a bridge, for a program that has it as a command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Settings in TOML; variables MESSAGEKIT_… win over them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the settings, say what is wrong with them, and end
    #[arg(long)]
    check: bool,
    /// What is logged to standard error: a level, or targets such as info,lapin=debug [default: MESSAGEKIT_LOG, else info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<LogFilter>,
}

impl Options {
    /// Runs the bridge until the process is asked to end, and logs to standard error; with `--check`, only reads the settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) names every mistake of the settings; else
    /// those of [`serve`].
    pub async fn run(self) -> Result<(), Error> {
        let telemetry = TelemetryGuard::from_env(SERVICE)?;
        telemetry.log(self.log.map_or_else(|| LogFilter::from_env(LevelFilter::INFO), Ok)?);
        let settings = Settings::read(&Configuration::load(self.config.as_deref())?)?;
        if self.check {
            MetricsGuard::check_env()?;
            println!("settings of bridge {} can be used", settings.name());
            return Ok(());
        }
        serve(settings, Shutdown::on_signal()?).await
    }
}
