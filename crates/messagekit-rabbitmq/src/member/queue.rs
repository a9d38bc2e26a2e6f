//! One queue of a subscriber: its channel, under one lane at a time.

use std::sync::Arc;

use futures_util::FutureExt;
use lapin::options::{BasicAckOptions, BasicCancelOptions};
use lapin::{Channel, Connection};
use messagekit::adapter::Lane;
use messagekit::{Error, ErrorKind};
use tokio::time::Instant;

use super::pace::{Next, Pace};
use super::reader::{Beginning, OwnChannel, Reader, cannot_read, check, consume, open_channel};
use crate::RabbitMq;
use crate::error::unavailable;
use crate::lane::Settled;
use crate::link::PATIENCE;

pub(super) struct Queue {
    pub(super) name: Arc<str>,
    pace: Pace,
    stage: Stage,
}

enum Stage {
    Closed { again: Instant },
    Opening,
    Open(Open),
}

struct Open {
    channel: OwnChannel,
    reader: Reader,
    /// The tags that are settled and not acknowledged yet.
    settled: Vec<(u64, bool)>,
}

impl Open {
    fn channel(&self) -> &Channel {
        &self.channel.0
    }

    /// Acknowledges settled messages; the broker delivers those again whose acknowledgement is lost.
    fn acknowledge(&mut self, queue: &str) {
        for (tag, multiple) in std::mem::take(&mut self.settled) {
            // The first poll queues the frame. The time of its write does not matter.
            let sent = self.channel().basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
            if let Some(Err(error)) = sent {
                tracing::debug!(%error, queue, "acknowledgement was not sent");
                return;
            }
        }
    }

    /// Cancels the reader, acknowledges the settled messages, and begins another reader with a higher prefetch.
    fn replace(&mut self, queue: &Arc<str>, consumer: &str, prefetch: u16) -> Beginning<'static> {
        let (channel, tag) = (self.channel().clone(), self.reader.tag(consumer));
        let mut cancelling =
            Box::pin(async move { channel.basic_cancel(tag, BasicCancelOptions::default()).await });
        // The first poll queues the frame. Each acknowledgement makes room for a message. If it reached the broker
        // before the cancel, this member would receive that message while another member reads on.
        let cancelled = (&mut cancelling).now_or_never();
        self.acknowledge(queue);
        self.reader.number += 1;
        let (channel, queue) = (self.channel().clone(), Arc::clone(queue));
        let tag = self.reader.tag(consumer);
        self.reader.begins("rabbitmq replaced no consumer in time", async move {
            let cancelled = match cancelled {
                Some(cancelled) => cancelled,
                None => cancelling.await,
            };
            cancelled.map_err(cannot_read)?;
            Ok((None, consume(&channel, &queue, tag, prefetch).await?))
        })
    }
}

impl Queue {
    pub(super) fn new(name: Arc<str>, prefetch: u16) -> Self {
        Self { name, pace: Pace::new(prefetch), stage: Stage::Closed { again: Instant::now() } }
    }

    /// Returns the lane of the current reader.
    pub(super) fn lane(&self) -> Option<Lane> {
        match &self.stage {
            Stage::Open(open) => Some(open.reader.lane),
            Stage::Closed { .. } | Stage::Opening => None,
        }
    }

