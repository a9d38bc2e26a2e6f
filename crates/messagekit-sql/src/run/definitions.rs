//! Topics and sources that statements make, change and remove.

use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::log::KnownSource;
use messagekit_topic_store::{AddedSource, RetentionRule};
use messagekit_topics::Error;
use messagekit_topics::operations::{NewSource, NewTopic, TopicOperations};

use super::answer::Answer;
use super::refusal::refused;
use crate::{CreateTopic, DropSource, DropTopic, RetentionLimit, RetentionOptions};

/// How long a topic keeps its records if its statement says nothing.
const KEEPS: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many bytes of them, in each partition.
const KEEPS_BYTES: u64 = 1 << 30;

const EXISTS: &str = "topic exists already: write IF NOT EXISTS to leave it as it is";
const MISSING: &str = "there is no such topic: SHOW TOPICS lists them, CREATE TOPIC makes one";

pub(super) async fn create(topics: &dyn TopicOperations, create: &CreateTopic) -> Result<Answer, Error> {
    let mut new = NewTopic::named(create.topic.clone());
    new.partitions = create.partitions.unwrap_or(NonZeroU32::MIN);
    new.retention = of_new(&create.retention);
    new.key.clone_from(&create.key);
    new.dedup.clone_from(&create.dedup);
    new.is_published = create.is_published;
    if topics.create_topic(&new).await? {
        return Ok(Answer::done(format!("topic {} created", create.topic)));
    }
    if create.if_not_exists {
        return Ok(Answer::done(format!("topic {} exists already", create.topic)));
    }
    Err(refused(ErrorKind::WrongState, EXISTS, &create.topic))
}

/// A statement that says only that handled records go keeps the others for ever.
fn of_new(options: &RetentionOptions) -> Option<RetentionRule> {
    let keep_unhandled = options.consumed.unwrap_or(false);
    let is_alone = keep_unhandled && options.seconds.is_none() && options.max_bytes.is_none();
    rule(RetentionRule {
        max_age: limit(options.seconds, Duration::from_secs, (!is_alone).then_some(KEEPS)),
        max_bytes: limit(options.max_bytes, u64::from, (!is_alone).then_some(KEEPS_BYTES)),
        keep_unhandled,
        unhandled_max_age: limit(options.unhandled_seconds, Duration::from_secs, None),
    })
}

/// A rule without a limit keeps everything.
fn rule(rule: RetentionRule) -> Option<RetentionRule> {
    (rule != RetentionRule::of_nothing()).then_some(rule)
}

/// Returns the limit that a statement says, or the one that it leaves as it is.
fn limit<T>(said: Option<RetentionLimit>, of: fn(u64) -> T, unsaid: Option<T>) -> Option<T> {
    match said {
        None => unsaid,
        Some(RetentionLimit::Unlimited) => None,
        Some(RetentionLimit::At(limit)) => Some(of(limit.get())),
    }
}

/// What the statement does not say stays as it is.
pub(super) async fn set_retention(
    topics: &dyn TopicOperations,
    topic: &str,
    options: &RetentionOptions,
) -> Result<Answer, Error> {
    let known = topics.definitions().await?.into_iter().find(|known| *known.name == *topic);
    let known = known.ok_or_else(|| refused(ErrorKind::NotFound, MISSING, topic))?;
    let old = known.retention.unwrap_or(RetentionRule::of_nothing());
    let keep_unhandled = options.consumed.unwrap_or(old.keep_unhandled);
    let unhandled_max_age = old.unhandled_max_age.filter(|_| keep_unhandled);
    let new = rule(RetentionRule {
        max_age: limit(options.seconds, Duration::from_secs, old.max_age),
        max_bytes: limit(options.max_bytes, u64::from, old.max_bytes),
        keep_unhandled,
        unhandled_max_age: limit(options.unhandled_seconds, Duration::from_secs, unhandled_max_age),
    });
    topics.set_retention(topic, new).await?;
    Ok(Answer::done(format!("retention of topic {topic} set")))
}

