//! One queue of a subscriber: its channel, under one lane at a time.

use std::sync::Arc;

use futures_util::FutureExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use messagekit::{Error, ErrorKind, Lane};
use tokio::time::Instant;

use crate::error::unavailable;
use crate::link::PATIENCE;
use crate::topology::compare::Found;
use crate::{RabbitMq, topology};

pub(super) struct Queue {
    pub(super) name: Arc<str>,
    open: Option<(Lane, Channel)>,
    again: Instant,
}

impl Queue {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, open: None, again: Instant::now() }
    }

    /// Returns the lane under which it is read.
    pub(super) fn lane(&self) -> Option<Lane> {
        self.open.as_ref().map(|(lane, _)| *lane)
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
    ) -> Result<Consumer, Error> {
        let failed = |error: lapin::Error| unavailable("queue cannot be read", error);
        let name = || (&*self.name).into();
        let wanted = topology::queue::Queue::quorum(&*self.name).arguments();
        match topology::compare::queue(connection, &self.name, wanted).await? {
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
            }
            Found::Declared { .. } => {}
            Found::Hidden => {
                tracing::warn!(queue = &*self.name, "declaration is not verified: this user may not declare");
            }
        }
        let channel = connection.create_channel().await.map_err(failed)?;
        channel.basic_qos(rabbit.prefetch, BasicQosOptions::default()).await.map_err(failed)?;
        let tag = format!("{consumer} {}", lane.epoch);
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(name(), tag.into(), options, FieldTable::default());
        let consumer = consumer.await.map_err(failed)?;
        self.open = Some((lane, channel));
        Ok(consumer)
    }

    /// Acknowledges tags; what does not get through comes again.
    pub(super) fn acknowledge(&self, tags: &[(u64, bool)]) {
        let Some((_, channel)) = &self.open else { return };
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
        self.open.take().map(|(lane, _)| lane)
    }

    /// Closes the channel in order.
    ///
    /// # Errors
    /// When the broker did not answer: the last acknowledgements may be lost.
    pub(super) async fn leave(&mut self) -> Result<(), Error> {
        let Some((_, channel)) = self.open.take() else { return Ok(()) };
        let text = "rabbitmq did not close the channel: what was settled last may come again";
        match tokio::time::timeout(PATIENCE, channel.close(200, "closed".into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unavailable(text, error)),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, text)),
        }
    }
}
