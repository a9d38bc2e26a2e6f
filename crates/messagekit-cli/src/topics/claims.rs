//! `messagekit topics consume --claim`: several processes share the work.

use std::time::Duration;

use messagekit::adapter::codec;
use messagekit::operations::ByteText;
use messagekit::{Error, ErrorKind, Shutdown, chain};
use messagekit_config::Configuration;
use messagekit_schema::canonical::Json;
use messagekit_topic_store::CommitWatch;
use messagekit_topic_store::{
    Claimed, ClaimedRecord, RecordClaim, RecordClaimer, RecordClaims, TopicStore, Which,
};
use messagekit_topics::Topics;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::file;
use super::lines::{FAILED, Lines, Reader};
use crate::input::span;
use crate::output::printable;

/// How often claims of processes that have ended are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How records are claimed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Claims {
    /// Claim at most this many records at a time, so that several processes share them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "no_ack")]
    claim: Option<u32>,
    /// How long a claim lasts [default: topics.visibility_timeout_secs, or 60s]
    #[arg(long, value_name = "TIME", value_parser = span, requires = "claim")]
    lease: Option<Duration>,
    /// Keep the order of each partition: one claim of it at a time
    #[arg(long, requires = "claim")]
    ordered: bool,
    /// Keep the order of each key: no record before those of its key in front of it are settled
    #[arg(long, requires = "claim", conflicts_with = "ordered")]
    ordered_by_key: bool,
    /// At most this many claimed records of the consumer, by all its processes
    #[arg(long, value_name = "N", requires = "claim", value_parser = clap::value_parser!(u64).range(1..))]
    max_in_flight: Option<u64>,
}

impl Claims {
    /// Returns how many records a claim may have, if records are claimed.
    pub(super) fn most(self) -> Option<u32> {
        self.claim
    }

    fn claimer<S: RecordClaims>(
        self,
        store: S,
        consumer: &str,
        topic: &str,
    ) -> Result<RecordClaimer<S>, Error> {
        let mut claimer = RecordClaimer::new(store, consumer, topic);
        if let Some(lease) = self.lease.map_or_else(lease_of_settings, |lease| Ok(Some(lease)))? {
            claimer = claimer.lease(lease);
        }
        if self.ordered {
            claimer = claimer.ordered();
        } else if self.ordered_by_key {
            claimer = claimer.ordered_by_key();
        }
        Ok(match self.max_in_flight {
            Some(most) => claimer.max_in_flight(most),
            None => claimer,
        })
    }
}

