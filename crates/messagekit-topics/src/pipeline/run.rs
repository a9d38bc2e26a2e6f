//! Runs a pipeline over what is new.

use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::adapter::RetryLease;
use messagekit_topic_store::{OnDuplicate, PipelineStore};
use tokio::time::{Instant, sleep_until};

use super::alone::alone;
use super::arm::{Arm, NoOutput};
use super::failure::{ArmFailure, Strategy};
use super::settings::Settings;
use super::settle::{Batch, Partial, Prepared, Settled, settle, settle_in_part};
use super::stage::{Made, Offered, Stage};
use crate::{Error, TopicEvent};

/// The most records and outputs that are committed together, and how long the first of them may wait for the others.
const BATCH: usize = 200;
const OUTPUTS: usize = 1_000;
const WAIT: Duration = Duration::from_millis(20);

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// Records that were offered to functions.
    pub offered: u64,
    /// Records that were handled.
    pub handled: u64,
    /// Records that were appended. A dry run counts those that it would append.
    pub appended: u64,
}

/// A run of a pipeline.
pub(crate) struct Runner<S> {
    settings: Settings,
    stages: Vec<Vec<Arm<S>>>,
    run: Run,
    failures: Vec<ArmFailure>,
    /// Records whose functions have succeeded, not yet committed, and since when the first of them waits.
    pending: Vec<Arc<Prepared>>,
    since: Instant,
}

impl<S: PipelineStore> Runner<S> {
    pub(crate) fn new(settings: Settings, stages: Vec<Vec<Arm<S>>>) -> Self {
        let (run, failures, pending, since) = (Run::default(), Vec::new(), Vec::new(), Instant::now());
        Self { settings, stages, run, failures, pending, since }
    }

    pub(crate) async fn run(mut self) -> Result<Run, Error> {
        let timeout = self.settings.timeout;
        for arms in mem::take(&mut self.stages) {
            if self.ends_here() {
                break;
            }
            let store = &arms[0].shared.store;
            let name = format!("pipeline:{}:{}", arms[0].consumer, arms[0].source);
            let drain = async {
                let stage = Stage::new(&arms, store.last_record().await?);
                self.drain(stage).await
            };
            alone(store, name, timeout, drain).await?;
        }
        self.finished()
    }

    pub(crate) async fn dry_run(mut self) -> Result<Run, Error> {
        for arms in mem::take(&mut self.stages) {
            if self.ends_here() {
                break;
            }
            let mut stage = Stage::new(&arms, arms[0].shared.store.last_record().await?);
            while !self.ends_here()
                && let Some(offered) = stage.look_on().await?
            {
                self.run.offered += 1;
                let Made { outputs, failures } = stage.call(self.settings.strategy, &offered).await?;
                self.run.appended += outputs.iter().map(|outputs| outputs.len() as u64).sum::<u64>();
                self.failures.extend(failures.into_iter().map(|(_, failure)| failure));
            }
        }
        self.finished()
    }

    fn ends_here(&self) -> bool {
        self.settings.strategy == Strategy::Strict && !self.failures.is_empty()
    }

    fn finished(self) -> Result<Run, Error> {
        if self.failures.is_empty() { Ok(self.run) } else { Err(Error::of_failures(self.failures)) }
    }

    async fn drain(&mut self, mut stage: Stage<'_, S>) -> Result<(), Error> {
        while !self.ends_here()
            && let Some(offered) = stage.offer().await?
        {
            self.run.offered += 1;
            let made = match self.call(&stage, &offered).await {
                Ok(made) => made,
                Err(outage) => {
                    self.give_back(&stage, offered.lease.as_ref()).await?;
                    self.flush_if_apart(&stage).await?;
                    return Err(outage);
                }
            };
            let Made { outputs, failures } = made;
            let Offered { record, event, lease, .. } = offered;
            let prepared = Arc::new(Prepared { record, event, lease, outputs });
            // What waited was committed during the call, and failed: this record belongs to the next run.
            if self.ends_here() {
                self.give_back(&stage, prepared.lease.as_ref()).await?;
                continue;
            }
            if !failures.is_empty() {
                self.flush_if_apart(&stage).await?;
                if self.ends_here() {
                    self.give_back(&stage, prepared.lease.as_ref()).await?;
                } else {
                    self.fail(&stage, prepared, failures).await?;
                }
                continue;
            }
            if self.pending.is_empty() {
                self.since = Instant::now();
            }
            self.pending.push(prepared);
            if self.is_full() {
                self.flush(&stage).await?;
            }
        }
        if self.ends_here() { self.drop_pending(&stage).await } else { self.flush(&stage).await }
    }

    /// Calls the functions for a record. What waits to be committed does not wait for a slow one.
    async fn call(&mut self, stage: &Stage<'_, S>, offered: &Offered) -> Result<Made, Error> {
        let mut called = pin!(stage.call(self.settings.strategy, offered));
        loop {
            let waits = !self.pending.is_empty() && self.settings.atomic_batch.is_none();
            tokio::select! {
                biased;
                made = &mut called => return made,
                () = sleep_until(self.since + WAIT), if waits => self.flush(stage).await?,
            }
        }
    }

    fn is_full(&self) -> bool {
        match self.settings.atomic_batch {
            Some(records) => self.pending.len() >= records,
            None => {
                let outputs =
                    self.pending.iter().flat_map(|record| &record.outputs).map(Vec::len).sum::<usize>();
                self.pending.len() >= BATCH || outputs >= OUTPUTS || self.since.elapsed() >= WAIT
            }
        }
    }

