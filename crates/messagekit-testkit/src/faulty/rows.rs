//! A store with one fault in its offsets and events.

use std::time::Duration;

use messagekit::adapter::{NextOffset, Offsets, OutboxRows, WithoutRelay};
use messagekit::{Error, ErrorKind, Message, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

impl Offsets for FaultyStore {
    async fn advance(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        positions: &[NextOffset],
    ) -> Result<(), Error> {
        let mut positions = positions.to_vec();
        if self.is(Fault::OffsetsIgnoreKeyLanes) {
            positions.iter_mut().for_each(|position| position.key_lane = 0);
        }
        for position in &positions {
            let NextOffset { topic, partition, key_lane, next } = position.clone();
            self.notes().offsets.insert((consumer.to_owned(), topic, partition, key_lane), next);
        }
        if self.is(Fault::OffsetsOutsideTransaction) {
            let mut own = self.inner.begin().await?;
            self.inner.advance(&mut own, consumer, &positions).await?;
            return self.inner.commit(own).await;
        }
        match self.inner.advance(tx.inner(), consumer, &positions).await {
            Err(error) if self.is(Fault::AdvanceHidesAborted) && error.kind() == ErrorKind::Aborted => Ok(()),
            answer => answer,
        }
    }

    async fn next_of(&self, consumer: &str, topic: &str) -> Result<Vec<NextOffset>, Error> {
        let mut noted = self.inner.next_of(consumer, topic).await?;
        if self.is(Fault::OffsetsGoBack) {
            for known in &mut noted {
                let key = (consumer.to_owned(), known.topic.clone(), known.partition, known.key_lane);
                known.next = self.notes().offsets.get(&key).copied().unwrap_or(known.next);
            }
        }
        Ok(noted)
    }
}

impl OutboxRows for FaultyStore {
    async fn write(&self, tx: &mut FaultyTx, messages: &[Message]) -> Result<(), Error> {
        let mut messages = messages.to_vec();
        match self.fault {
            Some(Fault::EventsForgotten) => messages.clear(),
            Some(Fault::EventsBackwards) => messages.reverse(),
            Some(Fault::EventsLoseHeaders) => {
                messages.iter_mut().for_each(|message| message.headers = messagekit::Headers::new());
            }
            Some(Fault::EventsOutsideTransaction) => {
                let mut own = self.inner.begin().await?;
                self.inner.write(&mut own, &messages).await?;
                return self.inner.commit(own).await;
            }
            _ => {}
        }
        self.inner.write(tx.inner(), &messages).await
    }

    async fn write_after(
        &self,
        tx: &mut FaultyTx,
        messages: &[Message],
        delay: Duration,
        without_relay: WithoutRelay,
    ) -> Result<(), Error> {
        self.inner.write_after(tx.inner(), messages, delay, without_relay).await
    }

    fn wake(&self) {
        self.inner.wake();
    }
}
