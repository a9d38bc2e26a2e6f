//! Runs the bookkeeper until a signal.

use messagekit::adapter::{Bookkeeping, Inbox};
use messagekit::operations::OutboxHealth;
use messagekit::{Error, Shutdown};
use messagekit_admin::{Health, metrics_router};
use messagekit_bookkeeper::Bookkeeper;
use messagekit_postgres::PostgresStore;
use messagekit_prometheus::Metrics;
use prometheus::Registry;

use super::settings::Settings;
use crate::database::{Kind, open_file};
use crate::listen::{address, bind};
use crate::output::print;

pub(super) async fn serve(settings: Settings, registry: Registry) -> Result<(), Error> {
    match Kind::of(&settings.database)? {
        Kind::Sqlite(path) => keep(open_file(path).await?, &settings, registry).await,
        // The store waits for an unreachable server.
        Kind::Postgres(url) => keep(PostgresStore::lazy(url)?, &settings, registry).await,
    }
}

async fn keep<S: Bookkeeping + Inbox + OutboxHealth>(
    store: S,
    settings: &Settings,
    registry: Registry,
) -> Result<(), Error> {
    let mut builder = Bookkeeper::builder(&*settings.name, store.clone()).metrics(Metrics::new(&registry)?);
    if let Some((rabbitmq, queues)) = &settings.queues {
        let queues = rabbitmq.topics(queues.iter().map(String::as_str));
        builder = builder.queues(queues, rabbitmq.publisher());
    }
    if let Some((kafka, publisher, topics)) = &settings.topics {
        let topics = kafka.topics(topics.iter().map(String::as_str));
        builder = builder.topics(topics, publisher.clone());
    }
    let keeper = builder.build()?;
    let shutdown = Shutdown::on_signal()?;
    let listener = bind(settings.listen).await?;
    print(format_args!("health and metrics on http://{}", address(&listener)?))?;
    let health =
        keeper.readings().into_iter().fold(Health::new().store("database", store), |health, reading| {
            health.connection(format!("{}s", reading.origin()), move || reading.problem())
        });
    let router = health.router().merge(metrics_router(registry));
    // When one ends, it stops the other.
    let ending = Shutdown::new();
    let (kept, served) = tokio::join!(
        async {
            let kept = keeper.run(shutdown.clone()).await;
            ending.request();
            kept
        },
        messagekit_admin::serve(listener, router, ending.clone()),
    );
    kept.and(served)
}
