//! The second phase: outputs, markers and failed messages of records in one transaction.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{ClaimRequest, End, Failure, ReceivedMessage, RetryLease, apply_prepared};
use messagekit::log::Record;
use messagekit::{Claim, Error as CoreError, ErrorKind, MessageId};
use messagekit_topic_store::{AppendedRecord, NewRecord, OnDuplicate, PipelineStore, TopicRecord};

use crate::{Duplicate, Error};

/// How long a transaction is repeated while the file is busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// A record with what the arms made of it.
pub(crate) struct Prepared {
    pub(crate) record: TopicRecord,
    pub(crate) event: MessageId,
    /// Its failed message, when it has failed before.
    pub(crate) lease: Option<RetryLease>,
    /// The outputs of each arm; none of one that has settled the record before.
    pub(crate) outputs: Vec<Vec<NewRecord>>,
}

impl Prepared {
    pub(crate) fn id(&self) -> i64 {
        self.record.id
    }

    /// Returns the record as a failed message keeps it.
    fn received(&self) -> ReceivedMessage {
        let Record { message, position, .. } = &self.record.record;
        ReceivedMessage { id: self.event.clone(), message: message.clone(), position: Some(position.clone()) }
    }
}

/// Records that are settled together.
pub(crate) struct Batch {
    pub(crate) consumer: Arc<str>,
    pub(crate) source: Arc<str>,
    pub(crate) on_duplicate: OnDuplicate,
    /// A refusal must name its record: none of the others is settled without it.
    pub(crate) is_atomic: bool,
    pub(crate) records: Vec<Arc<Prepared>>,
}

impl Batch {
    /// Returns whether its records may be settled each alone.
    pub(crate) fn may_be_parted(&self) -> bool {
        self.records.len() > 1 && !self.is_atomic
    }
}

/// The topics and ids of records that were appended.
pub(crate) type Appended = Vec<(Arc<str>, i64)>;

/// What became of a batch.
pub(crate) enum Settled {
    /// These records were handled, and these were appended.
    Handled { records: Vec<i64>, appended: Appended },
    /// An arm's outputs cannot be appended. Nothing was kept.
    Refused { record: usize, arm: usize, error: Error },
    /// The same of one of several records, which may be settled each alone.
    RefusedOne,
}

/// What is kept of a record that some of its arms failed on.
pub(crate) struct Partial {
    pub(crate) consumer: Arc<str>,
    pub(crate) on_duplicate: OnDuplicate,
    pub(crate) record: Arc<Prepared>,
    /// The consumers that note which arms have settled it, with its outputs: those that succeeded now.
    pub(crate) settled: Vec<(usize, String)>,
    pub(crate) failure: Failure,
}

/// Marks records as handled and appends their outputs, those alone that are still new.
pub(crate) async fn settle<S: PipelineStore>(store: &S, batch: &Arc<Batch>) -> Result<Settled, CoreError> {
    apply_prepared(store, batch, PATIENCE, |store, tx, batch| Box::pin(handle(store, tx, batch))).await
}

async fn handle<S: PipelineStore>(
    store: &S,
    tx: &mut S::Tx,
    batch: &Batch,
) -> Result<End<Settled>, CoreError> {
    let Batch { consumer, source, records, .. } = batch;
    let fresh: Vec<i64> = records.iter().filter(|one| one.lease.is_none()).map(|one| one.id()).collect();
    let mut is_new = match fresh.is_empty() {
        true => Vec::new(),
        false => store.handle_new(tx, consumer, source, &fresh).await?,
    }
    .into_iter();
    let mut own = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let is_own = match &record.lease {
            None => is_new.next().unwrap_or(false),
            Some(lease) => {
                let resolved = store.resolve(tx, consumer, lease, &[]).await?;
                if resolved {
                    store.set_handled(tx, consumer, source, record.id()).await?;
                }
                resolved
            }
        };
        if is_own {
            own.push((index, &**record));
        }
    }
    let appended = match append_together(store, tx, batch, &own).await? {
        Err(_) if batch.may_be_parted() => Err(Settled::RefusedOne),
        // Nothing was appended, and one of them must be named.
        Err(_) => append_each(store, tx, batch, &own).await?,
        Ok(appended) => Ok(appended),
    };
    let records = own.iter().map(|(_, record)| record.id()).collect();
    Ok(match appended {
        Ok(appended) => End::Commit(Settled::Handled { records, appended }),
        Err(refused) => End::Rollback(refused),
    })
}

