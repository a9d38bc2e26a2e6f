//! Consuming without a database.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Absent, Claim, ClaimRequest, End, FailedMessageRows, Failure, Inbox, Markers, NextOffset, ParkingLimits,
    Positions, ReceivedMessage, SetAsideOutcome, Store, TransactError, Work,
};
use crate::message::headers;
use crate::transport::{PublishErrorKind, PublishSpans, Publisher};
use crate::{Error, ErrorKind, Message, chain};

/// A placeholder store for a consumer without a database. Effects happen at least once. A message that cannot be applied is
/// published whole to a dead-letter topic, and the broker confirms it before its delivery is settled.
///
/// The consumer remembers nothing: every delivery is fresh, so a handler runs again for a redelivered message. If batches are
/// enabled, the messages before a failed one in its batch also run again; by default each message is handled by itself. There
/// is no transaction: `Tx` is `()`. The consumer retries a retryable failure in place, with its backoff, until the attempts are
/// used up; later messages of the lane wait. If the dead-letter topic is unreachable or refuses the failed message, the lane
/// waits and logs it. No message is dropped.
///
/// A failed message carries the message's key, headers and payload, and the headers [`DEAD_KIND`](headers::DEAD_KIND),
/// [`DEAD_ERROR`](headers::DEAD_ERROR), [`DEAD_BY`](headers::DEAD_BY) and [`RETRY_TOPIC`](headers::RETRY_TOPIC) (the topic it
/// was read from). If the message had a position, the failed message carries it too.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use messagekit_memory::MemoryLog;
/// use messagekit::{Consumer, HandlerError, Message, NoStore, Shutdown, headers};
/// use messagekit::adapter::Publisher;
///
/// async fn print(_: &mut (), message: Message) -> Result<(), HandlerError> {
///     Err(HandlerError::permanent("out of paper"))
/// }
///
/// let log = MemoryLog::new(1);
/// let order = Message::new("orders.order", "{}").with_header("id", "o-1").with_header("eventType", "orders.order.placed");
/// log.publish(&[order]).await;
///
/// let shutdown = Shutdown::new();
/// let store = NoStore::new(log.clone(), "printing.dead");
/// let printing = Consumer::builder("printing", store)
///     .from(log.topics(["orders.order"]))
///     .on_message("orders.order.placed", print)
///     .build()?;
/// let running = tokio::spawn(printing.run(shutdown.clone()));
/// while log.is_empty("printing.dead") {
///     tokio::task::yield_now().await;
/// }
/// shutdown.request();
/// running.await.unwrap()?;
/// let failed_message = &log.records("printing.dead")[0].message;
/// assert_eq!(failed_message.headers.text(headers::DEAD_KIND), Some("permanent"));
/// assert_eq!(failed_message.headers.text(headers::RETRY_TOPIC), Some("orders.order"));
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
pub struct NoStore<P> {
    publisher: Arc<P>,
    dead_letter_topic: Arc<str>,
}

impl<P: Publisher + 'static> NoStore<P> {
    /// Creates a store that publishes failed messages to a topic, or to a queue if `publisher` addresses queues.
    pub fn new(publisher: P, dead_letter_topic: impl Into<Arc<str>>) -> Self {
        Self { publisher: Arc::new(publisher), dead_letter_topic: dead_letter_topic.into() }
    }

    fn failed_message(&self, consumer: &str, received: &ReceivedMessage, failure: &Failure) -> Message {
        let mut failed_message = received.message.clone();
        failed_message.headers.set(headers::RETRY_TOPIC, failed_message.topic.to_string());
        if let Some(position) = &received.position {
            failed_message.headers.set(headers::SOURCE_TOPIC, position.topic.to_string());
            failed_message.headers.set(headers::SOURCE_PARTITION, position.partition.to_string());
            failed_message.headers.set(headers::SOURCE_OFFSET, position.offset.to_string());
        }
        failed_message.headers.set(headers::DEAD_KIND, failure.kind.as_str());
        failed_message.headers.set(headers::DEAD_ERROR, failure.error.clone());
        failed_message.headers.set(headers::DEAD_BY, consumer.to_owned());
        failed_message.topic = Arc::clone(&self.dead_letter_topic);
        failed_message
    }
}

