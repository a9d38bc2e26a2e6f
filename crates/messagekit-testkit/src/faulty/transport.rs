//! A transport with one fault.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use messagekit::Error;
use messagekit::adapter::{Capabilities, NextOffset, Publisher, Source};
use messagekit_memory::MemoryLog;

use super::shared::Shared;
use super::{Fault, FaultyPublisher, FaultySubscriber};
use crate::transport::TransportFixture;
use crate::unique;

/// A fixture over a [`MemoryLog`] with one fault or none.
#[derive(Clone)]
pub struct FaultyTransport {
    log: MemoryLog,
    fault: Option<Fault>,
    shared: Arc<Shared>,
}

impl FaultyTransport {
    /// Creates a fixture with an empty log.
    pub fn new(fault: Option<Fault>) -> Self {
        Self { log: MemoryLog::new(4), fault, shared: Arc::default() }
    }
}

impl TransportFixture for FaultyTransport {
    type Source = FaultySource;

    fn capabilities(&self) -> Capabilities {
        self.log.topics(["any"]).capabilities()
    }

    fn source(&self, topics: &[Arc<str>]) -> FaultySource {
        FaultySource { transport: self.clone(), topics: topics.to_vec() }
    }

    fn publisher(&self) -> Box<dyn Publisher> {
        Box::new(FaultyPublisher::new(self.log.clone(), self.fault))
    }

    fn can_lose(&self) -> bool {
        true
    }

    async fn lose(&self, consumer: &str) {
        self.log.lose(consumer);
    }
}

impl fmt::Debug for FaultyTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyTransport").field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// Topics of a [`FaultyTransport`].
#[derive(Debug)]
pub struct FaultySource {
    transport: FaultyTransport,
    topics: Vec<Arc<str>>,
}

impl Source for FaultySource {
    type Subscriber = FaultySubscriber;

    fn capabilities(&self) -> Capabilities {
        self.transport.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        &self.topics
    }

    async fn bind(mut self, consumer: &str, remembered: &[NextOffset]) -> Result<FaultySubscriber, Error> {
        let FaultyTransport { log, fault, shared } = self.transport;
        let mut consumer = consumer.to_owned();
        let mut skipped = BTreeMap::new();
        match fault {
            Some(Fault::SharesOneCursor) => "everybody".clone_into(&mut consumer),
            Some(Fault::SharesNothing) => consumer = unique(&consumer),
            Some(Fault::ReadsOneTopic) => self.topics.truncate(1),
            Some(Fault::TakesAnyTopic) => {
                for topic in &mut self.topics {
                    let clean: String = topic.chars().filter(char::is_ascii_alphanumeric).collect();
                    *topic = Arc::from(format!("t{clean}"));
                }
            }
            Some(Fault::StartsAtTheEnd) if shared.is_new(&consumer) => {
                for record in self.topics.iter().flat_map(|topic| log.records(topic)) {
                    skipped
                        .insert((record.position.topic, record.position.partition), record.position.offset);
                }
            }
            _ => {}
        }
        let inner = log.topics(self.topics).bind(&consumer, remembered).await?;
        Ok(FaultySubscriber::new(inner, fault, log, consumer, shared, skipped))
    }
}
