//! The outbox: events as rows of the producer's transaction.

use std::time::Duration;

use messagekit::adapter::{OutboxEvents, OutboxRows, WithoutRelay};
use messagekit::{Envelope, Error, Event, Message, MessageId, Outbox, crash};
use sqlx::PgConnection;

use crate::error::{from_sqlx, of};
use crate::tables::{events, outbox_events};
use crate::{PgTx, PostgresStore};

/// Publishers find the rows by themselves: Debezium reads the write-ahead log, and a relay reads the pending events.
impl OutboxRows for PostgresStore {
    async fn write(&self, tx: &mut PgTx, messages: &[Message]) -> Result<(), Error> {
        self.statement(events::write(tx, self.schema(), messages)).await?;
        crash::point("outbox.written");
        self.news().added();
        self.topics().notices.written();
        Ok(())
    }

    /// A trigger refuses delays until `migrate --relay`, so the check holds for every producer. A delay above a hundred
    /// years counts as a hundred years.
    async fn write_after(
        &self,
        tx: &mut PgTx,
        messages: &[Message],
        delay: Duration,
        without_relay: WithoutRelay,
    ) -> Result<(), Error> {
        let write = events::write_after(tx, self.schema(), messages, delay, without_relay);
        self.statement(write).await?;
        crash::point("outbox.written");
        Ok(())
    }

    fn wake(&self) {
        self.news().wake();
    }
}

/// Its rows, whether they are published or not, until a cleanup removes them.
impl OutboxEvents for PostgresStore {
    async fn outbox_events(&self) -> Result<Vec<Message>, Error> {
        let all = move |mut connection: sqlx::pool::PoolConnection<sqlx::Postgres>| async move {
            outbox_events::all(&mut connection, self.schema()).await
        };
        self.read(all).await
    }
}

/// Adds events on a connection with a transaction that other code has begun.
///
/// Use it where a framework provides the connection. With a [`PgTx`], use [`Outbox::add`], which needs no check.
///
/// ```no_run
/// # use messagekit::{Error, Event, Outbox};
/// # use serde::{Deserialize, Serialize};
/// use messagekit_postgres::{AddOn, PostgresStore};
/// use sqlx::PgConnection;
///
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", key = "order_id")]
/// # struct OrderPlaced { order_id: String }
/// async fn place(connection: &mut PgConnection, outbox: &Outbox<PostgresStore>) -> Result<(), Error> {
///     outbox.add_on(connection, OrderPlaced { order_id: "o-1".into() }).await?;
///     Ok(())
/// }
/// ```
pub trait AddOn {
    /// Adds an event, or an envelope with its metadata, in the open transaction of `connection`, and returns its id.
    ///
    /// Needs one round trip more than [`Outbox::add`], to check for the transaction.
    ///
    /// # Errors
    /// [`NotInTransaction`](messagekit::ErrorKind::NotInTransaction) without a transaction: nothing is written. Otherwise
    /// as [`Outbox::add`].
    fn add_on<E: Event>(
        &self,
        connection: &mut PgConnection,
        event: impl Into<Envelope<E>> + Send,
    ) -> impl Future<Output = Result<MessageId, Error>> + Send;
}

impl AddOn for Outbox<PostgresStore> {
    async fn add_on<E: Event>(
        &self,
        connection: &mut PgConnection,
        event: impl Into<Envelope<E>> + Send,
    ) -> Result<MessageId, Error> {
        let envelope = event.into();
        let message = self.encode(&envelope)?;
        check_in_transaction(connection).await?;
        events::write(connection, self.store().schema(), &[message]).await?;
        crash::point("outbox.written");
        self.store().news().added();
        self.store().topics().notices.written();
        Ok(envelope.meta.event_id)
    }
}

/// A savepoint needs an open transaction, however it was begun.
async fn check_in_transaction(connection: &mut PgConnection) -> Result<(), Error> {
    const PROBE: &str = "SAVEPOINT messagekit_probe; RELEASE SAVEPOINT messagekit_probe";
    match sqlx::raw_sql(PROBE).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) if of(&error).is_some_and(|error| error.code() == "25P01") => Err(Error::new(
            messagekit::ErrorKind::NotInTransaction,
            "connection has no transaction open: begin one, so that the event shares the fate of your rows",
        )),
        Err(error) => Err(from_sqlx(error)),
    }
}
