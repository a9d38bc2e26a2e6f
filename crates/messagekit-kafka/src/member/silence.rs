//! A group that says nothing: it is away, or only this client cannot reach it any more.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::Member;
use super::closing::let_go;
use super::lane::Stage;
use crate::client::GroupClient;
use crate::context::Context;
use crate::link::Event;

/// How long nothing may come before the group is asked.
const SILENCE: Duration = Duration::from_secs(20);

/// How long an answer may take. By then a group that heard nothing of the member either has forgotten it, or is about to.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the group is asked, on another thread.
pub(super) struct Question {
    since: Instant,
    answer: mpsc::Receiver<Answer>,
}

enum Answer {
    /// The group is there for this client, or for nobody.
    GoOn,
    /// The group did not answer this client, and then it did answer this other one.
    BeginAgain(Box<BaseConsumer<Context>>),
}

impl Member {
    /// Asks the group when nothing came for long, and begins again with another client when only that one gets an answer.
    ///
    /// A client can lose its brokers for good: from one that has just come back it may hear that there are topics and no brokers,
    /// drops every address that it has, and never asks again (<https://github.com/confluentinc/librdkafka/issues/5301>).
    pub(super) fn listen(&mut self) -> bool {
        let now = Instant::now();
        let Some(question) = self.question.take() else {
            if now.duration_since(self.heard) >= SILENCE {
                self.question = self.ask(now);
            }
            return false;
        };
        match question.answer.try_recv() {
            Err(mpsc::TryRecvError::Empty) => self.question = Some(question),
            // Something came after all.
            _ if self.heard > question.since => {}
            Ok(Answer::BeginAgain(client)) => {
                self.heard = now;
                self.begin_again(*client);
                return true;
            }
            Ok(Answer::GoOn) | Err(mpsc::TryRecvError::Disconnected) => self.heard = now,
        }
        false
    }

    fn ask(&self, since: Instant) -> Option<Question> {
        let (answer, answered) = mpsc::channel();
        let (consumer, client, waiting) =
            (Arc::clone(&self.consumer), self.client.clone(), std::thread::current());
        let work = move || {
            let is_there = answers(&consumer, &client);
            drop(consumer);
            let another = if is_there { None } else { client.unsubscribed().ok() };
            // Nobody listens any more when the member has left.
            let _ = answer.send(match another.filter(|another| answers(another, &client)) {
                Some(another) => Answer::BeginAgain(Box::new(another)),
                None => Answer::GoOn,
            });
            waiting.unpark();
        };
        match std::thread::Builder::new().name("messagekit-kafka-ask".into()).spawn(work) {
            Ok(_) => Some(Question { since, answer: answered }),
            Err(error) => {
                tracing::error!(consumer = &*self.name, %error, "no thread to ask the group with");
                None
            }
        }
    }

    fn begin_again(&mut self, client: BaseConsumer<Context>) {
        let client = match self.client.subscribed(client) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(consumer = &*self.name, error = %messagekit::chain(&error), "another client is refused");
                return;
            }
        };
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
        let (old, step) = (std::mem::replace(&mut self.consumer, client), self.step.take());
        let work = move || let_go(old, step);
        if let Err(error) = std::thread::Builder::new().name("messagekit-kafka-leave".into()).spawn(work) {
            tracing::error!(consumer = &*self.name, %error, "no thread to leave the group with");
        }
    }
}

/// Says whether a group answers what any client may ask. What it answers does not matter, nor that it refuses.
fn answers(consumer: &BaseConsumer<Context>, client: &GroupClient) -> bool {
    let mut partitions = TopicPartitionList::with_capacity(1);
    for topic in client.topics().take(1) {
        partitions.add_partition(topic, 0);
    }
    match consumer.committed_offsets(partitions, PATIENCE) {
        Ok(_) => true,
        // What the client says by itself is below zero.
        Err(error) => error.rdkafka_error_code().is_some_and(|code| code as i32 >= 0),
    }
}
