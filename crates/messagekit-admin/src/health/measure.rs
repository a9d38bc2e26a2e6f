//! Queries every database concurrently, with a deadline.

use messagekit::adapter::BoxFuture;
use messagekit::operations::{OutboxHealth, OutboxLag, UnreadPart};
use messagekit::{Error, ErrorKind, chain};

use super::dependencies::Outboxes;
use crate::database::DEADLINE;
use crate::problem::unwell;

/// The name of a database with its answer, or the known reason for a missing one.
pub(super) type Said<'a, T> = (&'a str, Result<T, &'static str>);

pub(super) async fn ping(outboxes: &Outboxes) -> Vec<Said<'_, ()>> {
    ask(outboxes, |store| store.ping()).await
}

pub(super) async fn lag(outboxes: &Outboxes) -> Vec<Said<'_, OutboxLag>> {
    let said = ask(outboxes, |store| store.lag()).await;
    for (name, lag) in &said {
        lag.iter().for_each(|lag| log_unread(name, lag));
    }
    said
}

/// Logs the parts that did not answer, with reasons that are not for strangers.
pub(crate) fn log_unread(database: &str, lag: &OutboxLag) {
    for UnreadPart { part, reason } in &lag.unread {
        tracing::warn!(database, %part, reason, "a part of the outbox's health could not be read");
    }
}

async fn ask<'a, T>(
    outboxes: &'a Outboxes,
    question: fn(&'a dyn OutboxHealth) -> BoxFuture<'a, Result<T, Error>>,
) -> Vec<Said<'a, T>> {
    let answers = outboxes.0.iter().map(|(name, store)| {
        let answer = question(&**store);
        async move {
            let answer = tokio::time::timeout(DEADLINE, answer).await;
            let answer =
                answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "no answer in time")));
            let answer = answer.map_err(|error| {
                tracing::warn!(database = &**name, error = %chain(&error), "database is not well");
                unwell(error.kind())
            });
            (&**name, answer)
        }
    });
    futures_util::future::join_all(answers).await
}
