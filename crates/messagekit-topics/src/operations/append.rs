//! Appending to a topic by its name.

use messagekit_topic_store::{AppendedRecord, TopicStore};
use messagekit_wire::{Append, Appended};

use super::names;
use super::refusals::refused;
use crate::{Error, Topics};

pub(super) async fn append<S: TopicStore>(topics: &Topics<S>, request: &Append) -> Result<Appended, Error> {
    let (records, is_one) = match (&request.data, &request.records) {
        (Some(data), None) => (std::slice::from_ref(data), true),
        (None, Some(records)) => (&records[..], false),
        _ => return Err(refused("append has not one of data and records").into()),
    };
    names::topic(&request.topic_id)?;
    let topic = topics.existing(&request.topic_id).await?.as_text();
    let appended: Vec<AppendedRecord> = if request.if_new {
        topic.extend_if_new(records).await?
    } else {
        topic.extend(records).await?.into_iter().map(AppendedRecord::Appended).collect()
    };
    let record = |record| match record {
        AppendedRecord::Appended(id) => messagekit_wire::AppendedRecord { id, duplicate: false },
        AppendedRecord::Duplicate(id) => messagekit_wire::AppendedRecord { id, duplicate: true },
    };
    let records: Vec<_> = appended.into_iter().map(record).collect();
    let first = records.first().filter(|_| is_one);
    Ok(Appended {
        success: true,
        id: first.map(|record| record.id),
        duplicate: first.map(|record| record.duplicate),
        records: (!is_one).then_some(records),
    })
}
