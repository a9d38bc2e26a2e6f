//! Measures an outbox: who publishes, what has not left, and why. Health and status answer from it.
//!
//! A measurement has parts, each in a transaction of its own: one that waits for a lock, is slow or fails is named, and the
//! others answer. What finds a lost slot comes first, and the count of events comes last.

use std::time::Duration;

use messagekit::operations::{LagPart, OutboxLag, PublisherMode, PublisherState};
use messagekit::{Error, ErrorKind, chain};
use sqlx::PgConnection;
use tokio::time::{Instant, timeout_at};

use crate::cdc::{self, Capture, Watch};
use crate::health_connection::LIMIT;
use crate::outbox_problems::{self as problems, RESTART};
use crate::tables::{health, outbox_counts};
use crate::{PostgresStore, SchemaName};

/// How long a part may take, except for the first and for the count of pending events.
const PART_LIMIT: Duration = Duration::from_millis(800);
/// How much longer than the server's limit a client waits for the error of the server.
const GRACE: Duration = Duration::from_millis(200);

/// A measurement of an outbox.
pub(crate) struct Measurement<'a> {
    store: &'a PostgresStore,
    capture: Capture,
    until: Instant,
    pub(crate) publisher: PublisherState,
    pub(crate) lag: OutboxLag,
}

impl<'a> Measurement<'a> {
    /// Measures the outbox of a store. However many events it keeps, this reads a bounded number of them. Fails only if the
    /// slot and the publishing mode cannot be read: then nothing is known.
    pub(crate) async fn of(store: &'a PostgresStore) -> Result<Self, Error> {
        let mut measurement = Self {
            store,
            capture: Capture::by(&store.pool().connect_options(), store.schema()),
            until: Instant::now() + LIMIT,
            publisher: PublisherState { mode: None, has_relay: None, confirmed_at: None },
            lag: OutboxLag::default(),
        };
        let (capture, schema) = (measurement.capture.clone(), store.schema());
        let look = async |connection: &mut PgConnection| {
            let watch = cdc::watch(connection, &capture).await?;
            Ok((watch, health::is_relayed(connection, schema).await?))
        };
        let (watch, is_relayed) = measurement.answer(LIMIT, look).await?;
        measurement.lag.slot_bytes = watch.slot_bytes;
        match is_relayed {
            true => measurement.measure_relays(&watch).await,
            false => measurement.measure_slot(watch).await,
        }
        Ok(measurement)
    }

    /// Measures what waits for a relay.
    async fn measure_relays(&mut self, watch: &Watch) {
        let schema = self.schema();
        let relays = async |connection: &mut PgConnection| outbox_counts::relays(connection, schema).await;
        let relays = self.part(LagPart::Relays, relays).await;
        if let Some(relays) = &relays {
            self.lag.problems.extend(problems::of_relays(relays, &self.capture, watch.wanted));
        }
        self.measure_sources().await;
        let waiting = async |connection: &mut PgConnection| outbox_counts::relayed(connection, schema).await;
        let waiting = self.count(waiting).await;
        if let (Some(relays), Some(waiting)) = (&relays, &waiting) {
            // The first that is repaired: the broker refuses nothing meanwhile.
            self.lag.problems.splice(..0, problems::of_missing_relay(relays, waiting));
        }
        self.note(waiting);
        self.publisher.mode = Some(PublisherMode::Relay);
        self.publisher.has_relay = relays.map(|relays| relays.has_relay);
    }

    /// Measures what a slot has not passed. A slot that is lost or missing was found without a count.
    async fn measure_slot(&mut self, watch: Watch) {
        let (schema, slot) = (self.schema(), self.capture.slot.clone());
        let confirmed = async |connection: &mut PgConnection| match watch.slot {
            true => health::confirmed(connection, schema, &slot).await,
            false => Ok(None),
        };
        let confirmed = self.part(LagPart::Pending, confirmed).await;
        self.publisher.mode = watch.wanted.then_some(PublisherMode::Debezium);
        self.publisher.confirmed_at = confirmed.flatten().map(|confirmed| confirmed.at.to_jiff());
        if watch.wanted {
            self.lag.problems.extend(watch.problems);
        }
        if confirmed.flatten().is_none_or(|confirmed| confirmed.age > RESTART) {
            self.lag.problems.extend(watch.unread);
        }
        self.measure_sources().await;
        // Without its position, a count would be that of another one.
        let Some(confirmed) = confirmed else { return };
        let after = confirmed.map(|confirmed| confirmed.at);
        let waiting =
            async |connection: &mut PgConnection| outbox_counts::waiting(connection, schema, after).await;
        let waiting = self.count(waiting).await;
        if waiting.is_some_and(|waiting| waiting.pending > 0) {
            let no_capture = (!watch.wanted).then(|| problems::of_no_capture(&self.capture));
            let no_checkpoint = watch.slot && after.is_none();
            let no_checkpoint = no_checkpoint.then(|| problems::of_no_checkpoint(&self.capture));
            self.lag.problems.extend(no_capture.into_iter().chain(no_checkpoint));
        }
        self.note(waiting);
    }

    /// Looks for table sources whose changes become no events, or not all of them.
    async fn measure_sources(&mut self) {
        let schema = self.schema();
        let sources = async |connection: &mut PgConnection| problems::of_sources(connection, schema).await;
        let sources = self.part(LagPart::TableSources, sources).await;
        let rows = async |connection: &mut PgConnection| problems::of_failed_rows(connection, schema).await;
        let rows = self.part(LagPart::FailedRows, rows).await;
        self.lag.problems.extend(sources.into_iter().chain(rows).flatten());
    }

    fn note(&mut self, waiting: Option<outbox_counts::Waiting>) {
        let Some(outbox_counts::Waiting { pending, overdue, oldest }) = waiting else { return };
        (self.lag.pending, self.lag.overdue, self.lag.oldest) = (pending, overdue, oldest);
    }

    fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn schema(&self) -> &'a SchemaName {
        self.store.schema()
    }

    /// Counts what waits, in the time that is left: the server reads the blocks that it has not summarised since its last
    /// vacuum, which may be a fifth of a table.
    async fn count<T>(&mut self, work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>) -> Option<T> {
        self.part_within(self.time_left().saturating_sub(PART_LIMIT), LagPart::Pending, work).await
    }

    /// Returns the answer of a part, or names it among those that did not answer.
    pub(crate) async fn part<T>(
        &mut self,
        part: LagPart,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Option<T> {
        self.part_within(PART_LIMIT, part, work).await
    }

    async fn part_within<T>(
        &mut self,
        limit: Duration,
        part: LagPart,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Option<T> {
        match self.answer(limit, work).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.lag.add_unread(part, chain(&error));
                None
            }
        }
    }

    /// Runs statements that the server ends at the limit, or at that of the whole measurement.
    async fn answer<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let limit = limit.min(self.time_left());
        let late =
            || Error::new(ErrorKind::Unavailable, "database did not answer in the time of a measurement");
        let answer = async { work(&mut *self.store.begin_counts(limit).await?).await };
        timeout_at(Instant::now() + limit + GRACE, answer).await.unwrap_or_else(|_| Err(late()))
    }
}
