//! The subscriber of a consumer group.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{Incoming, LagProbe, Lane, Receipt, Subscriber};
use messagekit::{Error, ErrorKind};
use tokio::sync::oneshot;

use crate::Kafka;
use crate::client::GroupClient;
use crate::in_flight::UnderWay;
use crate::lag::GroupLag;
use crate::link::{Command, Commands, Events, Inbox};
use crate::member::{Closed, Member};
use crate::memory::Memory;

/// How long a revoked lane may take to finish its work, unless `max.poll.interval.ms` is short.
const DRAIN: Duration = Duration::from_secs(30);

/// Reads as a member of a consumer group; its lanes are partitions.
///
/// Its own thread polls Kafka, so the group keeps the member however long handlers take. Dropping it leaves the group
/// in the background, like a close, without waiting.
///
/// After a [`pause`](Subscriber::pause), at most [`IN_FLIGHT`](Self::IN_FLIGHT) messages may still arrive, over all
/// lanes together. In addition, the client holds what `queued.max.messages.kbytes` allows per partition.
pub struct KafkaSubscriber {
    consumer: Arc<str>,
    commands: Commands,
    inbox: Inbox,
    closed: oneshot::Receiver<Closed>,
    stage: Stage,
    lag: Arc<GroupLag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Closing,
    Closed,
}

impl KafkaSubscriber {
    /// How many messages may be in flight when a lane is paused: 256, or fewer if they make up 8 MiB.
    pub const IN_FLIGHT: usize = crate::sync::MESSAGES;

    pub(crate) async fn join(
        kafka: &Kafka,
        topics: &[Arc<str>],
        consumer: &str,
        instance: Option<&str>,
        since: Option<Timestamp>,
        memory: Memory,
    ) -> Result<Self, Error> {
        let client = {
            let config = kafka.consumer(consumer, instance);
            GroupClient::new(config, topics.to_vec(), since, kafka.recreated_topics())
        };
        // The group removes a member that takes longer than this to give partitions up.
        let longest = kafka.millis("max.poll.interval.ms").map_or(DRAIN, |interval| interval / 2);
        let name = Arc::from(consumer);
        let in_flight = Arc::new(UnderWay::default());
        let (command, commands) = mpsc::channel();
        let (event, events) = tokio::sync::mpsc::unbounded_channel();
        let (started, has_started) = oneshot::channel();
        let (closed, is_closed) = oneshot::channel();
        let (told, consumer) = (Events::new(event, Arc::clone(&in_flight)), Arc::clone(&name));
        let run = move || {
            let member = Member::new(client, name, memory, DRAIN.min(longest), commands, told);
            match member {
                Ok(member) => {
                    // The subscriber may be dropped already.
                    let _ = started.send(Ok(std::thread::current()));
                    let _ = closed.send(member.run());
                }
                Err(error) => drop(started.send(Err(error))),
            }
        };
        let no_thread = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, "no thread for the subscriber").caused_by(error)
        };
        std::thread::Builder::new().name("messagekit-kafka".into()).spawn(run).map_err(no_thread)?;
        let ended = |_| Error::new(ErrorKind::Other, "thread of the subscriber ended while it started");
        let thread = has_started.await.map_err(ended)??;
        let commands = Commands::new(command, thread);
        let lag = Arc::new(GroupLag::new(kafka.lag_client(), commands.clone()));
        Ok(Self {
            consumer,
            commands,
            inbox: Inbox::new(events, in_flight),
            closed: is_closed,
            stage: Stage::Open,
            lag,
        })
    }
}

impl Subscriber for KafkaSubscriber {
    fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if self.stage != Stage::Open {
            return Poll::Ready(None);
        }
        self.inbox.poll(&self.commands, cx)
    }

    fn pause(&mut self, lane: Lane) {
        self.commands.send(Command::Pause(lane));
    }

    fn resume(&mut self, lane: Lane) {
        self.commands.send(Command::Resume(lane));
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.commands.send(Command::Settle(std::mem::take(done)));
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        self.inbox.release(std::mem::take(back), &self.commands);
    }

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        Some(Arc::clone(&self.lag) as Arc<dyn LagProbe>)
    }

    fn poll_close(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        if self.stage == Stage::Closed {
            return Poll::Ready(Ok(()));
        }
        if self.stage == Stage::Open {
            self.stage = Stage::Closing;
            self.commands.send(Command::Close);
        }
        let answered = ready!(std::pin::Pin::new(&mut self.closed).poll(cx));
        self.stage = Stage::Closed;
        let ended = |_| Error::new(ErrorKind::Other, "thread of the subscriber did not come to its end");
        Poll::Ready(answered.map_err(ended).flatten())
    }
}

impl Drop for KafkaSubscriber {
    fn drop(&mut self) {
        self.commands.send(Command::Close);
    }
}

impl fmt::Debug for KafkaSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSubscriber")
            .field("consumer", &self.consumer)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
