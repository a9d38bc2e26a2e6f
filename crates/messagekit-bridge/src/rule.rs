//! Rules: targets of the records of a topic.

use std::fmt;
use std::sync::Arc;

use messagekit::adapter::Publisher;

/// Sends the records of some topics to one publisher, under a routing key from a template.
///
/// The routing key becomes the topic of the published message. A RabbitMQ publisher has one exchange and uses it as the
/// routing key. Default: `{eventType}`.
pub struct Rule {
    pub(super) topics: Vec<Arc<str>>,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) routing_key: String,
    pub(super) name: String,
}

impl Rule {
    /// Creates a rule for these topics.
    pub fn new<T: Into<Arc<str>>>(
        topics: impl IntoIterator<Item = T>,
        publisher: Arc<dyn Publisher>,
    ) -> Self {
        let topics = topics.into_iter().map(Into::into).collect();
        Self { topics, publisher, routing_key: "{eventType}".to_owned(), name: String::new() }
    }

    /// Sets the rule's name in metrics, usually the exchange.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the template of the routing key, see [`RoutingKey`](messagekit::adapter::RoutingKey). The bridge validates it when it is
    /// built.
    #[must_use]
    pub fn routing_key(mut self, template: impl Into<String>) -> Self {
        self.routing_key = template.into();
        self
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("topics", &self.topics)
            .field("routing_key", &self.routing_key)
            .finish_non_exhaustive()
    }
}