pub(super) async fn clear_retention(topics: &dyn TopicOperations, topic: &str) -> Result<Answer, Error> {
    topics.set_retention(topic, None).await?;
    Ok(Answer::done(format!("topic {topic} keeps its records for ever")))
}

pub(super) async fn drop(topics: &dyn TopicOperations, drop: &DropTopic) -> Result<Answer, Error> {
    match topics.drop_topic(&drop.topic, drop.on_sources).await {
        Ok(()) => Ok(Answer::done(format!("topic {} dropped", drop.topic))),
        Err(error) if error.kind() == ErrorKind::NotFound && drop.if_exists => {
            Ok(Answer::done(format!("there is no topic {}", drop.topic)))
        }
        // It may also be refused because a relay has not published its events.
        Err(error) if error.kind() == ErrorKind::WrongState && has_sources(topics, &drop.topic).await? => {
            let text = format!("{error}; with CASCADE, its table sources are dropped, too");
            Err(messagekit::Error::new(ErrorKind::WrongState, text).into())
        }
        Err(error) => Err(error),
    }
}

async fn has_sources(topics: &dyn TopicOperations, topic: &str) -> Result<bool, Error> {
    Ok(topics.sources().await?.iter().any(|source| source.topic == topic))
}

pub(super) async fn clear(topics: &dyn TopicOperations, topic: &str) -> Result<Answer, Error> {
    let deleted = topics.clear_topic(topic).await?;
    Ok(Answer::done(format!("{deleted} records of topic {topic} deleted")))
}

/// A statement that names another change of a source with the same rules adds that change.
pub(super) async fn add_source(topics: &dyn TopicOperations, new: &NewSource) -> Result<Answer, Error> {
    let added = match topics.add_source(new).await {
        Err(error) if error.kind() == ErrorKind::WrongState => match with_its_changes(topics, new).await? {
            Some(joined) => topics.add_source(&joined).await?,
            None => return Err(error),
        },
        added => added?,
    };
    let (table, topic) = (&new.table, &new.topic);
    Ok(Answer::done(match added {
        AddedSource::Added => format!("table {table} is a source of topic {topic}"),
        AddedSource::Same => format!("table {table} is this source of topic {topic} already"),
        AddedSource::Replaced => format!("table {table} has new rules as a source of topic {topic}"),
    }))
}

/// Returns the source with the changes that it watches already, if nothing else differs.
async fn with_its_changes(topics: &dyn TopicOperations, new: &NewSource) -> Result<Option<NewSource>, Error> {
    let is_named = |known: &KnownSource| {
        known.table == new.table || known.table.rsplit_once('.').is_some_and(|(_, table)| table == new.table)
    };
    let is_same = |known: &KnownSource| {
        *known.topic == *new.topic
            && is_named(known)
            && known.fault.is_none()
            && (&known.filter, &known.key) == (&new.filter, &new.key)
            && (known.payload, known.on_failure) == (new.payload, new.on_failure)
    };
    let known: Vec<KnownSource> = topics.sources().await?.into_iter().filter(is_same).collect();
    let [only] = &known[..] else { return Ok(None) };
    let mut joined = new.clone();
    (joined.changes, joined.replicated, joined.replaces) =
        (only.changes | new.changes, only.replicated, true);
    Ok(Some(joined))
}

pub(super) async fn drop_source(topics: &dyn TopicOperations, drop: &DropSource) -> Result<Answer, Error> {
    let (table, topic) = (&drop.table, &drop.topic);
    if topics.drop_source(topic, table).await? {
        return Ok(Answer::done(format!("table {table} is no source of topic {topic} any more")));
    }
    let text = "table is no source of this topic: SHOW ROUTES lists them";
    Err(messagekit::Error::new(ErrorKind::NotFound, text).with("table", table).with("topic", topic).into())
}
