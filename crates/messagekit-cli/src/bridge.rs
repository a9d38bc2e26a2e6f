//! `messagekit bridge`.

use messagekit::Error;
use messagekit_bridge::program::Options;

/// Forward records of Kafka to exchanges of RabbitMQ: nothing lost, in order per key.
#[derive(Debug, clap::Args)]
pub(crate) struct Bridge {
    #[command(flatten)]
    options: Options,
}

impl Bridge {
    pub(crate) async fn run(self) -> Result<(), Error> {
        self.options.run().await
    }
}
