//! Waiting for dependencies at the start.

use std::time::Duration;

use messagekit::{Backoff, Error, chain};
use messagekit_config::Secret;
use messagekit_postgres::PostgresStore;

use super::Settings;

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), 2.0, Duration::from_secs(5))
}

/// Opens the database of the duplicate filter.
pub(super) async fn database(url: &Secret) -> Result<PostgresStore, Error> {
    wait_for("database", async || PostgresStore::connect(url.expose()).await.map_err(Error::from)).await
}

/// Retries transient errors of `work`.
async fn wait_for<T>(what: &str, mut work: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut outages = 0;
    loop {
        match work().await {
            Err(error) if error.is_transient() => {
                outages += 1;
                let wait = backoff().delay(outages);
                tracing::warn!(error = %chain(&error), ?wait, "start waits for {what}");
                tokio::time::sleep(wait).await;
            }
            answer => return answer,
        }
    }
}

/// Checks that every exchange exists.
pub(super) async fn verify_exchanges(settings: &Settings) -> Result<(), Error> {
    let rules = settings.rules.iter();
    let topology = rules.fold(settings.rabbitmq.topology(), |topology, rule| match &*rule.exchange {
        // The default exchange always exists, and the broker refuses a query for it.
        "" => topology,
        exchange => topology.existing_exchange(exchange),
    });
    wait_for("rabbitmq", async || topology.verify().await).await
}
