//! Relaying until a signal ends it.

use std::sync::Arc;

use messagekit::metrics::Metrics;
use messagekit::relay::Relay;
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_postgres::PostgresStore;
use prometheus::Registry;

use super::health::Health;
use super::settings::Settings;
use crate::database::Kind;
use crate::listen::{address, bind};
use crate::output::print;

pub(super) async fn serve(settings: Settings) -> Result<(), Error> {
    let outbox = match Kind::of(&settings.database)? {
        // A server that is away is waited for.
        Kind::Postgres(url) => Arc::new(PostgresStore::lazy(url)?),
        Kind::Sqlite(path) => {
            let text = "a SQLite file has no outbox for a relay: name a database of PostgreSQL";
            return Err(Error::new(ErrorKind::WrongState, text).with("path", path.display()));
        }
    };
    let registry = Registry::new();
    let builder = Relay::builder(&*settings.name)
        .reader(outbox)
        .to(settings.publisher)
        .metrics(&Metrics::new(&registry)?);
    let builder = match settings.routing_key {
        Some(routing_key) => builder.routing_key(routing_key),
        None => builder,
    };
    let relay = settings.pace.set(builder).build()?;
    let shutdown = Shutdown::on_signal()?;
    let listener = bind(settings.listen).await?;
    print(format_args!("health and figures on http://{}", address(&listener)?))?;
    let health = Health { name: settings.name.into(), stats: relay.stats(), registry };
    // Whichever ends first ends the other.
    let ending = Shutdown::new();
    let (relayed, served) = tokio::join!(
        async {
            let relayed = relay.run(shutdown.clone()).await;
            ending.request();
            relayed
        },
        messagekit_admin::serve(listener, health.router(), ending.clone()),
    );
    relayed.and(served)
}