    /// Returns when to open the queue; `None` if it is open or opening.
    pub(super) fn again(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Closed { again } => Some(*again),
            Stage::Opening | Stage::Open(_) => None,
        }
    }

    /// Begins to read the queue on its own channel.
    pub(super) fn open<'a>(
        &mut self,
        connection: &'a Connection,
        rabbit: &RabbitMq,
        consumer: &str,
        lane: Lane,
    ) -> Beginning<'a> {
        self.stage = Stage::Opening;
        let (rabbit, name, prefetch) = (rabbit.clone(), Arc::clone(&self.name), self.pace.prefetch());
        let reader = Reader { lane, number: 0 };
        let tag = reader.tag(consumer);
        reader.begins("rabbitmq opened no consumer in time", async move {
            check(connection, &rabbit, &name).await?;
            let channel = open_channel(connection).await?;
            let consumer = consume(&channel.0, &name, tag, prefetch).await?;
            Ok((Some(channel), consumer))
        })
    }

    pub(super) fn opened(&mut self, channel: OwnChannel, reader: Reader) {
        self.pace.opened();
        self.stage = Stage::Open(Open { channel, reader, settled: Vec::new() });
    }

    /// Schedules the next attempt after the queue could not be opened.
    pub(super) fn try_again_later(&mut self) {
        self.stage = Stage::Closed { again: Instant::now() + self.pace.pause() };
    }

    /// Returns whether this is the current reader.
    pub(super) fn is_read_by(&self, reader: Reader) -> bool {
        matches!(&self.stage, Stage::Open(open) if open.reader == reader)
    }

    pub(super) fn delivered(&mut self) {
        self.pace.delivered();
    }

    /// Records settled messages, and acknowledges them when they are due. Returns another reader on the same channel
    /// if the queue gets a higher prefetch; the lane stays.
    pub(super) fn settle(&mut self, consumer: &str, settled: Settled) -> Option<Beginning<'static>> {
        let Stage::Open(open) = &mut self.stage else { return None };
        open.settled.extend(settled.tags);
        match self.pace.settled(settled.messages) {
            Next::Wait => None,
            Next::Acknowledge => {
                open.acknowledge(&self.name);
                None
            }
            Next::Replace => Some(open.replace(&self.name, consumer, self.pace.prefetch())),
        }
    }

    /// Closes the channel, and returns the lost lane.
    pub(super) fn close(&mut self) -> Option<Lane> {
        let Stage::Open(open) = &mut self.stage else { return None };
        let lane = open.reader.lane;
        open.acknowledge(&self.name);
        self.stage = Stage::Closed { again: Instant::now() };
        Some(lane)
    }

    /// Handles the end of the connection, and returns the lost lane. A queue that was not read on it waits as long as
    /// before.
    pub(super) fn disconnected(&mut self, is_explained: bool) -> Option<Lane> {
        let (lane, again) = (self.lane(), self.again());
        if again.is_none() && !is_explained {
            self.pace.ended_unexplained();
        }
        if again.is_none_or(|again| again <= Instant::now()) {
            self.try_again_later();
        }
        lane
    }

    /// Closes the channel, and its consumer with it. If the consumer were cancelled first, a single active consumer
    /// of another member would continue after the unsettled messages.
    ///
    /// # Errors
    /// Fails if the broker did not answer: the last acknowledgements may be lost.
    pub(super) async fn leave(&mut self) -> Result<(), Error> {
        let Stage::Open(open) = &mut self.stage else { return Ok(()) };
        open.acknowledge(&self.name);
        let text = "rabbitmq did not close the channel: what was settled last may come again";
        let closed = tokio::time::timeout(PATIENCE, open.channel().close(200, "closed".into())).await;
        match closed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unavailable(text, error).with("queue", &self.name)),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, text).with("queue", &self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_connection_does_not_delay_a_queue_waiting_to_reopen() {
        let mut queue = Queue::new("orders".into(), 10);
        (0..20).for_each(|_| queue.try_again_later());
        let again = queue.again();
        assert_eq!(queue.disconnected(false), None);
        assert_eq!((queue.again(), queue.pace.prefetch()), (again, 10));
        queue.stage = Stage::Opening;
        assert_eq!(queue.disconnected(false), None);
        assert_eq!((queue.again().is_some(), queue.pace.prefetch()), (true, 1));
    }

    #[test]
    fn a_connection_that_ends_at_once_is_not_opened_again_at_once() {
        let mut queue = Queue::new("orders".into(), 10);
        (0..20).for_each(|_| queue.try_again_later());
        queue.stage = Stage::Closed { again: Instant::now() };
        let now = Instant::now();
        queue.disconnected(true);
        assert!(queue.again() > Some(now + std::time::Duration::from_secs(1)));
        assert_eq!(queue.pace.prefetch(), 10);
    }
}
