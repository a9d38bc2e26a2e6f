//! Builds a bridge.

use std::collections::HashMap;
use std::fmt;
use std::future::IntoFuture;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Publisher, Source, check_name, check_topic};
use messagekit::gate::{Gate, Gates};
use messagekit::{Error, ErrorKind};
use messagekit_prometheus::Metrics;
use prometheus::Registry;

use super::settings::{DRAIN, DeadLetterTopic, Settings, Target, UNCONFIRMED};
use super::{Duplicates, Rule, Stats, run, topics};

/// Forwards messages: a name, a source, rules and a dead-letter topic.
///
/// The name is the consumer group at the source's broker: processes of one name share the work. Two bridges with
/// different rules need different names, or each would receive only a part. See the [module](super) for an example and
/// the guarantees.
#[must_use = "a bridge does nothing until it is run"]
pub struct Bridge<Src> {
    settings: Settings,
    source: Src,
    gates: Gates,
}

impl Bridge<()> {
    /// Starts building a bridge; `name` is 1 to 200 characters of `a-z A-Z 0-9 . _ -`.
    pub fn builder(name: impl Into<Arc<str>>) -> BridgeBuilder<()> {
        let name = name.into();
        BridgeBuilder {
            retry_topic: Self::retry_topic(&name),
            name,
            source: (),
            rules: Vec::new(),
            dead_letters: None,
            gates: Gates::default(),
            unconfirmed: UNCONFIRMED,
            drain: DRAIN,
            duplicates: None,
            metrics: None,
        }
    }

    /// Returns the default topic for repaired copies: the bridge's name with `.retry`.
    pub fn retry_topic(name: &str) -> Arc<str> {
        Arc::from(format!("{name}.retry"))
    }
}

impl<Src: Source> Bridge<Src> {
    /// Returns a live view of the bridge.
    pub fn stats(&self) -> Stats {
        self.settings.stats.clone()
    }

    /// Runs until `shutdown` completes, then waits for messages in flight, releases the others and leaves the group.
    ///
    /// # Errors
    /// Fails if the source cannot be bound or ends, if a position is lost, or if the duplicate filter returns a
    /// permanent error. An outage of the broker is not an error: the bridge waits.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing. Messages without a settled receipt are delivered again, and messages in
    /// flight are published twice.
    pub async fn run(
        self,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error> {
        run::run(self.settings, self.source, self.gates, shutdown.into_future()).await
    }
}

/// Collects the parts of a [`Bridge`].
#[must_use = "call build() to get the bridge"]
pub struct BridgeBuilder<Src> {
    name: Arc<str>,
    source: Src,
    rules: Vec<Rule>,
    dead_letters: Option<DeadLetterTopic>,
    retry_topic: Arc<str>,
    gates: Gates,
    unconfirmed: usize,
    drain: Duration,
    duplicates: Option<Arc<dyn Duplicates>>,
    metrics: Option<Metrics>,
}

impl BridgeBuilder<()> {
    /// Sets the source: the topics of all rules, and the retry topic.
    pub fn from<Src: Source>(self, source: Src) -> BridgeBuilder<Src> {
        BridgeBuilder {
            name: self.name,
            source,
            rules: self.rules,
            dead_letters: self.dead_letters,
            retry_topic: self.retry_topic,
            gates: self.gates,
            unconfirmed: self.unconfirmed,
            drain: self.drain,
            duplicates: self.duplicates,
            metrics: self.metrics,
        }
    }
}

impl<Src> BridgeBuilder<Src> {
    /// Adds a rule; a topic may be in one rule only.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Sets the topic for rejected and malformed messages. If this publisher refuses a message, the bridge waits as in
    /// an outage: its key is blocked until there is capacity.
    pub fn dead_letters(mut self, publisher: Arc<dyn Publisher>, topic: impl Into<Arc<str>>) -> Self {
        self.dead_letters = Some(DeadLetterTopic { publisher, topic: topic.into() });
        self
    }

