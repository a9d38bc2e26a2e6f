//! One topic of a run: its records for the arms that read it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use messagekit::MessageId;
use messagekit::adapter::{EventLinks, RetryLease};
use messagekit_topic_store::{NewRecord, PipelineStore, RecordQuery, RecordStatus, TopicRecord};

use super::arm::{Arm, NoOutput, cause};
use super::failure::{ArmFailure, Strategy};
use crate::Error;

/// The most records that are read at once.
const PAGE: u32 = 256;

/// The records of one topic that a run offers to its arms.
pub(crate) struct Stage<'a, S> {
    pub(crate) arms: &'a [Arm<S>],
    /// The last record of the run: what is appended later belongs to the next one.
    until: i64,
    page: VecDeque<TopicRecord>,
    /// The correlations of events on that page, of those that are not the first of theirs.
    correlations: BTreeMap<MessageId, MessageId>,
    after: i64,
    /// How many lost records the observers were told of.
    overtaken: Option<u64>,
}

/// A record that is offered.
pub(crate) struct Offered {
    pub(crate) record: TopicRecord,
    /// The id by which its markers know it.
    pub(crate) event: MessageId,
    /// What its outputs name as their cause and correlation.
    links: EventLinks,
    pub(crate) lease: Option<RetryLease>,
    /// For each arm, whether it has settled the record in an earlier run.
    pub(crate) is_settled: Vec<bool>,
}

/// What the arms made of a record.
pub(crate) struct Made {
    pub(crate) outputs: Vec<Vec<NewRecord>>,
    pub(crate) failures: Vec<(usize, ArmFailure)>,
}

impl<'a, S: PipelineStore> Stage<'a, S> {
    pub(crate) fn new(arms: &'a [Arm<S>], until: i64) -> Self {
        Self { arms, until, page: VecDeque::new(), correlations: BTreeMap::new(), after: 0, overtaken: None }
    }

    pub(crate) fn store(&self) -> &S {
        &self.arms[0].shared.store
    }

    pub(crate) fn source(&self) -> &Arc<str> {
        &self.arms[0].source
    }

    pub(crate) fn consumer(&self) -> &Arc<str> {
        &self.arms[0].consumer
    }

    /// Returns the next record of the run, as it stands.
    async fn look(&mut self) -> Result<Option<TopicRecord>, Error> {
        if self.page.is_empty() {
            let query = RecordQuery {
                consumer: self.consumer().clone(),
                topic: self.source().clone(),
                status: Some(RecordStatus::New),
                after: self.after,
                max: PAGE,
            };
            let page = self.store().read_records(&query).await?;
            let RecordQuery { topic, consumer, .. } = &query;
            self.arms[0].shared.notify_overtaken(topic, consumer, page.overtaken, &mut self.overtaken);
            let events: Vec<MessageId> = page.records.iter().filter_map(cause).collect();
            if !events.is_empty() {
                self.correlations = self.store().correlations(&events).await?.into_iter().collect();
            }
            self.page = page.records.into();
        }
        let next = self.page.pop_front().filter(|record| record.id <= self.until);
        if let Some(record) = &next {
            self.after = record.id;
        }
        Ok(next)
    }

    /// Returns the next record that the arms may handle, with a lease if it has failed before.
    pub(crate) async fn offer(&mut self) -> Result<Option<Offered>, Error> {
        while let Some(mut offered) = self.look_on().await? {
            if offered.record.is_failed {
                let id = offered.record.id;
                offered.lease = self.store().lease_record(self.consumer(), self.source(), id).await?;
            }
            if offered.lease.is_some() || !offered.record.is_failed {
                return Ok(Some(offered));
            }
        }
        Ok(None)
    }

    /// Returns the next record that the arms may handle, without a lease.
    pub(crate) async fn look_on(&mut self) -> Result<Option<Offered>, Error> {
        while let Some(record) = self.look().await? {
            // Without an id nothing can note that it was handled.
            let Some(event) = cause(&record) else { continue };
            let is_settled = match record.is_failed {
                true => self.settled(record.id).await?,
                false => vec![false; self.arms.len()],
            };
            let links = self.links_to(&event);
            return Ok(Some(Offered { record, event, links, lease: None, is_settled }));
        }
        Ok(None)
    }

    /// Returns the links of what is made of an event: the first one of a correlation gives it its id.
    fn links_to(&self, event: &MessageId) -> EventLinks {
        let correlation = self.correlations.get(event).unwrap_or(event).clone();
        let (correlation_id, causation_id) = (Some(correlation), Some(event.clone()));
        EventLinks { correlation_id, causation_id, ..EventLinks::default() }
    }

    /// Looks up which arms have settled a record although another one failed.
    async fn settled(&self, id: i64) -> Result<Vec<bool>, Error> {
        let mut settled = Vec::with_capacity(self.arms.len());
        for arm in 0..self.arms.len() {
            let query = RecordQuery {
                consumer: self.arm_consumer(arm).into(),
                topic: self.source().clone(),
                status: Some(RecordStatus::Handled),
                after: id - 1,
                max: 1,
            };
            let found = self.store().read_records(&query).await?;
            settled.push(found.records.first().is_some_and(|record| record.id == id));
        }
        Ok(settled)
    }

    /// Returns the consumer that notes what an arm has settled while another one of the record fails.
    pub(crate) fn arm_consumer(&self, arm: usize) -> String {
        let target = |arm: usize| self.arms[arm].target.as_deref().unwrap_or("nothing");
        let same = (0..arm).filter(|other| target(*other) == target(arm)).count();
        let name = format!("pipe:{}:{}:{}", self.consumer(), self.source(), target(arm));
        if same == 0 { name } else { format!("{name}:{}", same + 1) }
    }

    /// Calls the functions of the arms that have not settled a record, under the strict strategy up to the first that fails.
    ///
    /// # Errors
    /// The outage that a function reported.
    pub(crate) async fn call(&self, strategy: Strategy, offered: &Offered) -> Result<Made, Error> {
        let mut made = Made { outputs: vec![Vec::new(); self.arms.len()], failures: Vec::new() };
        for (index, arm) in self.arms.iter().enumerate() {
            if offered.is_settled[index] {
                continue;
            }
            match (arm.function)(&offered.record).await {
                Ok(mut outputs) => {
                    outputs.iter_mut().for_each(|output| offered.links.add_to(&mut output.message.headers));
                    made.outputs[index] = outputs;
                }
                Err(failed) => {
                    if let Some(outage) = failed.outage() {
                        return Err(outage.into());
                    }
                    made.failures.push((index, self.failure(index, offered.record.id, failed)));
                    if strategy == Strategy::Strict {
                        break;
                    }
                }
            }
        }
        Ok(made)
    }

    pub(crate) fn failure(&self, arm: usize, record: i64, failed: NoOutput) -> ArmFailure {
        let (source, target) = (self.source().clone(), self.arms[arm].target.clone());
        ArmFailure { record, source, target, error: failed.error, kind: failed.kind }
    }
}
