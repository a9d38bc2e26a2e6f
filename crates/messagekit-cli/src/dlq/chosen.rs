//! The failed messages of a command.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::Timestamp;
use messagekit::operations::{FailedMessageFilter, FailedMessageState, Operations, Origin};
use messagekit::{Error, ErrorKind};

use crate::input::{bytes_of_hex, moment};
use crate::output::printable;

/// The options that select failed messages.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Chosen {
    /// Only those of this consumer
    #[arg(long)]
    consumer: Option<String>,
    /// Only those in this state: retry_scheduled, blocked, dead, retry_requested, resolved, discarded; open for the first four
    #[arg(long)]
    state: Option<StateChoice>,
    /// Only those of this origin: store, queue, topic
    #[arg(long)]
    origin: Option<Origin>,
    /// Only those of this event type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only those that failed for this reason, for example failed, permanent, too_slow
    #[arg(long)]
    kind: Option<String>,
    /// Only those of this group: the fingerprint that `groups` shows
    #[arg(long)]
    fingerprint: Option<String>,
    /// Only those with exactly this key
    #[arg(long, conflicts_with = "key_hex")]
    key: Option<String>,
    /// The same for a binary key, in hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = bytes_of_hex)]
    key_hex: Option<Bytes>,
    /// Only those stored at or after this time: 2026-01-31T12:00:00Z, 2026-01-31, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only those stored before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

/// Bytes of one option: clap reads a bare vector as an option that may be repeated.
pub(super) type Bytes = std::sync::Arc<[u8]>;

/// One state, or all states of messages that are still to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StateChoice {
    Open,
    One(FailedMessageState),
}

impl FromStr for StateChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "open" {
            return Ok(Self::Open);
        }
        text.parse().map(Self::One).map_err(|_| {
            let known = FailedMessageState::ALL.map(FailedMessageState::as_str).join(", ");
            Error::new(ErrorKind::InvalidConfiguration, format!("state {text:?} is none of open, {known}"))
        })
    }
}

impl Chosen {
    /// Returns whether an option names the states.
    pub(super) fn has_state(&self) -> bool {
        self.state.is_some()
    }

    pub(super) fn filter(self) -> FailedMessageFilter {
        let key = self.key.map(String::into_bytes).or_else(|| self.key_hex.map(|key| key.to_vec()));
        FailedMessageFilter {
            consumer: self.consumer,
            state: match self.state {
                Some(StateChoice::One(state)) => Some(state),
                Some(StateChoice::Open) | None => None,
            },
            is_open: self.state == Some(StateChoice::Open),
            origin: self.origin,
            event_type: self.event_type,
            kind: self.kind,
            fingerprint: self.fingerprint,
            key,
            since: self.since,
            until: self.until,
            before: None,
            after: None,
        }
    }
}

/// Refuses the name of a consumer that the database does not know: an empty answer would look like a healthy one.
pub(super) async fn known_consumer(store: &dyn Operations, consumer: Option<&str>) -> Result<(), Error> {
    // Names with a colon are those of table sources and pipelines, which have failed messages only.
    let Some(consumer) = consumer.filter(|consumer| !consumer.contains(':')) else { return Ok(()) };
    let known = store.consumer_statuses().await?;
    // What lies behind the last one is not listed.
    const LISTED: usize = 500;
    if known.len() >= LISTED || known.iter().any(|known| known.consumer == consumer) {
        return Ok(());
    }
    let names: Vec<String> = known.iter().map(|known| printable(&known.consumer)).collect();
    let error = Error::new(ErrorKind::NotFound, "no consumer of this database has this name");
    Err(error.with("consumer", printable(consumer)).with("known", names.join(", ")))
}

/// What is said without any.
pub(super) const NO_FAILED_MESSAGES: &str = "no failed messages";

/// The most groups of which an empty answer names kind and type.
const NAMED: u32 = 10;

/// Returns the answer that there are none. Beside a kind or an event type it names those that there are, because a misspelt one would look
/// healthy.
pub(super) async fn empty_answer(
    store: &dyn Operations,
    filter: &FailedMessageFilter,
) -> Result<String, Error> {
    let none = NO_FAILED_MESSAGES.to_owned();
    if filter.kind.is_none() && filter.event_type.is_none() {
        return Ok(none);
    }
    let all = FailedMessageFilter { kind: None, event_type: None, ..filter.clone() };
    let groups = store.groups(&all, NAMED).await?;
    let others = groups.iter().map(|group| {
        let event_type = group.event_type.as_deref().map_or("no type".to_owned(), printable);
        format!("{} of {event_type}", printable(&group.kind))
    });
    let others: BTreeSet<String> = others.collect();
    if others.is_empty() {
        return Ok(none);
    }
    let others = others.into_iter().collect::<Vec<_>>().join(", ");
    Ok(format!("{none} of this kind and type; there are, among others: {others}"))
}
