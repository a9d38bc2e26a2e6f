//! The ping of a database.

use std::time::Duration;

use messagekit::operations::OutboxHealth;

use super::OperatorsFixture;

/// A database with its tables answers a ping, and checkpoints do not disturb it.
pub async fn database_answers_pings<F: OperatorsFixture>(fixture: &F) {
    let store = fixture.store();
    store.ping().await.expect("the database answers");
    for _ in 0..2 {
        store.checkpoint(Duration::from_secs(60)).await.expect("a checkpoint can be noted");
    }
    let lag = store.lag().await.expect("the lag can be measured");
    assert!(lag.overdue <= lag.pending, "{lag:?}");
    store.ping().await.expect("the database still answers");
}
