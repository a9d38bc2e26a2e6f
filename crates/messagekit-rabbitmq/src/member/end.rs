//! The reason for the end of a connection.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt};
use lapin::Event;

use crate::error::is_forced;

/// How long the client may take to report the reason: it does so after the last frame.
const REASON: Duration = Duration::from_secs(1);

/// The events that a client reports about its connection.
pub(super) type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The broker announced the end: it stops, or an operator closed the connection.
    Forced,
    Unexplained,
}

impl End {
    /// Reads one event; `None` if it is not the end.
    pub(super) fn read(event: &Event) -> Option<Self> {
        match event {
            Event::Error(error) if is_forced(error) => Some(Self::Forced),
            // The client reports the end of a channel in the same way.
            Event::Error(error) if !error.is_amqp_soft_error() => Some(Self::Unexplained),
            _ => None,
        }
    }

    /// Waits a short time for the reason of a connection's end.
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
