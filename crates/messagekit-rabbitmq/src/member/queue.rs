//! One queue of a subscriber: its channel, under one lane at a time.

use std::sync::Arc;

use futures_util::FutureExt;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, Consumer};
use messagekit::{Error, ErrorKind, Lane};
use tokio::time::Instant;

use crate::error::unavailable;
use crate::link::PATIENCE;
use crate::topology::compare::{self, Found, IfAbsent};
use crate::topology::queue::Arguments;
use crate::{RabbitMq, topology};

pub(super) struct Queue {
    pub(super) name: Arc<str>,
    open: Option<Open>,
    again: Instant,
}

struct Open {
    channel: Channel,
    reader: Reader,
    /// How many messages may be here unsettled.
    prefetch: u16,
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

impl Queue {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, open: None, again: Instant::now() }
    }

    /// Returns the lane under which it is read.
    pub(super) fn lane(&self) -> Option<Lane> {
        self.open.as_ref().map(|open| open.reader.lane)
    }

    /// Returns when it shall be opened, unless it is open.
    pub(super) fn again(&self) -> Option<Instant> {
        self.open.is_none().then_some(self.again)
    }

    pub(super) fn try_again_at(&mut self, time: Instant) {
        self.again = time;
    }

    pub(super) fn try_at_once(&mut self) {
        self.again = Instant::now();
    }

    /// Begins to read it on a channel of its own.
    pub(super) async fn open(
        &mut self,
        connection: &Connection,
        rabbit: &RabbitMq,
        consumer: &str,
        lane: Lane,
        prefetch: u16,
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
        let reader = Reader { lane, number: 0 };
        let begun = self.consume(&channel, &reader.tag(consumer), prefetch).await?;
        self.open = Some(Open { channel, reader, prefetch });
        Ok((reader, begun))
    }

    async fn consume(&self, channel: &Channel, tag: &ShortString, prefetch: u16) -> Result<Consumer, Error> {
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(cannot_read)?;
        let (name, options) = ((&*self.name).into(), BasicConsumeOptions::default());
        let begun = channel.basic_consume(name, tag.clone(), options, FieldTable::default());
        begun.await.map_err(cannot_read)
    }

    /// Returns whether this is the reader that it has now.
    pub(super) fn is_read_by(&self, reader: Reader) -> bool {
        self.open.as_ref().is_some_and(|open| open.reader == reader)
    }

    /// Reads so many messages ahead, by another reader on the same channel: a prefetch belongs to a reader for good. The lane
    /// stays, and what is unsettled in it. `None` when it reads so already, or is not open.
    pub(super) async fn widen(
        &mut self,
        consumer: &str,
        prefetch: u16,
    ) -> Result<Option<(Reader, Consumer)>, Error> {
        let Some(Open { channel, reader, .. }) = self.open.as_ref().filter(|open| open.prefetch != prefetch)
        else {
            return Ok(None);
        };
        let (channel, next) = (channel.clone(), Reader { number: reader.number + 1, ..*reader });
        let cancel = channel.basic_cancel(reader.tag(consumer), BasicCancelOptions::default());
        cancel.await.map_err(cannot_read)?;
        let begun = self.consume(&channel, &next.tag(consumer), prefetch).await?;
        self.open = Some(Open { channel, reader: next, prefetch });
        Ok(Some((next, begun)))
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

    /// Acknowledges tags; what does not get through comes again.
    pub(super) fn acknowledge(&self, tags: &[(u64, bool)]) {
        let Some(Open { channel, .. }) = &self.open else { return };
        for (tag, multiple) in tags {
            // The first poll queues the frame. When it was written is of no interest.
            let sent = channel.basic_ack(*tag, BasicAckOptions { multiple: *multiple }).now_or_never();
            if let Some(Err(error)) = sent {
                tracing::debug!(%error, queue = &*self.name, "acknowledgement was not sent");
                return;
            }
        }
    }

    /// Lets go of the channel, and answers which lane is lost.
    pub(super) fn close(&mut self) -> Option<Lane> {
        self.again = Instant::now();
        self.open.take().map(|open| open.reader.lane)
    }

    /// Ends its consumer and closes the channel, in this order: the client logs an error when the channel is closed over the
    /// consumer's end.
    ///
    /// # Errors
    /// When the broker did not answer: the last acknowledgements may be lost.
    pub(super) async fn leave(&mut self, consumer: &str) -> Result<(), Error> {
        let Some(Open { channel, reader, .. }) = self.open.take() else { return Ok(()) };
        let text = "rabbitmq did not close the channel: what was settled last may come again";
        let closing = async {
            channel.basic_cancel(reader.tag(consumer), BasicCancelOptions::default()).await?;
            channel.close(200, "closed".into()).await
        };
        match tokio::time::timeout(PATIENCE, closing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unavailable(text, error)),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, text)),
        }
    }
}

fn cannot_read(error: lapin::Error) -> Error {
    unavailable("queue cannot be read", error)
}
