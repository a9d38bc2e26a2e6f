//! Compares the dedup window with the age of messages that may be delivered again.

use std::sync::Arc;
use std::time::Duration;

use crate::consumer::settings::Settings;
use crate::store::{FailedMessageRows, Inbox};
use crate::transport::RetentionProbe;
use crate::{Error, chain};

/// Retention, failed messages and windows change rarely, and each check costs one call to the broker and two to the database.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Compares the window with the age of messages that may be delivered again, at the start of the consumer and once an hour; it
/// never ends.
pub(in crate::consumer) async fn watch_retention<S: Inbox>(
    settings: Arc<Settings<S>>,
    topics: Vec<Arc<str>>,
    retention: Option<Arc<dyn RetentionProbe>>,
) {
    let consumer = &*settings.name;
    loop {
        let mut found = Vec::new();
        let mut learn = |learned: Result<Option<String>, Error>| match learned {
            Ok(short) => found.extend(short),
            Err(error) => {
                tracing::info!(consumer, error = %chain(&error), "the window cannot be compared");
            }
        };
        if let Some(window) = settings.window.length() {
            if let Some(retention) = &retention {
                learn(kept(window, &**retention).await);
            }
            learn(returning(window, &settings.store, &topics).await);
        }
        if !found.is_empty() {
            tracing::warn!(consumer, "{}", found.join("; "));
        }
        settings.stats.short_of(found);
        tokio::time::sleep(EVERY).await;
    }
}

/// Describes the topic with the longest retention, if that exceeds the window.
async fn kept(window: Duration, retention: &dyn RetentionProbe) -> Result<Option<String>, Error> {
    let topics = retention.retention().await?;
    // Records that never expire count as the longest retention.
    let longest = topics.into_iter().max_by_key(|kept| (kept.time.is_none(), kept.time));
    let short = longest.filter(|kept| kept.time.is_none_or(|time| time > window));
    Ok(short.map(|kept| {
        let (topic, window) = (kept.topic, in_words(window));
        let time = kept.time.map_or("for ever".to_owned(), |time| format!("for {}", in_words(time)));
        format!("the window of {window} is shorter than topic {topic} keeps records ({time}): older ones would be set aside")
    }))
}

/// Describes the oldest message that a retry publishes to one of the topics, if it exceeds the window.
async fn returning<S: Inbox>(
    window: Duration,
    store: &S,
    topics: &[Arc<str>],
) -> Result<Option<String>, Error> {
    let oldest = store.failed_messages().oldest_return(topics).await?.filter(|age| *age > window);
    Ok(oldest.map(|age| {
        let (age, window) = (in_words(age), in_words(window));
        format!("a failed message of {age} is older than the window of {window}: a retry sends it back to be set aside")
    }))
}

/// Formats a duration for people: `30 days`, `36 h`.
fn in_words(time: Duration) -> String {
    let hours = time.as_secs() / 3_600;
    if hours.is_multiple_of(24) || hours >= 24 * 14 {
        format!("{} days", hours / 24)
    } else {
        format!("{hours} h")
    }
}
