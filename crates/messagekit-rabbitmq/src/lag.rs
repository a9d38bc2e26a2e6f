//! The lag of a member of a queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use messagekit::Error;
use messagekit::adapter::{BoxFuture, LagProbe, PartitionLag};
use tokio::time::Instant;

use crate::RabbitMq;
use crate::error::unavailable;
use crate::lane::Unsettled;
use crate::link::close_channel;

/// What the lanes of a subscriber hold, by slot.
#[derive(Debug)]
pub(crate) struct Load {
    queues: Vec<Arc<str>>,
    held: Mutex<Vec<Option<Unsettled>>>,
}

impl Load {
    pub(crate) fn new(queues: Vec<Arc<str>>) -> Self {
        let held = Mutex::new(vec![None; queues.len()]);
        Self { queues, held }
    }

    /// Replaces what a lane holds; `None` if the lane is not assigned.
    pub(crate) fn set(&self, slot: u32, held: Option<Unsettled>) {
        if let Some(known) = self.lock().get_mut(slot as usize) {
            *known = held;
        }
    }

    /// Forgets every lane: the subscriber leaves.
    pub(crate) fn clear(&self) {
        self.lock().fill(None);
    }

    fn of(&self, slot: usize) -> Option<Unsettled> {
        self.lock()[slot]
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Unsettled>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds this member's share of the waiting messages to those that it holds unsettled. The broker tells a reader only how many
/// messages are ready and how many consumers the queue has. Each member counts an equal share, rounded up, so that the shares of
/// all members sum up to the depth of the queue.
///
/// The age counts from the arrival of the oldest unsettled message here, because a queue does not record when a message came.
/// While the member holds none, it counts from when this probe first saw messages wait.
///
/// A passive declaration of a missing queue closes its channel, so it never uses the connection that delivers.
pub(crate) struct QueueLag {
    rabbit: RabbitMq,
    name: String,
    load: Arc<Load>,
    /// Made with the first query, and anew after a failed one.
    connection: tokio::sync::Mutex<Option<Connection>>,
    /// Since when messages wait while the member holds none, by slot.
    waiting: Mutex<Vec<Option<Instant>>>,
}

impl QueueLag {
    pub(crate) fn new(rabbit: RabbitMq, consumer: &str, load: Arc<Load>) -> Self {
        let name = rabbit.connection_name(&format!("lag of {consumer}"));
        let waiting = Mutex::new(vec![None; load.queues.len()]);
        Self { rabbit, name, load, connection: tokio::sync::Mutex::default(), waiting }
    }

    async fn read(&self) -> Result<Vec<PartitionLag>, Error> {
        let mut lag = Vec::new();
        let owned: Vec<usize> =
            (0..self.load.queues.len()).filter(|slot| self.load.of(*slot).is_some()).collect();
        if owned.is_empty() {
            return Ok(lag);
        }
        let mut kept = self.connection.lock().await;
        let connection = match kept.take().filter(|known| known.status().connected()) {
            Some(connection) => connection,
            None => self.rabbit.connect(&self.name).await?,
        };
        let channel = connection.create_channel().await.map_err(unknown)?;
        for slot in owned {
            let share = share(&channel, &self.load.queues[slot]).await?;
            // Lost meanwhile: its next owner answers for it.
            let Some(held) = self.load.of(slot) else { continue };
            let (messages, since) = (share + held.messages, self.since(slot, share, held));
            lag.push(PartitionLag {
                topic: Arc::clone(&self.load.queues[slot]),
                partition: None,
                messages,
                oldest: since.map_or(Duration::ZERO, |since| since.elapsed()),
            });
        }
        close_channel(&channel).await;
        *kept = Some(connection);
        Ok(lag)
    }

    fn since(&self, slot: usize, share: u64, held: Unsettled) -> Option<Instant> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_waiting = share > 0 && held.since.is_none();
        waiting[slot] = is_waiting.then(|| waiting[slot].unwrap_or_else(Instant::now));
        held.since.or(waiting[slot])
    }
}

impl LagProbe for QueueLag {
    fn lag(&self) -> BoxFuture<'_, Result<Vec<PartitionLag>, Error>> {
        Box::pin(self.read())
    }
}

/// Returns an equal share of the messages that are ready, rounded up.
async fn share(channel: &Channel, queue: &str) -> Result<u64, Error> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
    let found = found.map_err(|error| unknown(error).with("queue", queue))?;
    Ok(u64::from(found.message_count()).div_ceil(u64::from(found.consumer_count().max(1))))
}

fn unknown(error: lapin::Error) -> Error {
    unavailable("rabbitmq does not tell how many messages wait", error)
}
