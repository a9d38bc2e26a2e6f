//! `messagekit relay`.

mod health;
mod serve;
mod settings;

use messagekit::Error;
use prometheus::Registry;
use tracing_subscriber::filter::LevelFilter;

use crate::output::print;

/// Publish the events of an outbox to Kafka or RabbitMQ, without a gap and in the order of keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Relay {
    #[command(flatten)]
    options: settings::Options,
    /// Read the settings, say what is wrong with them, and end
    #[arg(long)]
    check: bool,
}

impl Relay {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let settings = settings::read(self.options)?;
        if self.check {
            crate::log::problem().map_or(Ok(()), Err)?;
            return print(format_args!("settings of relay {} can be used", settings.name));
        }
        let _telemetry = crate::log::begin(LevelFilter::INFO)?;
        let registry = Registry::new();
        let _exported = crate::log::export(&registry)?;
        // The settings are valid: a refusal of a database or a broker is a failure, exit code 1.
        serve::serve(settings, registry).await.map_err(crate::database::refused)
    }
}
