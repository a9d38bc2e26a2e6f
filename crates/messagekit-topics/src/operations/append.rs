//! Appending to a topic by its name.

use messagekit::log::TopicStore;
use serde_json::value::RawValue;

use super::names;
use super::requests::OnDuplicateRecord;
use crate::{Error, IfNew, Topics};

pub(super) async fn append<S: TopicStore>(
    topics: &Topics<S>,
    topic: &str,
    records: &[Box<RawValue>],
    on_duplicate: OnDuplicateRecord,
) -> Result<Vec<IfNew>, Error> {
    names::topic(topic)?;
    let topic = topics.existing(topic).await?.as_text();
    match on_duplicate {
        OnDuplicateRecord::Refuse => {
            Ok(topic.extend(records).await?.into_iter().map(IfNew::Appended).collect())
        }
        OnDuplicateRecord::Skip => topic.extend_if_new(records).await,
    }
}
