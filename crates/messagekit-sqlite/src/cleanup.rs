//! Removes rows that are no longer needed.

use messagekit::adapter::BoxFuture;
use messagekit::cleanup::{Cleanup, CleanupRequest, CleanupStep, CleanupTarget};
use messagekit::{Error, ErrorKind};

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::cleanup::{self, Marker};
use crate::tables::{micros, now};

/// Events are the records of the file's own topics, which their readers need: a cleanup does not touch them.
impl Cleanup for SqliteStore {
    fn remove_step<'a>(&'a self, request: CleanupRequest<'a>) -> BoxFuture<'a, Result<CleanupStep, Error>> {
        let CleanupRequest { what, retention, from, is_trial } = request;
        Box::pin(async move {
            match what {
                CleanupTarget::Events => {
                    let reason = "events of a file are the records of its topics, and stay with them";
                    Ok(CleanupStep { removed: 0, days: 0, next: None, kept_because: Some(reason.to_owned()) })
                }
                CleanupTarget::Markers => {
                    let after = from.map(marker).transpose()?;
                    let done = self
                        .job(move |conn| {
                            cleanup::markers(conn, after.clone(), now(), is_trial).map_err(from_sqlite)
                        })
                        .await?;
                    let next = done.next.map(|next| format!("{}/{}", next.consumer, next.message));
                    Ok(CleanupStep { removed: done.removed, days: 0, next, kept_because: None })
                }
                CleanupTarget::FailedMessages => {
                    let after = from.map_or(Ok(0), str::parse).map_err(|_| nonsense())?;
                    let before = now() - micros(retention.failed_messages);
                    let done = self
                        .job(move |conn| {
                            cleanup::failed_messages(conn, after, before, is_trial).map_err(from_sqlite)
                        })
                        .await?;
                    let next = done.next.map(|next| next.to_string());
                    Ok(CleanupStep { removed: done.removed, days: 0, next, kept_because: None })
                }
            }
        })
    }
}

fn marker(from: &str) -> Result<Marker, Error> {
    let (consumer, message) = from.split_once('/').ok_or_else(nonsense)?;
    let consumer = consumer.parse().map_err(|_| nonsense())?;
    Ok(Marker { consumer, message: message.to_owned() })
}

fn nonsense() -> Error {
    Error::new(ErrorKind::InvalidConfiguration, "not a place where a step of a cleanup has ended")
}
