//! A source without positions, such as a queue.

use std::task::{Context, Poll};

use messagekit::Error;
use messagekit::adapter::{Capabilities, Incoming, Lane, NextOffset, Receipt, Source, Subscriber};
use messagekit::operations::FailedMessageState;

use crate::fixture::{CONSUMER, TOPIC, World, start, until};

pub(crate) struct Placeless<S>(pub(crate) S);

impl<S: Source> Source for Placeless<S> {
    type Subscriber = Placeless<S::Subscriber>;

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.positions = false;
        capabilities
    }

    fn topics(&self) -> &[std::sync::Arc<str>] {
        self.0.topics()
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        self.0.bind(consumer, remembered).await.map(Placeless)
    }
}

impl<S: Subscriber> Subscriber for Placeless<S> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        self.0.poll_next(cx).map_ok(|incoming| match incoming {
            Incoming::Message(mut delivery) => {
                delivery.position = None;
                Incoming::Message(delivery)
            }
            other => other,
        })
    }

    fn pause(&mut self, lane: Lane) {
        self.0.pause(lane);
    }

    fn resume(&mut self, lane: Lane) {
        self.0.resume(lane);
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.0.settle(done);
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        self.0.release(back);
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_close(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_without_id_and_position_make_one_failed_message() {
    let world = World::new(1);
    for text in ["no json", "no json either", "no json"] {
        world.publish(messagekit::Message::new(TOPIC, text)).await;
    }
    let consumer = start(world.billing_from(Placeless(world.topics())));
    until(|| world.committed(0) == 3).await;
    world.log.redeliver(CONSUMER);
    until(|| consumer.read().duplicates == 4).await;
    consumer.stop().await;
    let failed_messages = world.failed_messages().await;
    let ids: Vec<&str> =
        failed_messages.iter().map(|failed_message| failed_message.message_id.as_str()).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids.iter().all(|id| id.starts_with("at:orders.order/")), "{ids:?}");
    assert!(failed_messages.iter().all(|failed_message| failed_message.state == FailedMessageState::Dead
        && failed_message.position.is_none()));
}
