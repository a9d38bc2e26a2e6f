//! A pipeline with its settings.

use std::fmt;
use std::time::Duration;

use messagekit::{Error as CoreError, ErrorKind};
use messagekit_topic_store::PipelineStore;

use super::arm::Arm;
use super::failure::Strategy;
use super::graph::{Edge, groups};
use super::plot;
use super::run::{Run, Runner};
use super::serve::Pauses;
use super::settings::Settings;
use crate::{Error, Topics};

/// Functions between topics, as one graph.
pub struct Pipeline<S> {
    arms: Vec<Arm<S>>,
    settings: Settings,
    defect: Option<Error>,
}

impl<S: PipelineStore> Topics<S> {
    /// Joins pipelines into one graph: those that read the same topic share its records, and a topic that one fills and another reads
    /// lets its records go on in the same run.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for topics that lead in a circle, naming them, and for topics of two databases.
    pub fn full_pipeline(
        &self,
        pipelines: impl IntoIterator<Item = Pipeline<S>>,
    ) -> Result<Pipeline<S>, Error> {
        let mut whole = Pipeline { arms: Vec::new(), settings: Settings::default(), defect: None };
        for pipeline in pipelines {
            if let Some(defect) = pipeline.defect {
                return Err(defect);
            }
            whole.arms.extend(pipeline.arms);
        }
        if let Some(other) = whole.arms.iter().find(|arm| !arm.shared.store.is_same_database(self.store())) {
            return Err(two_databases(&other.source).into());
        }
        whole.stages()?;
        Ok(whole)
    }
}

impl<S: PipelineStore> Pipeline<S> {
    pub(crate) fn of(arm: Arm<S>) -> Self {
        Self { arms: vec![arm], settings: Settings::default(), defect: None }
    }

    pub(crate) fn refused(self, defect: Error) -> Self {
        Self { defect: Some(defect), ..self }
    }

    /// Sets what happens to the other arms of a record when one fails; [`Strategy::Strict`] by default.
    #[must_use]
    pub fn strategy(self, strategy: Strategy) -> Self {
        Self { settings: Settings { strategy, ..self.settings }, ..self }
    }

    /// Commits this many records together, all or nothing: a record that fails leaves all of them new. Only under
    /// [`Strategy::Strict`]. By default records are committed together while that takes at most some milliseconds, and a failure leaves
    /// only its own record new.
    #[must_use]
    pub fn atomic_batch(self, records: usize) -> Self {
        Self { settings: Settings { atomic_batch: Some(records.max(1)), ..self.settings }, ..self }
    }

    /// Sets how often a record may fail before it is dead; 10 by default.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { settings: Settings { attempts: attempts.max(1), ..self.settings }, ..self }
    }

    /// Sets how long a run waits for another one over its source; for ever by default. It then fails with
    /// [`ErrorKind::Unavailable`](messagekit::ErrorKind::Unavailable).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { settings: Settings { timeout: Some(timeout), ..self.settings }, ..self }
    }

    /// Handles every record that is new now, and those that this run appends for a later arm, and returns.
    ///
    /// Records of a topic come in the order of their ids, those that failed before among them. One task or process at a time runs over
    /// a topic for a consumer; another one waits. A record is handled when all arms of the run have settled it.
    ///
    /// # Errors
    /// [`failures`](Error::failures) of functions: under [`Strategy::Strict`] the first, and the run has ended there; under
    /// [`Strategy::BestEffort`] all, at the end. [`ErrorKind::InvalidConfiguration`] for a graph that cannot run. A transient error for
    /// a busy file, or when a function returned one: nothing counts as failed, run again.
    ///
    /// # Cancel safety
    /// A dropped run leaves each record handled with its outputs, or new without.
    pub async fn run(&self) -> Result<Run, Error> {
        let stages = self.stages()?;
        Runner::new(self.settings, stages).run().await
    }

    /// Calls the functions for the records that are new now, and checks what they return. Nothing is written, also not inside a
    /// transaction, and no record counts as failed.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn dry_run(&self) -> Result<Run, Error> {
        let stages = self.stages()?;
        Runner::new(self.settings, stages).dry_run().await
    }

    /// Runs, waits for new records, and runs again; after a failure it waits before the next run. It ends only with an error that no
    /// repetition cures, with [`ErrorKind::Closed`] when the file is closed among them.
    ///
    /// # Errors
    /// As [`run`](Self::run), without what a later run may cure.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run): drop it to stop.
    pub async fn serve(&self) -> Result<std::convert::Infallible, Error> {
        self.stages()?;
        let Some(arm) = self.arms.first() else { return std::future::pending().await };
        let mut pauses = Pauses::over(&arm.shared.store)?;
        loop {
            pauses.after(self.run().await).await?;
        }
    }

    /// Returns the graph as a Mermaid diagram, its edges in the order in which they were given.
    pub fn plot(&self) -> String {
        plot::graph(&self.arms, |_| String::new())
    }

    /// As [`plot`](Self::plot), with the numbers of new, handled and failed records of each topic.
    ///
    /// # Errors
    /// A transient error if the file is busy: retry.
    pub async fn plot_with_counts(&self) -> Result<String, Error> {
        plot::with_counts(&self.arms).await
    }

    /// Returns the arms that read one topic for one consumer, in the order in which they run.
    fn stages(&self) -> Result<Vec<Vec<Arm<S>>>, Error> {
        if let Some(defect) = &self.defect {
            return Err(defect.clone());
        }
        let refused = |text: &'static str| CoreError::new(ErrorKind::InvalidConfiguration, text);
        if self.settings.atomic_batch.is_some() && self.settings.strategy == Strategy::BestEffort {
            return Err(refused("batches that are all or nothing need the strict strategy").into());
        }
        let edge = |arm| {
            let Arm { source, consumer, target, .. }: &Arm<S> = arm;
            Edge { source, consumer, target: target.as_ref() }
        };
        let edges: Vec<Edge<'_>> = self.arms.iter().map(edge).collect();
        let groups = groups(&edges).map_err(|circle| {
            refused("topics of the pipeline lead in a circle").with("topics", circle.join(", "))
        })?;
        let stage = |group: Vec<usize>| group.into_iter().map(|arm| self.arms[arm].clone()).collect();
        Ok(groups.into_iter().map(stage).collect())
    }
}

pub(crate) fn two_databases(source: &str) -> CoreError {
    let text = "topics of a pipeline are in two databases: one transaction cannot write both";
    CoreError::new(ErrorKind::InvalidConfiguration, text).with("source", source)
}

impl<S> fmt::Debug for Pipeline<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edges = self.arms.iter().map(|arm| (&arm.source, &arm.target));
        f.debug_struct("Pipeline").field("arms", &edges.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}
