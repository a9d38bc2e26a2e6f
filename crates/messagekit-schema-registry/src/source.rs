//! A source whose messages have their data as JSON.

use std::sync::Arc;

use messagekit::Error;
use messagekit::adapter::{
    Capabilities, IntoSource, NextOffset, RememberedOffsets, RetentionProbe, Source, TopicList,
};

use crate::SchemaSubscriber;
use crate::lookup::Lookup;

/// A source behind a schema registry; [`Schemas::source`](crate::Schemas::source) returns it.
#[derive(Debug)]
pub struct SchemaSource<S> {
    lookup: Arc<Lookup>,
    inner: S,
}

impl<S> SchemaSource<S> {
    pub(crate) fn new(lookup: Arc<Lookup>, inner: S) -> Self {
        Self { lookup, inner }
    }
}

impl<S: IntoSource> IntoSource for SchemaSource<S> {
    type Source = BoundSchemaSource<S::Source>;
    const FOLLOWS_HANDLERS: bool = S::FOLLOWS_HANDLERS;

    fn into_source(self, topics: Vec<&'static str>) -> Self::Source {
        BoundSchemaSource { lookup: self.lookup, inner: self.inner.into_source(topics) }
    }
}

/// A source with its topics.
#[derive(Debug)]
pub struct BoundSchemaSource<S> {
    lookup: Arc<Lookup>,
    inner: S,
}

impl<S: Source> Source for BoundSchemaSource<S> {
    type Subscriber = SchemaSubscriber<S::Subscriber>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.inner.topics()
    }

    fn retention(&self) -> Option<Arc<dyn RetentionProbe>> {
        self.inner.retention()
    }

    fn topic_list(&self) -> Option<Arc<dyn TopicList>> {
        self.inner.topic_list()
    }

    fn consult(&mut self, memory: Arc<dyn RememberedOffsets>) {
        self.inner.consult(memory);
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        let inner = self.inner.bind(consumer, remembered).await?;
        Ok(SchemaSubscriber::new(self.lookup, inner))
    }
}
