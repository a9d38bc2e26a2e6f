//! Reports the state of a relay: changes to the log, everything to statistics.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::settings::Settings;
use super::shards::Shards;
use crate::{Error, chain};

/// Outages that were already logged.
#[derive(Default)]
pub(super) struct Reporter {
    /// Start of the database outage, and its last error.
    database: Option<(Instant, String)>,
    topics: BTreeSet<Arc<str>>,
}

impl Reporter {
    /// Records that the database did not answer.
    pub(super) fn silent(&mut self, settings: &Settings, error: &Error) {
        let text = chain(error);
        match &mut self.database {
            Some((_, last)) => *last = text,
            none => {
                let relay = &*settings.name;
                match error.is_transient() {
                    true => tracing::warn!(relay, error = text, "database does not answer"),
                    false => tracing::warn!(relay, error = text, "database refuses a statement of the relay"),
                }
                *none = Some((Instant::now(), text));
            }
        }
    }

    /// Records that the database answers all statements.
    pub(super) fn answers(&mut self, settings: &Settings) {
        if let Some((since, _)) = self.database.take() {
            let outage = since.elapsed();
            tracing::info!(relay = &*settings.name, ?outage, "database answers again");
        }
    }

    /// Updates statistics, and logs topics whose trouble begins or ends. Times of `shards` count from `started`.
    pub(super) fn show(&mut self, settings: &Settings, shards: &Shards, started: Instant) {
        let (relay, troubled) = (&*settings.name, shards.topics.troubled());
        let now = started.elapsed();
        for (topic, trouble) in troubled {
            if trouble.is_alarming(now) && self.topics.insert(topic.clone()) {
                tracing::warn!(
                    relay,
                    topic = &**topic,
                    error = trouble.error,
                    "broker does not take the topic"
                );
            }
        }
        self.topics.retain(|topic| {
            let is_troubled = troubled.contains_key(topic);
            if !is_troubled {
                tracing::info!(relay, topic = &**topic, "topic is not paused any more");
            }
            is_troubled
        });
        let mut state = settings.stats.state();
        (state.counts.shards, state.counts.undeleted) = (shards.held() as u64, shards.confirmed.len() as u64);
        state.database.clone_from(&self.database);
        let paused = troubled.iter();
        state.paused = paused
            .map(|(topic, trouble)| (topic.clone(), started + trouble.since, trouble.error.clone()))
            .collect();
    }
}