/// Appends the outputs of each arm in a call of its own, to learn which one is refused.
async fn append_each<S: PipelineStore>(
    store: &S,
    tx: &mut S::Tx,
    batch: &Batch,
    own: &[(usize, &Prepared)],
) -> Result<Result<Appended, Settled>, CoreError> {
    let mut appended = Vec::new();
    for (index, record) in own {
        for (arm, outputs) in record.outputs.iter().enumerate() {
            match append(store, tx, outputs, batch.on_duplicate).await? {
                Ok(ids) => appended.extend(ids),
                Err(error) => return Ok(Err(Settled::Refused { record: *index, arm, error })),
            }
        }
    }
    Ok(Ok(appended))
}

async fn append_together<S: PipelineStore>(
    store: &S,
    tx: &mut S::Tx,
    batch: &Batch,
    own: &[(usize, &Prepared)],
) -> Result<Result<Appended, Error>, CoreError> {
    let outputs = own.iter().flat_map(|(_, record)| &record.outputs).flatten();
    let outputs: Vec<NewRecord> = outputs.cloned().collect();
    append(store, tx, &outputs, batch.on_duplicate).await
}

/// Appends outputs, or returns why a topic does not take them.
async fn append<S: PipelineStore>(
    store: &S,
    tx: &mut S::Tx,
    outputs: &[NewRecord],
    on_duplicate: OnDuplicate,
) -> Result<Result<Appended, Error>, CoreError> {
    if outputs.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let answers = match store.append_records(tx, outputs, on_duplicate).await {
        Ok(answers) => answers,
        Err(error) if is_refusal(error.kind()) => return Ok(Err(error.into())),
        Err(error) => return Err(error),
    };
    if let (OnDuplicate::Refuse, Some(AppendedRecord::Duplicate(existing))) = (on_duplicate, answers.last()) {
        // Under this rule there may be one answer for many records: the topic is that of the only one, or of any.
        let topic = outputs[0].message.topic.to_string();
        return Ok(Err(Error::of_duplicate(Duplicate { topic, record: None, existing: *existing })));
    }
    let id = |(record, answer): (&NewRecord, AppendedRecord)| match answer {
        AppendedRecord::Appended(id) => Some((record.message.topic.clone(), id)),
        AppendedRecord::Duplicate(_) => None,
    };
    Ok(Ok(outputs.iter().zip(answers).filter_map(id).collect()))
}

/// Returns whether an output itself is refused, before anything of it was written.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidEvent | ErrorKind::TooLarge | ErrorKind::NotFound | ErrorKind::SchemaMismatch
    )
}

/// Keeps what arms made of a record that others failed on, and stores it as a failed message if it is not one yet. Returns what was
/// appended, or the arm whose outputs cannot be; then nothing was kept.
pub(crate) async fn settle_in_part<S: PipelineStore>(
    store: &S,
    partial: &Arc<Partial>,
) -> Result<Result<Appended, (usize, Error)>, CoreError> {
    apply_prepared(store, partial, PATIENCE, |store, tx, partial| Box::pin(keep(store, tx, partial))).await
}

async fn keep<S: PipelineStore>(
    store: &S,
    tx: &mut S::Tx,
    partial: &Partial,
) -> Result<End<Result<Appended, (usize, Error)>>, CoreError> {
    let received = partial.record.received();
    let (id, topic) = (received.id.clone(), received.message.topic.clone());
    let request = ClaimRequest { id, topic, key: None, generation: 0 };
    let mut appended = Vec::new();
    for (arm, name) in &partial.settled {
        let claims = store.claim(tx, name, std::slice::from_ref(&request)).await?;
        // Settled before, perhaps by this very call: the outcome of its commit may have been unknown.
        if claims != [Claim::Fresh] {
            continue;
        }
        match append(store, tx, &partial.record.outputs[*arm], partial.on_duplicate).await? {
            Ok(ids) => appended.extend(ids),
            Err(error) => return Ok(End::Rollback(Err((*arm, error)))),
        }
    }
    if partial.record.lease.is_none() {
        store.set_aside(tx, &partial.consumer, &received, &partial.failure).await?;
    }
    Ok(End::Commit(Ok(appended)))
}
