//! Records messages that a broker dead-lettered.

use std::time::Duration;

use messagekit::adapter::{Bookkeeping, BrokerDeadLetter, Failure, Next, Redelivery, SetAsideOutcome};
use messagekit::operations::Origin;
use messagekit::{Error, MessageId};

use crate::tables::bookkeeping;
use crate::tables::failed_messages::{self, RedeliveryTarget};
use crate::{PgTx, PostgresStore};

impl Bookkeeping for PostgresStore {
    async fn keep(&self, tx: &mut PgTx, found: &BrokerDeadLetter) -> Result<SetAsideOutcome, Error> {
        let BrokerDeadLetter { origin, scope, return_to, received, failure } = found;
        let way_back = RedeliveryTarget { origin: *origin, return_to: return_to.as_deref() };
        // Only an operator sends it back.
        let failure = Failure { next: Next::Dead, ..failure.clone() };
        self.statement(failed_messages::set_aside(tx, self.schema(), scope, received, &failure, way_back))
            .await
    }

    async fn note_failure(
        &self,
        tx: &mut PgTx,
        event_id: &MessageId,
        scope: &str,
        reason: &str,
    ) -> Result<bool, Error> {
        self.statement(bookkeeping::note_failure(tx, self.schema(), event_id, scope, reason)).await
    }

    async fn lease_returns(
        &self,
        origin: Origin,
        max: u32,
        lease: Duration,
    ) -> Result<Vec<Redelivery>, Error> {
        self.statement(async {
            let mut connection = self.connection().await?;
            bookkeeping::lease_returns(&mut connection, self.schema(), origin, max, lease).await
        })
        .await
    }
}