impl<P> Clone for NoStore<P> {
    fn clone(&self) -> Self {
        Self {
            publisher: Arc::clone(&self.publisher),
            dead_letter_topic: Arc::clone(&self.dead_letter_topic),
        }
    }
}

impl<P> fmt::Debug for NoStore<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoStore").field("dead_letter_topic", &self.dead_letter_topic).finish_non_exhaustive()
    }
}

impl<P: Publisher + 'static> Store for NoStore<P> {
    type Tx = ();

    async fn begin(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn commit(&self, (): ()) -> Result<(), Error> {
        Ok(())
    }

    async fn rollback(&self, (): ()) -> Result<(), Error> {
        Ok(())
    }

    async fn transact<R: Send + 'static>(&self, work: Work<(), R>) -> Result<R, TransactError> {
        match work(()).await.1 {
            End::Commit(result) | End::Rollback(result) => Ok(result),
        }
    }
}

/// Without a database, crashes are not counted: the broker must dead-letter a message that crashes its process.
impl<P: Publisher + 'static> Markers for NoStore<P> {
    async fn claim(&self, (): &mut (), _: &str, requests: &[ClaimRequest]) -> Result<Vec<Claim>, Error> {
        Ok(vec![Claim::Fresh; requests.len()])
    }

    async fn unclaim(&self, (): &mut (), _: &str, _: &[ClaimRequest]) -> Result<(), Error> {
        Ok(())
    }
}

impl<P: Publisher + 'static> Positions for NoStore<P> {
    async fn advance(&self, (): &mut (), _: &str, _: &[NextOffset]) -> Result<(), Error> {
        Ok(())
    }

    async fn next_of(&self, _: &str, _: &str) -> Result<Vec<NextOffset>, Error> {
        Ok(Vec::new())
    }
}

impl<P: Publisher + 'static> FailedMessageRows<()> for NoStore<P> {
    async fn oldest_return(&self, _: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        Ok(None)
    }

    async fn set_aside(
        &self,
        (): &mut (),
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        let failed_message = self.failed_message(consumer, received, failure);
        let batch = std::slice::from_ref(&failed_message);
        let spans = PublishSpans::begin(consumer, self.publisher.system(), batch);
        let published = self.publisher.publish(batch).await;
        spans.end(&published);
        let not_published = || Error::new(ErrorKind::Unavailable, "failed message was not published");
        let refused = match published.into_iter().next() {
            Some(Ok(())) => return Ok(SetAsideOutcome::SetAside),
            Some(Err(refused)) => refused,
            // A publisher that returns no result breaks its contract and has confirmed nothing.
            None => return Err(not_published().with("topic", &self.dead_letter_topic)),
        };
        if refused.refusal == PublishErrorKind::Rejected {
            // Waiting alone does not cure this; an operator must act.
            tracing::error!(
                consumer, message_id = %received.id, topic = &*self.dead_letter_topic, error = %chain(&refused),
                "failed message is refused: its lane waits"
            );
        }
        Err(not_published().with("topic", &self.dead_letter_topic).caused_by(refused))
    }

    /// No key is ever blocked here: the failed message goes to the topic like any other.
    async fn park(
        &self,
        tx: &mut (),
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        _: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        self.set_aside(tx, consumer, received, failure).await
    }

    async fn park_behind(
        &self,
        (): &mut (),
        _: &str,
        behind: &[&ReceivedMessage],
        _: ParkingLimits,
    ) -> Result<usize, Error> {
        Ok(behind.len())
    }
}

/// Failed messages go to a topic, and a broker has no place for the other duties.
impl<P: Publisher + 'static> Inbox for NoStore<P> {
    type FailedMessages = Self;
    type Retries = Absent;
    type Attempts = Absent;
    type Primings = Absent;
}
