//! A group that says nothing: it is away, or only this client cannot reach it any more.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::aside::aside;
use super::closing::let_go;
use super::lane::Stage;
use super::{End, Member};
use crate::client::GroupClient;
use crate::context::Context;
use crate::link::Event;

/// How long nothing may come before the group is asked.
const SILENCE: Duration = Duration::from_secs(20);

/// How long an answer may take. By then a group that heard nothing of the member either has forgotten it, or is about to.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for a client that is asked behind another one's answer: whoever is not lost has connected again by then.
const AGAIN: Duration = Duration::from_secs(10);

/// What the group is asked, on another thread.
pub(super) struct Question {
    since: Instant,
    /// Another client, which the group answers while it does not answer this one.
    answer: mpsc::Receiver<Option<BaseConsumer<Context>>>,
}

impl Member {
    /// Asks the group when nothing came for long, and begins again with another client when only that one gets an answer.
    ///
    /// A client can lose its brokers for good: from one that has just come back it may hear that there are topics and no brokers,
    /// drops every address that it has, and never asks again (<https://github.com/confluentinc/librdkafka/issues/5301>).
    pub(super) fn listen(&mut self) -> Result<bool, End> {
        let now = Instant::now();
        let Some(question) = self.question.take() else {
            if now.duration_since(self.heard) >= SILENCE {
                self.heard = now;
                self.question = Some(self.ask(now));
            }
            return Ok(false);
        };
        match question.answer.try_recv() {
            Err(mpsc::TryRecvError::Empty) => self.question = Some(question),
            Ok(Some(client)) if self.heard == question.since => {
                self.heard = now;
                self.begin_again(client)?;
                return Ok(true);
            }
            // Something came after all. The end of a client may take its time.
            Ok(Some(client)) => aside("leave", move || drop(client)),
            Ok(None) | Err(mpsc::TryRecvError::Disconnected) => self.heard = now,
        }
        Ok(false)
    }

    fn ask(&self, since: Instant) -> Question {
        let (answer, answered) = mpsc::channel();
        let (consumer, client, waiting) =
            (Arc::clone(&self.consumer), self.client.clone(), std::thread::current());
        let work = move || {
            let another = another_is_answered(&consumer, &client);
            drop(consumer);
            // Nobody listens any more when the member has left.
            let _ = answer.send(another);
            drop(answer);
            waiting.unpark();
        };
        aside("ask", work);
        Question { since, answer: answered }
    }

    fn begin_again(&mut self, client: BaseConsumer<Context>) -> Result<(), End> {
        tracing::warn!(
            consumer = &*self.name,
            "the group does not answer this client and answers another one: the member joins again"
        );
        for (_, lane) in std::mem::take(&mut self.lanes) {
            if lane.stage != Stage::Opening {
                self.events.send(Event::Lost(lane.id));
            }
        }
        (self.opening, self.confirming) = (None, None);
        // Before another one joins: a commit that is under way may hold the old client for a while, and it must not join, too.
        self.consumer.context().close();
        self.consumer.unsubscribe();
        let client = self.client.subscribed(client).map_err(End::Permanent)?;
        let (old, step) = (std::mem::replace(&mut self.consumer, client), self.step.take());
        aside("leave", move || let_go(old, step));
        Ok(())
    }
}

/// Returns another client, when the group answers it and not this one. This one is asked once more behind it: both hear of a broker
/// that comes back.
fn another_is_answered(
    consumer: &BaseConsumer<Context>,
    client: &GroupClient,
) -> Option<BaseConsumer<Context>> {
    let is_over = || consumer.context().is_closing();
    if answers(consumer, client, PATIENCE) || is_over() {
        return None;
    }
    let another = match client.unsubscribed() {
        Ok(another) => another,
        Err(error) => {
            tracing::warn!(error = %messagekit::chain(&error), "no other client to ask the group with");
            return None;
        }
    };
    let alone = answers(&another, client, PATIENCE) && !is_over() && !answers(consumer, client, AGAIN);
    alone.then_some(another)
}

/// Says whether a group answers what any client may ask. What it answers does not matter, nor that it refuses.
fn answers(consumer: &BaseConsumer<Context>, client: &GroupClient, limit: Duration) -> bool {
    let mut partitions = TopicPartitionList::with_capacity(1);
    for topic in client.topics().take(1) {
        partitions.add_partition(topic, 0);
    }
    match consumer.committed_offsets(partitions, limit) {
        Ok(_) => true,
        // What the client says by itself is below zero.
        Err(error) => error.rdkafka_error_code().is_some_and(|code| code as i32 >= 0),
    }
}
