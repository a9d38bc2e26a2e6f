//! A worker that claims records: the effect of each is a row, kept with the acknowledgement.

use std::time::Duration;

use messagekit::{Error, ErrorKind, Shutdown, Store};
use messagekit_sqlite::SqliteStore;
use messagekit_topic_store::{Claimed, RecordClaim, RecordClaimer, Which};

use crate::say::say;

/// Longer than any test: only the end of a process frees what it has claimed.
const LEASE: Duration = Duration::from_secs(86_400);

/// Claims and applies records until the shutdown. `holds`: keeps its first claim instead, and says so.
pub(crate) async fn run(store: &SqliteStore, holds: bool, shutdown: Shutdown) -> Result<(), Error> {
    let worker = RecordClaimer::new(store.clone(), "claiming", "jobs.job").lease(LEASE);
    while !shutdown.is_requested() {
        let Claimed::Records(claim) = worker.claim(8).await? else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        if holds {
            say("ready");
            shutdown.requested().await;
            return Ok(());
        }
        apply(store, &worker, &claim).await?;
    }
    Ok(())
}

async fn apply(
    store: &SqliteStore,
    worker: &RecordClaimer<SqliteStore>,
    claim: &RecordClaim,
) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    for claimed in &claim.records {
        let job = String::from_utf8_lossy(&claimed.record.message.payload).into_owned();
        tx.call(move |c| c.execute("INSERT INTO jobs (job) VALUES (?1)", [job])).await?;
    }
    match worker.acknowledge_in(&mut tx, claim, Which::All).await {
        Ok(_) => store.commit(tx).await,
        // Another worker has them, and its effects count.
        Err(error) if error.kind() == ErrorKind::ClaimLost => store.rollback(tx).await,
        Err(error) => Err(error),
    }
}
