//! The rows that a consumer writes in the transaction of its effects.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{
    Attempts, ClaimRequest, FailedMessageRows, Failure, Follower, Markers, NextOffset, Positions, Priming,
    Primings, ReceivedMessage, Retries, RetryLease, SetAsideOutcome, UnhandledType,
};
use messagekit::{Claim, Error, MessageId, ParkingLimits};

use crate::tables::failed_messages::{self, RedeliveryTarget};
use crate::tables::{
    cleanup, in_flight_attempts, offsets, parking, primings, processed, retries, unhandled_types,
};
use crate::{PgTx, PostgresStore};

/// Leases and their results have their own transactions: a lease must outlive the transaction that failed. So do in-flight
/// attempts, which must outlive a crash of the process.
impl Markers for PostgresStore {
    async fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> Result<Option<Timestamp>, Error> {
        self.statement(async {
            cleanup::note_window(&mut *self.connection().await?, self.schema(), consumer, window).await
        })
        .await
    }

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

impl Positions for PostgresStore {
    async fn note_unhandled(&self, consumer: &str, types: &[UnhandledType]) -> Result<(), Error> {
        self.statement(async {
            unhandled_types::note(&mut *self.connection().await?, self.schema(), consumer, types).await
        })
        .await
    }

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

impl FailedMessageRows<PgTx> for PostgresStore {
    async fn oldest_return(&self, topics: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        self.statement(async {
            cleanup::oldest_return(&mut *self.connection().await?, self.schema(), topics).await
        })
        .await
    }

    async fn set_aside(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        self.statement(failed_messages::set_aside(
            tx,
            self.schema(),
            consumer,
            received,
            failure,
            RedeliveryTarget::HANDLER,
        ))
        .await
    }

    async fn park(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        self.statement(parking::park(tx, self.schema(), consumer, received, failure, self.quota(limits)))
            .await
    }

    async fn park_behind(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> Result<usize, Error> {
        self.statement(parking::park_behind(tx, self.schema(), consumer, behind, self.quota(limits))).await
    }
}

impl Retries<PgTx> for PostgresStore {
    async fn lease(&self, consumer: &str, max: u32, lease: Duration) -> Result<Vec<RetryLease>, Error> {
        self.statement(async {
            retries::lease(&mut *self.connection().await?, self.schema(), consumer, max, lease).await
        })
        .await
    }

    async fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> Result<Option<u32>, Error> {
        self.statement(async {
            let connection = &mut *self.connection().await?;
            retries::begin_run(connection, self.schema(), consumer, leased, most, lease).await
        })
        .await
    }

    async fn followers(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> Result<Vec<Follower>, Error> {
        self.statement(retries::followers(tx, self.schema(), consumer, failed_message, messages, bytes)).await
    }

    async fn resolve(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> Result<bool, Error> {
        self.statement(retries::resolve(tx, self.schema(), consumer, leased, followers)).await
    }

    async fn fail(&self, consumer: &str, leased: &RetryLease, failure: &Failure) -> Result<bool, Error> {
        self.statement(async {
            retries::fail(&mut *self.connection().await?, self.schema(), consumer, leased, failure).await
        })
        .await
    }

    async fn hand_back(&self, consumer: &str, leased: &RetryLease, delay: Duration) -> Result<bool, Error> {
        self.statement(async {
            retries::hand_back(&mut *self.connection().await?, self.schema(), consumer, leased, delay).await
        })
        .await
    }
}

impl Attempts<PgTx> for PostgresStore {
    async fn begin_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<u32, Error> {
        self.statement(async {
            in_flight_attempts::begin_attempt(
                &mut *self.connection().await?,
                self.schema(),
                consumer,
                message,
                by,
            )
            .await
        })
        .await
    }

    async fn clear_attempts(&self, tx: &mut PgTx, consumer: &str, message: &MessageId) -> Result<(), Error> {
        self.statement(in_flight_attempts::clear_attempts(tx, self.schema(), consumer, message)).await
    }

    async fn withdraw_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<(), Error> {
        self.statement(async {
            in_flight_attempts::withdraw_attempt(
                &mut *self.connection().await?,
                self.schema(),
                consumer,
                message,
                by,
            )
            .await
        })
        .await
    }

    async fn clear_finished_attempts(&self, consumer: &str) -> Result<(), Error> {
        self.statement(async {
            in_flight_attempts::sweep(&mut *self.connection().await?, self.schema(), consumer).await
        })
        .await
    }
}

impl Primings<PgTx> for PostgresStore {
    async fn priming(&self, consumer: &str) -> Result<Option<Priming>, Error> {
        self.statement(async {
            primings::priming(&mut *self.connection().await?, self.schema(), consumer).await
        })
        .await
    }

    async fn begin_priming(&self, tx: &mut PgTx, consumer: &str, after: u32) -> Result<bool, Error> {
        self.statement(primings::begin(tx, self.schema(), consumer, after)).await
    }

    async fn write_priming(&self, tx: &mut PgTx, consumer: &str, priming: Priming) -> Result<(), Error> {
        self.statement(primings::write(tx, self.schema(), consumer, priming)).await
    }
}
