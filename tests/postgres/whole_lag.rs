//! The lag of an outbox of which every part was read: a part that a busy machine answers late is left out.

use messagekit::operations::{DatabaseStatus, OutboxHealth, OutboxLag, OutboxStatus};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, eventually};

/// Measures until every part is read.
pub(crate) async fn whole_lag(store: &PostgresStore) -> OutboxLag {
    let mut found = OutboxLag::default();
    eventually("every part of the lag is read", DEADLINE, async || {
        found = store.lag().await.unwrap();
        found.unread.is_empty()
    })
    .await;
    found
}

/// Measures until every part is read.
pub(crate) async fn whole_status(store: &PostgresStore) -> OutboxStatus {
    let mut found = None;
    eventually("every part of the status is read", DEADLINE, async || {
        let status = store.outbox_status().await.unwrap();
        let is_whole = status.lag.unread.is_empty();
        found = Some(status);
        is_whole
    })
    .await;
    found.expect("it was measured")
}
