//! Records messages that a broker dead-lettered.

use std::time::Duration;

use messagekit::adapter::{Bookkeeping, BrokerDeadLetter, Failure, Next, Redelivery, SetAsideOutcome};
use messagekit::operations::Origin;
use messagekit::{Error, MessageId};

use crate::error::from_sqlite;
use crate::tables::failed_messages::{self, Way};
use crate::tables::{bookkeeping, names, now};
use crate::{SqliteStore, SqliteTx};

/// Scopes share the table of consumers; no consumer has such a name.
impl Bookkeeping for SqliteStore {
    async fn keep(&self, tx: &mut SqliteTx, found: &BrokerDeadLetter) -> Result<SetAsideOutcome, Error> {
        let BrokerDeadLetter { origin, scope, return_to, received, failure } = found.clone();
        tx.run(move |conn| {
            let scope = names::consumer(conn, &scope).map_err(from_sqlite)?;
            let failure = Failure { next: Next::Dead, ..failure };
            failed_messages::set_aside(conn, scope, &Way { origin, return_to }, &received, &failure, now())
        })
        .await
    }

    async fn note_failure(
        &self,
        tx: &mut SqliteTx,
        event_id: &MessageId,
        scope: &str,
        reason: &str,
    ) -> Result<bool, Error> {
        let (event, scope, reason) = (event_id.clone(), scope.to_owned(), reason.to_owned());
        tx.run(move |conn| {
            bookkeeping::note_failure(conn, &event, &scope, &reason, now()).map_err(from_sqlite)
        })
        .await
    }

    async fn lease_returns(
        &self,
        origin: Origin,
        max: u32,
        lease: Duration,
    ) -> Result<Vec<Redelivery>, Error> {
        // Polled all the time: take the write lock only when there is work.
        if !self
            .query(move |conn| bookkeeping::is_return_due(conn, origin, now()).map_err(from_sqlite))
            .await?
        {
            return Ok(Vec::new());
        }
        self.job(move |conn| bookkeeping::lease_returns(conn, origin, max, lease, now())).await
    }
}
