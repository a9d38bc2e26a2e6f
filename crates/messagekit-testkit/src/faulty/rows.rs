//! A store with one fault in its offsets and events.

use std::time::Duration;

use messagekit::adapter::{EventLinks, OutboxRows, WithoutRelay};
use messagekit::{Error, Message, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

impl OutboxRows for FaultyStore {
    async fn write(&self, tx: &mut FaultyTx, messages: &[Message]) -> Result<(), Error> {
        let mut messages = messages.to_vec();
        match self.fault {
            Some(Fault::EventsForgotten) => messages.clear(),
            Some(Fault::EventsBackwards) => messages.reverse(),
            Some(Fault::EventsLoseHeaders) => {
                messages.iter_mut().for_each(|message| message.headers = messagekit::Headers::new());
            }
            Some(Fault::LinksArePublished) => {
                let linked =
                    messages.iter_mut().filter(|message| !EventLinks::of(&message.headers).is_empty());
                linked.for_each(|message| message.headers.set("caused", "yes"));
            }
            Some(Fault::EventsOutsideTransaction | Fault::LogReadsUncommitted) => {
                let mut own = self.inner.begin().await?;
                self.inner.write(&mut own, &messages).await?;
                return self.inner.commit(own).await;
            }
            _ => {}
        }
        tx.appended.extend_from_slice(&messages);
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
