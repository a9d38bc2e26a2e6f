//! A function over the new records of a topic, before it has a target.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use messagekit::adapter::BoxFuture;
use messagekit_topic_store::{NewRecord, PipelineStore, TopicRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arm::{Arm, Function, NoOutput, guarded};
use super::plan::{Pipeline, two_databases};
use crate::error::BoxError;
use crate::shared::Shared;
use crate::{Error, Record, Topic};

/// A function over the new records of a topic. [`to`](Self::to) says where its outputs go.
#[must_use = "a pipe needs a target: `to` or `to_nothing`"]
pub struct Pipe<U, S> {
    shared: Shared<S>,
    source: Arc<str>,
    consumer: Arc<str>,
    function: Function<U>,
}

impl<T: DeserializeOwned + Send + 'static, S: PipelineStore> Topic<T, S> {
    /// Makes one output of each new record.
    pub fn pipe<U, E, F, Fut>(&self, function: F) -> Pipe<U, S>
    where
        U: Send + 'static,
        E: Into<BoxError>,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
    {
        self.outputs(function, |output| vec![output])
    }

    /// Makes one output of each new record, or none. A record without an output is handled too.
    pub fn filter_map<U, E, F, Fut>(&self, function: F) -> Pipe<U, S>
    where
        U: Send + 'static,
        E: Into<BoxError>,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<U>, E>> + Send + 'static,
    {
        self.outputs(function, |output| output.into_iter().collect())
    }

    /// Makes any number of outputs of each new record.
    pub fn flat_map<U, E, F, Fut>(&self, function: F) -> Pipe<U, S>
    where
        U: Send + 'static,
        E: Into<BoxError>,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<U>, E>> + Send + 'static,
    {
        self.outputs(function, |outputs| outputs)
    }

    /// As [`flat_map`](Self::flat_map), with the whole record: its id tells a service that it calls of a second call.
    pub fn flat_map_records<U, E, F, Fut>(&self, function: F) -> Pipe<U, S>
    where
        U: Send + 'static,
        E: Into<BoxError>,
        F: Fn(Record<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<U>, E>> + Send + 'static,
    {
        self.called(function, |outputs| outputs)
    }

    fn outputs<R, U, E, F, Fut>(&self, function: F, outputs: fn(R) -> Vec<U>) -> Pipe<U, S>
    where
        R: 'static,
        U: 'static,
        E: Into<BoxError>,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
    {
        self.called(move |record: Record<T>| function(record.data), outputs)
    }

    fn called<R, U, E, F, Fut>(&self, function: F, outputs: fn(R) -> Vec<U>) -> Pipe<U, S>
    where
        R: 'static,
        U: 'static,
        E: Into<BoxError>,
        F: Fn(Record<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
    {
        let (source, function) = (self.clone(), Arc::new(function));
        let function: Function<U> = Arc::new(move |found: &TopicRecord| {
            let (record, function) = (source.typed(found), function.clone());
            Box::pin(async move {
                let record = record.map_err(NoOutput::unfit)?;
                // Called inside, so that a panic before the first await is caught too.
                guarded(async { function(record).await.map(outputs).map_err(Into::into) }).await
            })
        });
        let (shared, source) = (self.shared.clone(), self.rules.name.clone());
        Pipe { shared, source, consumer: self.consumer.clone(), function }
    }
}

impl<U: Serialize + DeserializeOwned + Send + 'static, S: PipelineStore> Pipe<U, S> {
    /// Appends the outputs to a topic of the same database.
    pub fn to(self, target: &Topic<U, S>) -> Pipeline<S> {
        let Self { shared, source, consumer, function } = self;
        let is_same = shared.store.is_same_database(&target.shared.store);
        let (name, target) = (target.rules.name.clone(), target.clone());
        let function: Function<NewRecord> = Arc::new(move |found: &TopicRecord| {
            let (outputs, target) = (function(found), target.clone());
            Box::pin(async move {
                let records = outputs.await?.into_iter().map(|output| target.record(&output));
                records.collect::<Result<Vec<_>, Error>>().map_err(NoOutput::unfit)
            }) as BoxFuture<'static, _>
        });
        let pipeline = Pipeline::of(Arm {
            shared,
            source: source.clone(),
            consumer,
            target: Some(name.clone()),
            function,
        });
        if is_same {
            return pipeline;
        }
        pipeline.refused(two_databases(&source).with("target", &name).into())
    }

    /// Calls the function for its effects elsewhere; its output is dropped. It may be called again for a record after a crash.
    pub fn to_nothing(self) -> Pipeline<S> {
        let Self { shared, source, consumer, function } = self;
        let function: Function<NewRecord> = Arc::new(move |found: &TopicRecord| {
            let outputs = function(found);
            Box::pin(async move { outputs.await.map(|_| Vec::new()) })
        });
        Pipeline::of(Arm { shared, source, consumer, target: None, function })
    }
}

impl<U, S> fmt::Debug for Pipe<U, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").field("source", &self.source).finish_non_exhaustive()
    }
}
