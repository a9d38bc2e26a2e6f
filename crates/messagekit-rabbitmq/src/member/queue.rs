//! One queue of a subscriber: its channel, under one lane at a time.

use std::sync::Arc;

use futures_util::FutureExt;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, Consumer};
use messagekit::{Error, ErrorKind, Lane};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::pace::{Next, Pace};
use crate::error::unavailable;
use crate::lane::Settled;
use crate::link::{PATIENCE, close_channel};
use crate::topology::compare::{self, Found, IfAbsent};
use crate::topology::queue::Arguments;
use crate::{RabbitMq, topology};

pub(super) struct Queue {
    pub(super) name: Arc<str>,
    pace: Pace,
    open: Option<Open>,
    again: Instant,
}

struct Open {
    channel: Channel,
    reader: Reader,
    /// The tags of what is settled and not acknowledged yet.
    settled: Vec<(u64, bool)>,
}

/// A consumer at the broker. A lane has one at a time, and may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) lane: Lane,
    number: u32,
}

impl Reader {
    fn tag(self, consumer: &str) -> ShortString {
        format!("{consumer} {}.{}", self.lane.epoch, self.number).into()
    }
}

impl Open {
    async fn consume(&self, queue: &str, consumer: &str, prefetch: u16) -> Result<Consumer, Error> {
        self.channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(cannot_read)?;
        let (tag, options) = (self.reader.tag(consumer), BasicConsumeOptions::default());
        let begun = self.channel.basic_consume(queue.into(), tag, options, FieldTable::default());
        begun.await.map_err(cannot_read)
    }

    /// Acknowledges what is settled; what does not get through comes again.
    fn acknowledge(&mut self, queue: &str) {
        for (tag, multiple) in self.settled.drain(..) {
            // The first poll queues the frame. When it was written is of no interest.
            let sent = self.channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
            if let Some(Err(error)) = sent {
                tracing::debug!(%error, queue, "acknowledgement was not sent");
                return;
            }
        }
    }
}

impl Drop for Open {
    /// The broker may still begin what was given up here, and the client keeps its channel open: messages would go to a consumer
    /// that nobody reads.
    fn drop(&mut self) {
        let channel = self.channel.clone();
        if let (true, Ok(runtime)) = (channel.status().connected(), Handle::try_current()) {
            runtime.spawn(async move { close_channel(&channel).await });
        }
    }
}

impl Queue {
    pub(super) fn new(name: Arc<str>, prefetch: u16) -> Self {
        Self { name, pace: Pace::new(prefetch), open: None, again: Instant::now() }
    }

    /// Returns the lane under which it is read.
    pub(super) fn lane(&self) -> Option<Lane> {
        self.open.as_ref().map(|open| open.reader.lane)
    }

    /// Returns when it shall be opened, unless it is open.
    pub(super) fn again(&self) -> Option<Instant> {
        self.open.is_none().then_some(self.again)
    }

    pub(super) fn try_again_later(&mut self) {
        self.again = Instant::now() + self.pace.pause();
    }

    /// Nothing says why the connection has ended over which it was read.
    pub(super) fn ended_unexplained(&mut self) {
        self.pace.ended_unexplained();
    }

    /// Begins to read it on a channel of its own.
    pub(super) async fn open(
        &mut self,
        connection: &Connection,
        rabbit: &RabbitMq,
        consumer: &str,
        lane: Lane,
    ) -> Result<(Reader, Consumer), Error> {
        match self.look(connection, rabbit).await? {
            Found::Absent => {
                let text = "queue is not there: declare it, or correct its name";
                return Err(Error::new(ErrorKind::Unavailable, text));
            }
            Found::Declared { arguments, .. } if rabbit.verify => {
                let dangers = topology::queue::dangers(&arguments);
                if !dangers.is_empty() {
                    let text = format!("queue may lose messages: {}", dangers.join("; "));
                    return Err(Error::new(ErrorKind::InvalidConfiguration, text));
                }
                rabbit.declarations.remember(&self.name, &arguments);
            }
            Found::Declared { .. } => {}
            Found::Hidden => {
                tracing::warn!(queue = &*self.name, "declaration is not verified: this user may not declare");
            }
        }
        let channel = connection.create_channel().await.map_err(cannot_read)?;
        let open = Open { channel, reader: Reader { lane, number: 0 }, settled: Vec::new() };
        self.pace.opened();
        let begun = open.consume(&self.name, consumer, self.pace.prefetch()).await?;
        let reader = open.reader;
        self.open = Some(open);
        Ok((reader, begun))
    }

    /// Returns whether this is the reader that it has now.
    pub(super) fn is_read_by(&self, reader: Reader) -> bool {
        self.open.as_ref().is_some_and(|open| open.reader == reader)
    }

    pub(super) fn delivered(&mut self) {
        self.pace.delivered();
    }

    /// Takes note of what was settled, and acknowledges it when its time has come. Answers another reader on the same channel
    /// when the queue is read further ahead from now on; the lane stays.
    ///
    /// # Errors
    /// When the broker did not replace the reader: the channel is of no use any more.
    pub(super) async fn settle(
        &mut self,
        consumer: &str,
        settled: Settled,
    ) -> Result<Option<(Reader, Consumer)>, Error> {
        let Some(open) = &mut self.open else { return Ok(None) };
        open.settled.extend(settled.tags);
        match self.pace.settled(settled.messages) {
            Next::Wait => return Ok(None),
            Next::Acknowledge => {
                open.acknowledge(&self.name);
                return Ok(None);
            }
            Next::Replace => {}
        }
        let cancel = open.channel.basic_cancel(open.reader.tag(consumer), BasicCancelOptions::default());
        cancel.await.map_err(cannot_read)?;
        // Not before: each acknowledgement makes room for a message, which would be here while another member reads on.
        open.acknowledge(&self.name);
        open.reader.number += 1;
        let begun = open.consume(&self.name, consumer, self.pace.prefetch()).await?;
        Ok(Some((open.reader, begun)))
    }

    /// Looks at its declaration, and where any will do only whether it is there.
    async fn look(&self, connection: &Connection, rabbit: &RabbitMq) -> Result<Found, Error> {
        if !rabbit.verify && compare::has_queue(connection, &self.name).await? {
            return Ok(Found::Declared { differences: Vec::new(), arguments: Arguments::new() });
        }
        let usual = || topology::queue::Queue::quorum(&*self.name).arguments();
        let wanted = rabbit.declarations.of(&self.name).unwrap_or_else(usual);
        compare::queue(connection, &self.name, wanted, IfAbsent::Report).await
    }

    /// Lets go of the channel, and answers which lane is lost.
    pub(super) fn close(&mut self) -> Option<Lane> {
        self.again = Instant::now();
        self.open.take().map(|open| open.reader.lane)
    }

    /// Closes the channel and its consumer with it. A consumer that is cancelled before lets another member go on behind what
    /// is unsettled here, where only one may be active.
    ///
    /// # Errors
    /// When the broker did not answer: the last acknowledgements may be lost.
    pub(super) async fn leave(&mut self) -> Result<(), Error> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.acknowledge(&self.name);
        let text = "rabbitmq did not close the channel: what was settled last may come again";
        match tokio::time::timeout(PATIENCE, open.channel.close(200, "closed".into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unavailable(text, error)),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, text)),
        }
    }
}

fn cannot_read(error: lapin::Error) -> Error {
    unavailable("queue cannot be read", error)
}