    /// Sets the topic for repaired copies. Default: the name with `.retry`. A copy keeps its headers and uses the rule
    /// of its [`SOURCE_TOPIC`](messagekit::headers::SOURCE_TOPIC).
    pub fn retry_topic(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.retry_topic = topic.into();
        self
    }

    /// Adds a gate before the publish, after the gates added before. A closed gate pauses the lanes; the group
    /// membership is kept.
    pub fn gate(mut self, gate: impl Gate + 'static) -> Self {
        self.gates.push(gate);
        self
    }

    /// Sets the maximum number of messages in flight. Default: 500.
    pub fn unconfirmed(mut self, messages: NonZeroUsize) -> Self {
        self.unconfirmed = messages.get();
        self
    }

    /// Sets how long a shutdown or a revoked lane waits for messages in flight. Default: 10 s. The next owner of the
    /// lane publishes unconfirmed messages again.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Records these metrics under the bridge's name and the rules' names.
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Skips messages that the filter recognises. Default: no filter.
    pub fn duplicates(mut self, filter: Arc<dyn Duplicates>) -> Self {
        self.duplicates = Some(filter);
        self
    }
}

impl<Src: Source> BridgeBuilder<Src> {
    /// Validates the parts and builds the bridge.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] with every problem.
    pub fn build(self) -> Result<Bridge<Src>, Error> {
        let mut problems = self.problems();
        // Without a registry, use metrics that are not exported.
        let all_metrics = self.metrics.map_or_else(|| Metrics::new(&Registry::new()), Ok)?;
        let metrics = all_metrics.bridge(&self.name);
        let (mut targets, mut by_topic) = (Vec::new(), HashMap::new());
        for (index, rule) in self.rules.into_iter().enumerate() {
            by_topic.extend(rule.topics.into_iter().map(|topic| (topic, index)));
            match rule.routing_key.parse() {
                Ok(routing_key) => targets.push(Target {
                    publisher: rule.publisher,
                    routing_key,
                    forwarded: metrics.forwarded(&rule.name),
                    returned: metrics.returned(&rule.name),
                }),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let (Some(dead_letters), true) = (self.dead_letters, problems.is_empty()) else {
            let error = Error::new(ErrorKind::InvalidConfiguration, problems.join("; "));
            return Err(error.with("bridge", &self.name));
        };
        all_metrics.gates(&self.name, self.gates.states());
        let settings = Settings {
            name: self.name,
            targets,
            by_topic,
            dead_letters,
            retry_topic: self.retry_topic,
            unconfirmed: self.unconfirmed,
            drain: self.drain,
            duplicates: self.duplicates,
            stats: Stats::new(self.gates.states()),
            metrics,
        };
        Ok(Bridge { settings, source: self.source, gates: self.gates })
    }

    /// Returns what is wrong with the parts, apart from the templates of the rules.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(check_name("bridge", &self.name, 200).err().map(|error| error.to_string()));
        if self.rules.is_empty() {
            problems.push("no rule: add one with .rule(rule)".to_owned());
        }
        if self.dead_letters.is_none() {
            problems.push("no dead-letter topic: set one with .dead_letters(publisher, topic)".to_owned());
        }
        let dead_letters = self.dead_letters.as_ref().map(|dead_letters| &dead_letters.topic);
        for topic in dead_letters.into_iter().chain([&self.retry_topic]) {
            problems.extend(check_topic(topic).err().map(|error| error.to_string()));
        }
        problems.extend(topics::problems(&self.rules, self.source.topics(), &self.retry_topic, dead_letters));
        problems
    }
}

impl<Src> fmt::Debug for Bridge<Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("name", &self.settings.name)
            .field("gates", &self.gates)
            .finish_non_exhaustive()
    }
}

impl<Src> fmt::Debug for BridgeBuilder<Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder")
            .field("name", &self.name)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
