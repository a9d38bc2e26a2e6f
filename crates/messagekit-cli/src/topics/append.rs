//! `messagekit topics append`, and what appends records of an import.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::AppendedRecord;
use messagekit_topic_store::TopicStore;
use messagekit_topics::{Topic, Topics};
use serde_json::json;
use serde_json::value::RawValue;

use super::file::{self, Work};
use super::input::Input;
use super::lines::{Lines, Reader};
use crate::database::Database;

#[derive(Debug, clap::Args)]
pub(super) struct Append {
    #[command(flatten)]
    database: Database,
    /// The topic
    topic: String,
    /// The records, each a JSON object; without any, those of standard input, one per line
    #[arg(value_name = "JSON")]
    records: Vec<String>,
    /// Skip records whose dedup fields the topic knows
    #[arg(long)]
    if_new: bool,
    /// One JSON object per record instead of its id
    #[arg(long)]
    json: bool,
}

/// What became of all records.
pub(super) struct Appended {
    pub(super) outcomes: Vec<AppendedRecord>,
    pub(super) failed: Option<Error>,
}

impl Work for Append {
    async fn run<S: TopicStore>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let topic = file::topic(topics, &self.topic).await?;
        let input =
            if self.records.is_empty() { Input::of_stdin() } else { Input::of_arguments(&self.records) };
        let mut lines = Lines::to_stdout();
        let appended = all(&topic, input, self.if_new, Ok, |outcomes| {
            for outcome in outcomes {
                lines.write(self.line(*outcome))?;
            }
            lines.flush()
        });
        let appended = appended.await;
        appended.map(drop)
    }
}

impl Append {
    pub(super) async fn run(self) -> Result<(), Error> {
        file::work(&self.database, &self).await
    }

    fn line(&self, outcome: AppendedRecord) -> String {
        match (outcome, self.json) {
            (AppendedRecord::Appended(id), false) => id.to_string(),
            (AppendedRecord::Duplicate(id), false) => format!("duplicate of {id}"),
            (AppendedRecord::Appended(id), true) => json!({ "id": id }).to_string(),
            (AppendedRecord::Duplicate(id), true) => json!({ "duplicate": id }).to_string(),
        }
    }
}

/// Appends what arrives, in one commit for the records that are waiting, and returns how many were appended and how many known.
///
/// Ends early and without an error when `say`, which is called after each commit, finds no reader.
pub(super) async fn all(
    topic: &Topic<Box<RawValue>, impl TopicStore>,
    mut input: Input,
    if_new: bool,
    data: impl Fn(Box<RawValue>) -> Result<Box<RawValue>, Error>,
    mut say: impl FnMut(&[AppendedRecord]) -> Result<Reader, Error>,
) -> Result<(u64, u64), Error> {
    let (mut appended, mut known) = (0_u64, 0_u64);
    loop {
        let batch = input.batch().await;
        if batch.is_empty() {
            return Ok((appended, known));
        }
        let numbers: Vec<u64> = batch.iter().map(|given| given.number).collect();
        let (mut values, mut wrong) = (Vec::new(), None);
        for given in batch {
            match given.value.and_then(&data) {
                Ok(value) => values.push(value),
                Err(error) => {
                    wrong = Some(error);
                    break;
                }
            }
        }
        let Appended { outcomes, failed } = several(topic, &values, if_new).await;
        for outcome in &outcomes {
            match outcome {
                AppendedRecord::Appended(_) => appended += 1,
                AppendedRecord::Duplicate(_) => known += 1,
            }
        }
        let reader = say(&outcomes)?;
        if let Some(error) = failed.or(wrong) {
            let number = numbers.get(outcomes.len()).copied().unwrap_or_default();
            return Err(input.at(number, error).with("appended_before", appended));
        }
        if reader == Reader::Gone {
            return Ok((appended, known));
        }
    }
}

/// Appends records in one commit. If one is refused, those before it are appended.
async fn several(
    topic: &Topic<Box<RawValue>, impl TopicStore>,
    values: &[Box<RawValue>],
    if_new: bool,
) -> Appended {
    match together(topic, values, if_new).await {
        Ok(outcomes) => Appended { outcomes, failed: None },
        Err(error) if values.len() > 1 && is_refusal(error.kind()) => one_by_one(topic, values, if_new).await,
        Err(error) => Appended { outcomes: Vec::new(), failed: Some(error) },
    }
}

async fn one_by_one(
    topic: &Topic<Box<RawValue>, impl TopicStore>,
    values: &[Box<RawValue>],
    if_new: bool,
) -> Appended {
    let mut outcomes = Vec::new();
    for value in values {
        match together(topic, std::slice::from_ref(value), if_new).await {
            Ok(outcome) => outcomes.extend(outcome),
            Err(error) => return Appended { outcomes, failed: Some(error) },
        }
    }
    Appended { outcomes, failed: None }
}

async fn together(
    topic: &Topic<Box<RawValue>, impl TopicStore>,
    values: &[Box<RawValue>],
    if_new: bool,
) -> Result<Vec<AppendedRecord>, Error> {
    if if_new {
        return Ok(topic.extend_if_new(values).await?);
    }
    Ok(topic.extend(values).await?.into_iter().map(AppendedRecord::Appended).collect())
}

/// Returns whether one record is at fault, and nothing was appended: appending the others again doubles none.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Duplicate | ErrorKind::InvalidEvent | ErrorKind::TooLarge)
}