    /// Commits what is pending, unless it may only be committed together with what has failed.
    async fn flush_if_apart(&mut self, stage: &Stage<'_, S>) -> Result<(), Error> {
        match self.settings.atomic_batch {
            Some(_) => self.drop_pending(stage).await,
            None => self.flush(stage).await,
        }
    }

    async fn drop_pending(&mut self, stage: &Stage<'_, S>) -> Result<(), Error> {
        for record in mem::take(&mut self.pending) {
            self.give_back(stage, record.lease.as_ref()).await?;
        }
        Ok(())
    }

    /// Leaves a record as if it had not been offered.
    async fn give_back(&self, stage: &Stage<'_, S>, lease: Option<&RetryLease>) -> Result<(), Error> {
        if let Some(lease) = lease {
            stage.store().hand_back(stage.consumer(), lease, Duration::ZERO).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, stage: &Stage<'_, S>) -> Result<(), Error> {
        let records = mem::take(&mut self.pending);
        if records.is_empty() || self.settle(stage, records.clone()).await? {
            return Ok(());
        }
        // One of several was refused: each alone.
        let mut records = records.into_iter();
        for record in records.by_ref() {
            self.settle(stage, vec![record]).await?;
            if self.ends_here() {
                break;
            }
        }
        self.pending = records.collect();
        if self.ends_here() { self.drop_pending(stage).await } else { Ok(()) }
    }

    /// Settles records together. Returns false if one of several was refused and nothing was kept.
    async fn settle(&mut self, stage: &Stage<'_, S>, records: Vec<Arc<Prepared>>) -> Result<bool, Error> {
        let batch = Arc::new(self.batch(stage, records));
        let settled = match settle(stage.store(), &batch).await {
            // Together they held the write lock for too long; each alone may not.
            Err(error) if error.kind() == ErrorKind::TransactionTimeout && batch.may_be_parted() => {
                return Ok(false);
            }
            settled => settled?,
        };
        match settled {
            Settled::Handled { records, appended } => self.note(stage, &records, &appended),
            Settled::RefusedOne => return Ok(false),
            Settled::Refused { record, arm, error } => {
                let failure = stage.failure(arm, batch.records[record].id(), NoOutput::unfit(error));
                for (index, other) in batch.records.iter().enumerate() {
                    if index != record {
                        self.give_back(stage, other.lease.as_ref()).await?;
                    }
                }
                self.fail(stage, batch.records[record].clone(), vec![(arm, failure)]).await?;
            }
        }
        Ok(true)
    }

    /// Stores the failure of a record, with what the other arms made of it under the best-effort strategy.
    async fn fail(
        &mut self,
        stage: &Stage<'_, S>,
        record: Arc<Prepared>,
        mut failures: Vec<(usize, ArmFailure)>,
    ) -> Result<(), Error> {
        let runs = record.lease.as_ref().map_or(1, |lease| lease.attempt);
        let partial = loop {
            let own: Vec<ArmFailure> = failures.iter().map(|(_, failure)| failure.clone()).collect();
            let failure = ArmFailure::stored(&own, runs, self.settings.attempts);
            let succeeded = |arm: &usize| failures.iter().all(|(failed, _)| failed != arm);
            let settled = match self.settings.strategy {
                Strategy::Strict => Vec::new(),
                Strategy::BestEffort => {
                    let arms = (0..stage.arms.len()).filter(succeeded);
                    arms.map(|arm| (arm, stage.arm_consumer(arm))).collect()
                }
            };
            let (consumer, on_duplicate) = (stage.consumer().clone(), self.on_duplicate());
            let partial = Partial { consumer, on_duplicate, record: record.clone(), settled, failure };
            let partial = Arc::new(partial);
            match settle_in_part(stage.store(), &partial).await? {
                Ok(appended) => {
                    self.note(stage, &[], &appended);
                    break partial;
                }
                Err((arm, error)) => {
                    failures.push((arm, stage.failure(arm, record.id(), NoOutput::unfit(error))));
                }
            }
        };
        if let Some(lease) = &record.lease {
            stage.store().fail(stage.consumer(), lease, &partial.failure).await?;
        }
        self.failures.extend(failures.into_iter().map(|(_, failure)| failure));
        Ok(())
    }

    fn batch(&self, stage: &Stage<'_, S>, records: Vec<Arc<Prepared>>) -> Batch {
        let (consumer, source) = (stage.consumer().clone(), stage.source().clone());
        let is_atomic = self.settings.atomic_batch.is_some();
        Batch { consumer, source, on_duplicate: self.on_duplicate(), is_atomic, records }
    }

    fn on_duplicate(&self) -> OnDuplicate {
        match self.settings.strategy {
            Strategy::Strict => OnDuplicate::Refuse,
            Strategy::BestEffort => OnDuplicate::Skip,
        }
    }

    /// Counts what was committed, and lets observers know.
    fn note(&mut self, stage: &Stage<'_, S>, records: &[i64], appended: &[(Arc<str>, i64)]) {
        self.run.handled += records.len() as u64;
        self.run.appended += appended.len() as u64;
        let observers = &stage.arms[0].shared.observers;
        for (topic, id) in appended {
            observers.notify(&TopicEvent::Appended { topic: topic.clone(), id: *id });
        }
        for id in records {
            let (topic, consumer) = (stage.source().clone(), stage.consumer().clone());
            observers.notify(&TopicEvent::Handled { topic, consumer, id: *id });
        }
    }
}
