//! A consumer at the broker, and how it begins.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, Consumer};
use messagekit::adapter::Lane;
use messagekit::{Error, ErrorKind};
use tokio::runtime::Handle;

use crate::error::unavailable;
use crate::link::{PATIENCE, close_channel};
use crate::topology::compare::{self, Found, IfAbsent};
use crate::topology::queue::Arguments;
use crate::{RabbitMq, topology};

/// A consumer at the broker. A lane has one at a time, and may replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) lane: Lane,
    pub(super) number: u32,
}

/// The result of beginning a reader: its consumer, and the channel that was opened for it unless the queue has one.
pub(super) struct Begun {
    pub(super) reader: Reader,
    pub(super) result: Result<(Option<OwnChannel>, Consumer), Error>,
}

/// A reader that begins concurrently. It times out after [`PATIENCE`].
pub(super) type Beginning<'a> = BoxFuture<'a, Begun>;

/// A channel that is closed on drop. The broker may still begin a consumer that timed out here, and the client keeps
/// its channel open: no task would read the messages of that consumer.
pub(super) struct OwnChannel(pub(super) Channel);

impl Drop for OwnChannel {
    fn drop(&mut self) {
        let channel = self.0.clone();
        if let (true, Ok(runtime)) = (channel.status().connected(), Handle::try_current()) {
            runtime.spawn(async move { close_channel(&channel).await });
        }
    }
}

impl Reader {
    pub(super) fn tag(self, consumer: &str) -> ShortString {
        format!("{consumer} {}.{}", self.lane.epoch, self.number).into()
    }

    /// Limits the time of the beginning; `late` is the text of the timeout.
    pub(super) fn begins<'a>(
        self,
        late: &'static str,
        beginning: impl Future<Output = Result<(Option<OwnChannel>, Consumer), Error>> + Send + 'a,
    ) -> Beginning<'a> {
        Box::pin(async move {
            let answered = tokio::time::timeout(PATIENCE, beginning).await;
            let result = answered.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, late)));
            Begun { reader: self, result }
        })
    }
}

/// Checks that a queue may be read.
///
/// # Errors
/// Transient if it does not exist or the broker does not answer; permanent if it may lose messages.
pub(super) async fn check(connection: &Connection, rabbit: &RabbitMq, queue: &str) -> Result<(), Error> {
    match look(connection, rabbit, queue).await? {
        Found::Absent => {
            let text = "queue is not there: declare it, or correct its name";
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        Found::Declared { arguments, .. } if rabbit.verify => {
            let dangers = topology::queue::dangers(&arguments);
            if !dangers.is_empty() {
                let dangers: Vec<String> = dangers.iter().map(ToString::to_string).collect();
                let text = format!("queue may lose messages: {}", dangers.join("; "));
                return Err(Error::new(ErrorKind::InvalidConfiguration, text));
            }
            rabbit.declarations.remember(queue, &arguments);
        }
        Found::Declared { .. } => {}
        Found::Hidden => tracing::warn!(queue, "declaration is not verified: this user may not declare"),
    }
    Ok(())
}

/// Reads the queue's declaration; if any queue is allowed, checks only that it exists.
async fn look(connection: &Connection, rabbit: &RabbitMq, queue: &str) -> Result<Found, Error> {
    if !rabbit.verify && compare::has_queue(connection, queue).await? {
        return Ok(Found::Declared { differences: Vec::new(), arguments: Arguments::new() });
    }
    let usual = || topology::queue::Queue::quorum(queue).arguments();
    let wanted = rabbit.declarations.of(queue).unwrap_or_else(usual);
    compare::queue(connection, queue, wanted, IfAbsent::Report).await
}

pub(super) async fn open_channel(connection: &Connection) -> Result<OwnChannel, Error> {
    connection.create_channel().await.map(OwnChannel).map_err(cannot_read)
}

/// Starts a consumer; the broker sends at most `prefetch` unacknowledged messages.
pub(super) async fn consume(
    channel: &Channel,
    queue: &Arc<str>,
    tag: ShortString,
    prefetch: u16,
) -> Result<Consumer, Error> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(cannot_read)?;
    let options = BasicConsumeOptions::default();
    let begun = channel.basic_consume((&**queue).into(), tag, options, FieldTable::default());
    begun.await.map_err(cannot_read)
}

pub(super) fn cannot_read(error: lapin::Error) -> Error {
    unavailable("queue cannot be read", error)
}
