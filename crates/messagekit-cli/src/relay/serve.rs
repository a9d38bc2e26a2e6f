//! Runs the relay until a signal.

use std::sync::Arc;
use std::time::Duration;

use messagekit::relay::{OutboxReader, Relay};
use messagekit::{Backoff, Error, Shutdown, chain};
use messagekit_postgres::PostgresStore;
use messagekit_prometheus::Metrics;
use messagekit_rabbitmq::Topology;
use prometheus::Registry;

use super::health::Health;
use super::settings::Settings;
use crate::database::{Kind, open_file};
use crate::listen::{address, bind};
use crate::output::print;

pub(super) async fn serve(settings: Settings, registry: Registry) -> Result<(), Error> {
    let outbox: Arc<dyn OutboxReader> = match Kind::of(&settings.database)? {
        // The store waits for an unreachable server.
        Kind::Postgres(url) => Arc::new(PostgresStore::lazy(url)?),
        Kind::Sqlite(path) => Arc::new(open_file(path).await?),
    };
    let builder = Relay::builder(&*settings.name).reader(outbox).to(settings.publisher);
    let builder = match settings.routing_key {
        Some(routing_key) => builder.routing_key(routing_key),
        None => builder,
    };
    let relay = settings.pace.set(builder).build()?;
    Metrics::new(&registry)?.relay(&settings.name, relay.stats());
    let shutdown = Shutdown::on_signal()?;
    let listener = bind(settings.listen).await?;
    print(format_args!("health and metrics on http://{}", address(&listener)?))?;
    let health = Health { name: settings.name.into(), stats: relay.stats(), registry };
    // When one ends, it stops the other.
    let ending = Shutdown::new();
    let (relayed, served) = tokio::join!(
        async {
            let verified = tokio::select! {
                verified = verify(settings.topology.as_ref()) => verified,
                () = shutdown.clone() => Ok(()),
            };
            let relayed = match verified {
                Ok(()) => relay.run(shutdown.clone()).await,
                Err(error) => Err(error),
            };
            ending.request();
            relayed
        },
        messagekit_admin::serve(listener, health.router(), ending.clone()),
    );
    relayed.and(served)
}

/// Checks that the exchange exists: without it the broker would reject every event. Waits for an unreachable broker.
async fn verify(topology: Option<&Topology>) -> Result<(), Error> {
    let Some(topology) = topology else { return Ok(()) };
    let backoff = Backoff::new(Duration::from_millis(100), 2.0, Duration::from_secs(5));
    for outages in 1.. {
        match topology.verify().await {
            Err(error) if error.is_transient() => {
                let wait = backoff.delay(outages);
                tracing::warn!(error = chain(&error), ?wait, "relay waits for rabbitmq");
                tokio::time::sleep(wait).await;
            }
            answer => return answer,
        }
    }
    Ok(())
}
