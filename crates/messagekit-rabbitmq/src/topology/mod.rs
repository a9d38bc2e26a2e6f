//! The required exchanges, queues and bindings.

pub(crate) mod compare;
pub(crate) mod declarations;
pub(crate) mod queue;

use lapin::options::QueueBindOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ExchangeKind};
use messagekit::ErrorKind;

use crate::error::unavailable;
use crate::names::{check_name, check_routing_key};
use crate::{Error, RabbitMq, link};
use compare::{Found, IfAbsent};
use queue::Queue;

/// Lists required exchanges, queues and bindings, and creates or verifies them.
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

/// The result of a comparison.
#[derive(Default)]
struct Seen {
    differences: Vec<String>,
    absent: Vec<String>,
}

impl RabbitMq {
    /// Creates an empty topology: a list of required exchanges, queues and bindings.
    pub fn topology(&self) -> Topology {
        Topology {
            rabbit: self.clone(),
            exchanges: Vec::new(),
            queues: Vec::new(),
            bindings: Vec::new(),
            existing: Vec::new(),
        }
    }
}

impl Topology {
    /// Adds a durable topic exchange.
    #[must_use]
    pub fn exchange(mut self, name: impl Into<String>) -> Self {
        self.exchanges.push((name.into(), ExchangeKind::Topic));
        self
    }

    /// Adds a durable fanout exchange: every bound queue gets every message.
    #[must_use]
    pub fn fanout(mut self, name: impl Into<String>) -> Self {
        self.exchanges.push((name.into(), ExchangeKind::Fanout));
        self
    }

    /// Requires an exchange that another program declares, of any kind.
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

    /// Binds a queue to an exchange: in the routing key, `*` matches one word and `#` any number of them.
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

    /// Creates missing exchanges, then queues, then bindings. After the first difference it creates nothing more: it
    /// only compares the rest, and binds nothing.
    ///
    /// # Errors
    /// Permanent, [`ErrorKind::InvalidConfiguration`], with every difference in the text, as actual and required
    /// value. A queue cannot be changed, only deleted and declared anew. Also permanent if a dead-letter exchange is
    /// neither in the list nor at the broker. Transient if the broker does not answer; a retry is safe.
    pub async fn declare(&self) -> Result<(), Error> {
        let connection = self.connect().await?;
        let made = self.make(&connection).await;
        link::close(&connection).await;
        made
    }

    /// Checks that every exchange and queue exists as required, and creates nothing.
    ///
    /// It does not check bindings: the protocol has no query for them. Without the right to declare, it reports only
    /// what is missing.
    ///
    /// # Errors
    /// As [`declare`](Self::declare); a missing exchange or queue is a difference.
    pub async fn verify(&self) -> Result<(), Error> {
        let connection = self.connect().await?;
        let seen = self.look(&connection, IfAbsent::Report).await;
        link::close(&connection).await;
        let Seen { mut differences, absent } = seen?;
        differences.extend(absent);
        refuse(differences)
    }

    async fn connect(&self) -> Result<Connection, Error> {
        self.names().try_for_each(check_name)?;
        self.bindings.iter().try_for_each(|(_, _, routing_key)| check_routing_key(routing_key))?;
        self.rabbit.connect(&self.rabbit.connection_name("topology")).await
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let exchanges = self.exchanges.iter().map(|(name, _)| name.as_str());
        let queues = self.queues.iter().map(|queue| queue.name.as_str());
        exchanges.chain(queues).chain(self.existing.iter().map(String::as_str))
    }

    /// Compares the whole list. [`IfAbsent::Declare`] creates missing ones until the first difference.
    async fn look(&self, connection: &Connection, absent: IfAbsent) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        for name in &self.existing {
            if !compare::has_exchange(connection, name).await? {
                seen.differences.push(format!("exchange {name} is not there"));
            }
        }
        for (name, _) in self.queues.iter().filter_map(|queue| queue.dead_letter.as_ref()) {
            let listed = name.is_empty() || self.exchanges.iter().any(|(known, _)| known == name);
            if !listed && !compare::has_exchange(connection, name).await? {
                seen.differences.push(format!("dead-letter exchange {name} is not there"));
            }
        }
        for (name, kind) in &self.exchanges {
            let found = compare::exchange(connection, name, kind, seen.unless_different(absent)).await?;
            seen.note("exchange", name, found);
        }
        for queue in &self.queues {
            let absent = seen.unless_different(absent);
            let found = compare::queue(connection, &queue.name, queue.arguments(), absent).await?;
            if let Found::Declared { arguments, .. } = &found {
                self.rabbit.declarations.remember(&queue.name, arguments);
            }
            seen.note("queue", &queue.name, found);
        }
        Ok(seen)
    }

    async fn make(&self, connection: &Connection) -> Result<(), Error> {
        refuse(self.look(connection, IfAbsent::Declare).await?.differences)?;
        let failed = |error| unavailable("rabbitmq did not declare", error);
        let channel = connection.create_channel().await.map_err(failed)?;
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
        link::close_channel(&channel).await;
        Ok(())
    }
}

impl Seen {
    /// Returns [`IfAbsent::Report`] after a difference: nothing is created then.
    fn unless_different(&self, absent: IfAbsent) -> IfAbsent {
        if self.differences.is_empty() { absent } else { IfAbsent::Report }
    }

    fn note(&mut self, what: &str, name: &str, found: Found) {
        match found {
            Found::Absent => self.absent.push(format!("{what} {name} is not there")),
            Found::Declared { differences, .. } => self
                .differences
                .extend(differences.into_iter().map(|difference| format!("{what} {name}: {difference}"))),
            Found::Hidden => {
                tracing::warn!(what, name, "declaration cannot be compared: this user may not declare");
            }
        }
    }
}

fn refuse(differences: Vec<String>) -> Result<(), Error> {
    if differences.is_empty() {
        return Ok(());
    }
    let text = format!("rabbitmq is declared otherwise than asked for: {}", differences.join("; "));
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}
