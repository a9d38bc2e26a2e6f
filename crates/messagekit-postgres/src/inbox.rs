//! What a consumer writes in the transaction of its effects.

use std::time::Duration;

use messagekit::{
    Claim, ClaimRequest, Error, Failure, Leased, NextOffset, Offsets, Processed, Received, Retries, SetAside,
    SetAsideOutcome,
};

use crate::tables::{letters, offsets, processed, retries};
use crate::{PgTx, PostgresStore};

impl Processed for PostgresStore {
    async fn claim(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        self.statement(processed::claim(tx, self.schema(), consumer, requests)).await
    }

    async fn unclaim(&self, tx: &mut PgTx, consumer: &str, requests: &[ClaimRequest]) -> Result<(), Error> {
        self.statement(processed::unclaim(tx, self.schema(), consumer, requests)).await
    }
}

impl Offsets for PostgresStore {
    async fn advance(&self, tx: &mut PgTx, consumer: &str, positions: &[NextOffset]) -> Result<(), Error> {
        self.statement(offsets::advance(tx, self.schema(), consumer, positions)).await
    }

    async fn next_of(&self, consumer: &str, topic: &str) -> Result<Vec<NextOffset>, Error> {
        self.statement(async {
            offsets::next_of(&mut *self.connection().await?, self.schema(), consumer, topic).await
        })
        .await
    }
}

impl SetAside for PostgresStore {
    async fn set_aside(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        received: &Received,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        self.statement(letters::set_aside(tx, self.schema(), consumer, received, failure)).await
    }
}

/// Leases and their answers are transactions of their own: a lease must outlive the transaction that failed.
impl Retries for PostgresStore {
    async fn lease(&self, consumer: &str, max: u32, lease: Duration) -> Result<Vec<Leased>, Error> {
        self.statement(async {
            retries::lease(&mut *self.connection().await?, self.schema(), consumer, max, lease).await
        })
        .await
    }

    async fn resolve(&self, tx: &mut PgTx, consumer: &str, leased: &Leased) -> Result<bool, Error> {
        self.statement(retries::resolve(tx, self.schema(), consumer, leased)).await
    }

    async fn fail(&self, consumer: &str, leased: &Leased, failure: &Failure) -> Result<bool, Error> {
        self.statement(async {
            retries::fail(&mut *self.connection().await?, self.schema(), consumer, leased, failure).await
        })
        .await
    }

    async fn hand_back(&self, consumer: &str, leased: &Leased, delay: Duration) -> Result<bool, Error> {
        self.statement(async {
            retries::hand_back(&mut *self.connection().await?, self.schema(), consumer, leased, delay).await
        })
        .await
    }
}
