//! Exchanges, queues and bindings that shall be there.

pub(crate) mod compare;
pub(crate) mod queue;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ExchangeKind};
use messagekit::ErrorKind;

use crate::error::unavailable;
use crate::names::{check_name, check_routing_key};
use crate::{Error, RabbitMq, link};
use compare::Found;
use queue::Queue;

/// A list of exchanges, queues and bindings that shall be there.
///
/// ```no_run
/// # async fn run() -> Result<(), messagekit_rabbitmq::Error> {
/// use messagekit_rabbitmq::{Queue, RabbitMq};
///
/// let rabbit = RabbitMq::new("amqp://shipping:secret@localhost")?;
/// rabbit
///     .topology()
///     .exchange("orders")
///     .exchange("dead")
///     .queue(Queue::quorum("shipping.orders").dead_letter("dead", "shipping.orders"))
///     .queue(Queue::dead_letters("shipping.orders.dead"))
///     .bind("shipping.orders", "orders", "orders.order.#")
///     .bind("shipping.orders.dead", "dead", "shipping.orders")
///     .declare()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Topology {
    rabbit: RabbitMq,
    exchanges: Vec<(String, ExchangeKind)>,
    queues: Vec<Queue>,
    bindings: Vec<(String, String, String)>,
    existing: Vec<String>,
}

/// What a look has found.
#[derive(Default)]
struct Seen {
    differences: Vec<String>,
    absent_exchanges: Vec<String>,
    absent_queues: Vec<String>,
}

impl Topology {
    pub(crate) fn of(rabbit: RabbitMq) -> Self {
        Self { rabbit, exchanges: Vec::new(), queues: Vec::new(), bindings: Vec::new(), existing: Vec::new() }
    }

    /// Adds a durable topic exchange.
    #[must_use]
    pub fn exchange(mut self, name: impl Into<String>) -> Self {
        self.exchanges.push((name.into(), ExchangeKind::Topic));
        self
    }

    /// Adds a durable fanout exchange: every queue that is bound gets every message.
    #[must_use]
    pub fn fanout(mut self, name: impl Into<String>) -> Self {
        self.exchanges.push((name.into(), ExchangeKind::Fanout));
        self
    }

    /// Demands an exchange that somebody else declares, of whatever kind.
    #[must_use]
    pub fn existing_exchange(mut self, name: impl Into<String>) -> Self {
        self.existing.push(name.into());
        self
    }

    /// Adds a queue.
    #[must_use]
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queues.push(queue);
        self
    }

    /// Binds a queue to an exchange: `*` in the routing key stands for one word, `#` for any number of them.
    #[must_use]
    pub fn bind(
        mut self,
        queue: impl Into<String>,
        exchange: impl Into<String>,
        routing_key: impl Into<String>,
    ) -> Self {
        self.bindings.push((queue.into(), exchange.into(), routing_key.into()));
        self
    }

    /// Makes what is missing. When something is there and declared otherwise, nothing is made.
    ///
    /// # Errors
    /// Permanent, [`ErrorKind::InvalidConfiguration`], with every difference in the text: what is, and what should be; a
    /// queue cannot be changed, only deleted and declared anew. Also when a dead-letter exchange is neither in the list nor
    /// there. Transient when the broker does not answer; doing it again does no harm.
    pub async fn declare(&self) -> Result<(), Error> {
        let connection = self.connect().await?;
        let made = self.make(&connection).await;
        link::close(&connection).await;
        made
    }

    /// Checks that everything is there as it should be, and makes nothing.
    ///
    /// Bindings are not looked at: the protocol has no question for them. A user who may not declare is told only what is
    /// missing.
    ///
    /// # Errors
    /// As [`declare`](Self::declare); what is missing is a difference.
    pub async fn verify(&self) -> Result<(), Error> {
        let connection = self.connect().await?;
        let seen = self.look(&connection).await;
        link::close(&connection).await;
        let mut seen = seen?;
        let absent = |what: &str, names: Vec<String>| -> Vec<String> {
            names.into_iter().map(|name| format!("{what} {name} is not there")).collect()
        };
        seen.differences.extend(absent("exchange", seen.absent_exchanges));
        seen.differences.extend(absent("queue", seen.absent_queues));
        refuse(seen.differences)
    }

    async fn connect(&self) -> Result<Connection, Error> {
        self.names().try_for_each(check_name)?;
        self.bindings.iter().try_for_each(|(_, _, routing_key)| check_routing_key(routing_key))?;
        Ok(self.rabbit.connect(&self.rabbit.connection_name("topology")).await?)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let exchanges = self.exchanges.iter().map(|(name, _)| name.as_str());
        let queues = self.queues.iter().map(|queue| queue.name.as_str());
        exchanges.chain(queues).chain(self.existing.iter().map(String::as_str))
    }

    async fn look(&self, connection: &Connection) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        let mut note = |what: &str, name: &str, found: Found| match found {
            Found::Absent if what == "queue" => seen.absent_queues.push(name.to_owned()),
            Found::Absent => seen.absent_exchanges.push(name.to_owned()),
            Found::Declared { differences, .. } => seen
                .differences
                .extend(differences.into_iter().map(|difference| format!("{what} {name}: {difference}"))),
            Found::Hidden => {
                tracing::warn!(what, name, "declaration cannot be compared: this user may not declare");
            }
        };
        for (name, kind) in &self.exchanges {
            note("exchange", name, compare::exchange(connection, name, kind).await?);
        }
        for queue in &self.queues {
            note("queue", &queue.name, compare::queue(connection, &queue.name, queue.arguments()).await?);
        }
        for name in &self.existing {
            if matches!(compare::exchange(connection, name, &ExchangeKind::Topic).await?, Found::Absent) {
                seen.differences.push(format!("exchange {name} is not there"));
            }
        }
        for (name, _) in self.queues.iter().filter_map(|queue| queue.dead_letter.as_ref()) {
            let listed = name.is_empty() || self.exchanges.iter().any(|(known, _)| known == name);
            if !listed
                && matches!(compare::exchange(connection, name, &ExchangeKind::Topic).await?, Found::Absent)
            {
                seen.differences.push(format!("dead-letter exchange {name} is not there"));
            }
        }
        Ok(seen)
    }

    async fn make(&self, connection: &Connection) -> Result<(), Error> {
        let seen = self.look(connection).await?;
        refuse(seen.differences)?;
        let channel = compare::channel(connection).await?;
        let failed = |error| unavailable("rabbitmq did not declare", error);
        for (name, kind) in self.exchanges.iter().filter(|(name, _)| seen.absent_exchanges.contains(name)) {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let made =
                channel.exchange_declare(name.as_str().into(), kind.clone(), options, FieldTable::default());
            made.await.map_err(|error| failed(error).with("exchange", name))?;
        }
        for queue in self.queues.iter().filter(|queue| seen.absent_queues.contains(&queue.name)) {
            let table = compare::table(&queue.arguments());
            let made =
                channel.queue_declare(queue.name.as_str().into(), QueueDeclareOptions::durable(), table);
            made.await.map_err(|error| failed(error).with("queue", &queue.name))?;
        }
        for (queue, exchange, routing_key) in &self.bindings {
            let made = channel.queue_bind(
                queue.as_str().into(),
                exchange.as_str().into(),
                routing_key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            made.await.map_err(|error| failed(error).with("queue", queue).with("exchange", exchange))?;
        }
        Ok(())
    }
}

fn refuse(differences: Vec<String>) -> Result<(), Error> {
    if differences.is_empty() {
        return Ok(());
    }
    let text = format!("rabbitmq is declared otherwise than asked for: {}", differences.join("; "));
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}
