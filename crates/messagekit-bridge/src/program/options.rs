//! The options of the program, and what it does with them.

use std::path::PathBuf;

use messagekit::{Error, Shutdown};
use messagekit_config::Configuration;
use messagekit_telemetry::{TelemetryGuard, WithTraceId};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::serve::serve;
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
    /// How much is logged to standard error
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "MESSAGEKIT_LOG")]
    log: LevelFilter,
}

impl Options {
    /// Runs the bridge until the process is asked to end, and logs to standard error; with `--check`, only reads the settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) names every mistake of the settings; else
    /// those of [`serve`].
    pub async fn run(self) -> Result<(), Error> {
        // lapin logs returned messages with their bytes, and its trace shows every body and the password.
        let quiet = Targets::new()
            .with_default(self.log)
            .with_target("lapin", self.log.min(LevelFilter::DEBUG))
            .with_target("lapin::returned_messages", LevelFilter::OFF);
        let telemetry = TelemetryGuard::from_env("messagekit-bridge")?;
        let lines = tracing_subscriber::fmt::layer()
            .event_format(WithTraceId::default())
            .with_writer(std::io::stderr)
            .with_ansi(false);
        tracing_subscriber::registry().with(telemetry.layer()).with(lines.with_filter(quiet)).try_init().ok();
        let settings = Settings::read(&Configuration::load(self.config.as_deref())?)?;
        if self.check {
            println!("settings of bridge {} can be used", settings.name());
            return Ok(());
        }
        serve(settings, Shutdown::on_signal()?).await
    }
}
