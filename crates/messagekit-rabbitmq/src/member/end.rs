//! Why a connection ended.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt};
use lapin::Event;

use crate::error::is_forced;

/// How long the client may take to say why, once it has ended: it says so behind the last frame.
const REASON: Duration = Duration::from_secs(1);

/// What a client says of its connection.
pub(super) type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The broker says that it ends the connection, as it does when it stops or an operator wishes.
    Forced,
    Unexplained,
}

impl End {
    /// Reads one event; `None` when it is not the end.
    pub(super) fn read(event: &Event) -> Option<Self> {
        match event {
            Event::Error(error) if is_forced(error) => Some(Self::Forced),
            // The end of a channel is told the same way.
            Event::Error(error) if !error.is_amqp_soft_error() => Some(Self::Unexplained),
            _ => None,
        }
    }

    /// Waits until it is known why a connection has ended, not for long.
    pub(super) async fn of(events: &mut Events) -> Self {
        let said = async {
            while let Some(event) = events.next().await {
                if let Some(end) = Self::read(&event) {
                    return end;
                }
            }
            Self::Unexplained
        };
        tokio::time::timeout(REASON, said).await.unwrap_or(Self::Unexplained)
    }
}
