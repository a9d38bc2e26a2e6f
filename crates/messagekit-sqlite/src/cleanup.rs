//! Removes rows that are no longer needed.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::cleanup::{Cleanup, CleanupRequest, CleanupStep, CleanupTarget, no_cleanup_step};
use messagekit_topic_store::TopicDefinitions;

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::cleanup::{self, Marker};
use crate::tables::{micros, now, topic_records};

/// Events are the records of the file's own topics, which their readers need: a cleanup deletes those that the retention rule of their
/// topic no longer keeps, whatever the retention of events is.
impl Cleanup for SqliteStore {
    fn remove_step<'a>(&'a self, request: CleanupRequest<'a>) -> BoxFuture<'a, Result<CleanupStep, Error>> {
        let CleanupRequest { what, retention, from, is_trial } = request;
        Box::pin(async move {
            match what {
                CleanupTarget::Events => self.expire_next(from, is_trial).await,
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
                    let after = from
                        .map_or(Ok(0), str::parse)
                        .map_err(|_| no_cleanup_step(from.unwrap_or_default()))?;
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

impl SqliteStore {
    /// Deletes some records of the first topic from `from` on that has a retention rule.
    async fn expire_next(&self, from: Option<&str>, is_trial: bool) -> Result<CleanupStep, Error> {
        let mut dropped = 0;
        if from.is_none() && !is_trial {
            // What a drop or a migration of a topic has left, because its process has died.
            loop {
                match self.clear_dropped().await? {
                    0 => break,
                    cleared => dropped += cleared,
                }
            }
            dropped += self.clear_dead_migrations().await?;
        }
        let ruled = self.topic_definitions().await?;
        let ruled: Vec<_> = ruled.into_iter().filter(|topic| topic.retention.is_some()).collect();
        let mut step = CleanupStep { removed: dropped, days: 0, next: None, kept_because: None };
        if ruled.is_empty() {
            let reason = "events of a file are the records of its topics, and none has a retention rule";
            step.kept_because = Some(reason.to_owned());
            return Ok(step);
        }
        let at = ruled.iter().position(|topic| from.is_none_or(|from| from <= &*topic.name));
        let Some(at) = at else { return Ok(step) };
        let name = ruled[at].name.clone();
        let expired = if is_trial {
            let name = name.clone();
            self.query(move |conn| topic_records::due(conn, &name, now())).await?
        } else {
            self.expire(&name).await?
        };
        step.removed += expired;
        let next = if expired > 0 && !is_trial {
            Some(name)
        } else {
            ruled.get(at + 1).map(|next| next.name.clone())
        };
        step.next = next.map(|name| name.to_string());
        Ok(step)
    }
}

fn marker(from: &str) -> Result<Marker, Error> {
    let (consumer, message) = from.split_once('/').ok_or_else(|| no_cleanup_step(from))?;
    let consumer = consumer.parse().map_err(|_| no_cleanup_step(from))?;
    Ok(Marker { consumer, message: message.to_owned() })
}
