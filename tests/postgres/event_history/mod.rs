//! The history of one event: how far its publishing is, its links, and what a lookup costs.

mod lookups;
mod publication;

use messagekit::operations::{EventHistory, EventRecord};
use messagekit_postgres::PostgresStore;

async fn record(store: &PostgresStore, id: &str) -> EventRecord {
    store.event_record(&id.parse().unwrap()).await.expect("the record is read")
}