/// Returns the lease of the environment, for every consumer that is given none.
fn lease_of_settings() -> Result<Option<Duration>, Error> {
    let configuration = Configuration::load(None)?;
    configuration.reads_only(&["topics"]);
    let seconds = configuration.section("topics").optional::<u64>("visibility_timeout_secs");
    messagekit_config::refuse(&configuration.problems())?;
    match seconds {
        Some(0) => Err(Error::new(
            ErrorKind::InvalidConfiguration,
            "topics.visibility_timeout_secs is 0: a claim would be lost at once",
        )),
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

/// What is consumed, and how it is shown.
pub(super) struct Consumption<'a> {
    pub(super) topic: &'a str,
    pub(super) consumer: &'a str,
    pub(super) claims: Claims,
    pub(super) follows: bool,
    pub(super) max: Option<u64>,
    pub(super) as_records: bool,
}

impl Consumption<'_> {
    /// Prints the records of one claim after another, and acknowledges each claim when its lines were handed over.
    pub(super) async fn run<S: TopicStore>(
        &self,
        topics: &Topics<S>,
        most: u32,
        interrupted: &Shutdown,
    ) -> Result<(), Error> {
        file::definition(topics, self.topic).await?;
        let claimer = self.claims.claimer(topics.store().clone(), self.consumer, self.topic)?;
        let mut commits = topics.store().watch_commits()?;
        let mut lines = Lines::to_stdout();
        let mut left = self.max.unwrap_or(u64::MAX);
        while left > 0 && !interrupted.is_requested() {
            let wanted = most.min(u32::try_from(left).unwrap_or(most));
            match claimer.claim(wanted).await? {
                Claimed::Records(claim) => {
                    let (printed, undecodable) = self.print(&mut lines, &claim)?;
                    for (offset, error) in &undecodable {
                        let text = chain(error);
                        match claimer.give_up(&claim, Which::Offsets(&[*offset]), &text).await {
                            Err(error) if error.kind() == ErrorKind::ClaimLost => {}
                            given_up => given_up.map(|()| eprintln!("{}{FAILED}", printable(&text)))?,
                        }
                    }
                    if lines.flush()? == Reader::Gone {
                        return claimer.release(&claim, Which::All).await;
                    }
                    match claimer.acknowledge(&claim, Which::Offsets(&printed)).await {
                        Err(error) if error.kind() == ErrorKind::ClaimLost => {
                            tracing::warn!(
                                partition = claim.partition,
                                "claim was lost while its lines were read: they come again"
                            );
                        }
                        settled => drop(settled?),
                    }
                    left = left.saturating_sub(printed.len() as u64);
                }
                Claimed::Deleted { partition, offsets } => {
                    let (from, to) = (offsets.start, offsets.end);
                    tracing::warn!(
                        partition,
                        from,
                        to,
                        "records were deleted before the consumer settled them"
                    );
                }
                Claimed::Nothing { .. } if self.follows => until_more(&mut *commits, interrupted).await?,
                Claimed::Nothing { .. } => return Ok(()),
            }
        }
        Ok(())
    }

    /// Prints records. Returns the offsets of the printed records, and the offset and error of each record whose data is not JSON.
    fn print(&self, lines: &mut Lines, claim: &RecordClaim) -> Result<(Vec<i64>, Undecodable), Error> {
        let mut undecodable = Undecodable::new();
        let mut printed = Vec::with_capacity(claim.records.len());
        for record in &claim.records {
            let data = match data_of(record) {
                Ok(data) => data,
                Err(error) => {
                    undecodable.push((record.record.position.offset, error));
                    continue;
                }
            };
            let line = if self.as_records { shown(record, &data)? } else { data.get().to_owned() };
            if lines.write(line)? == Reader::Gone {
                break;
            }
            printed.push(record.record.position.offset);
        }
        Ok((printed, undecodable))
    }
}

type Undecodable = Vec<(i64, Error)>;

/// Waits for a commit, or until a claim may have ended.
async fn until_more(commits: &mut dyn CommitWatch, interrupted: &Shutdown) -> Result<(), Error> {
    tokio::select! {
        () = interrupted.requested() => Ok(()),
        changed = commits.changed() => changed,
        () = tokio::time::sleep(LOOK) => Ok(()),
    }
}

/// Returns the data of a claimed record. Neither missing data nor data that is not JSON is taken for a JSON null.
fn data_of(claimed: &ClaimedRecord) -> Result<Box<RawValue>, Error> {
    let position = &claimed.record.position;
    let refused = |error: Error| {
        error
            .with("topic", &position.topic)
            .with("partition", position.partition)
            .with("offset", position.offset)
    };
    let undecodable = |text: &'static str| refused(Error::new(ErrorKind::Undecodable, text));
    let data = codec::data_of(&claimed.record.message).map_err(refused)?;
    if data.is_empty() || claimed.record.is_tombstone {
        return Err(undecodable("record has no data"));
    }
    let not_json = |error: serde_json::Error| undecodable("data of the record is not JSON").caused_by(error);
    let data = Json::read(&data).map_err(not_json)?.text();
    RawValue::from_string(data).map_err(not_json)
}

/// A claimed record as one line of JSON.
#[derive(serde::Serialize)]
struct Shown<'a> {
    attempt: u32,
    created_at: String,
    data: &'a RawValue,
    event_type: Option<&'a str>,
    headers: Vec<Value>,
    key: Option<ByteText>,
    offset: i64,
    partition: i32,
    topic: &'a str,
}

fn shown(claimed: &ClaimedRecord, data: &RawValue) -> Result<String, Error> {
    let record = &claimed.record;
    let message = &record.message;
    let header =
        |(name, value): (&String, &String)| json!({ "name": name, "value": ByteText::of(value.as_bytes()) });
    let shown = Shown {
        attempt: claimed.attempt,
        created_at: record.stored_at().to_string(),
        data,
        event_type: message.event_type(),
        headers: message.headers.free().iter().map(header).collect(),
        key: message.key.as_deref().map(ByteText::of),
        offset: record.position.offset,
        partition: record.position.partition,
        topic: &record.position.topic,
    };
    serde_json::to_string(&shown)
        .map_err(|error| Error::new(ErrorKind::Other, "record cannot be written as JSON").caused_by(error))
}
