//! `messagekit bookkeeper`.

mod serve;
mod settings;

use std::path::PathBuf;

use messagekit::Error;
use prometheus::Registry;
use tracing_subscriber::filter::LevelFilter;

use crate::output::print;

/// Record dead letters of RabbitMQ and Kafka, and redeliver them on request.
#[derive(Debug, clap::Args)]
pub(crate) struct Bookkeeper {
    /// The configuration, a TOML file; environment variables override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the settings, say what is wrong with them, and end
    #[arg(long)]
    check: bool,
}

impl Bookkeeper {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let settings = settings::read(self.config.as_deref())?;
        if self.check {
            return print(format_args!("settings of bookkeeper {} can be used", settings.name));
        }
        let _telemetry = crate::log::begin(LevelFilter::INFO)?;
        let registry = Registry::new();
        let _exported = crate::log::export(&registry)?;
        // The configuration is valid: a refusal of a database or a broker is a failure, exit code 1.
        serve::serve(settings, registry).await.map_err(crate::database::refused)
    }
}
