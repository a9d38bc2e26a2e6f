//! The settings of `messagekit relay`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use messagekit::Error;
use messagekit::adapter::Publisher;
use messagekit::adapter::RoutingKey;
use messagekit::gate::RateLimit;
use messagekit::relay::RelayBuilder;
use messagekit_config::{Configuration, Secret, Section};
use messagekit_rabbitmq::Topology;

use crate::database::{Kind, URL_VARIABLE};
use crate::url::Url;
use crate::{databases, sections};

/// Events of a limit that names only its time; as in `[bridge.limit]`.
const LIMIT: NonZeroU32 = NonZeroU32::new(500).expect("500 > 0");

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The configuration, a TOML file; environment variables override it, and options override both
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The database with the outbox, for example postgres://me@localhost/shop or sqlite:shop.db
    #[arg(long, value_name = "URL", env = URL_VARIABLE, hide_env_values = true)]
    database: Option<Url>,
    /// Publish to Kafka: comma-separated broker addresses
    #[arg(long, value_name = "SERVERS", value_delimiter = ',', conflicts_with_all = ["rabbitmq", "exchange", "routing_key"])]
    kafka: Option<Vec<String>>,
    /// Publish to RabbitMQ, for example amqps://me@rabbit/shop
    #[arg(long, value_name = "URL", value_parser = told)]
    rabbitmq: Option<Secret>,
    /// The exchange of RabbitMQ
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// The routing key, a template with {topic}, {key}, {eventType} or another header [default: {topic}]
    #[arg(long, value_name = "TEMPLATE")]
    routing_key: Option<String>,
    /// The relay's name in metrics and in the database [default: relay]
    #[arg(long)]
    name: Option<String>,
    /// Serve /health/… and /metrics on this address [default: 127.0.0.1:8092]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Interval between checks for events that another process has written [default: 50ms]
    #[arg(long, value_name = "TIME", value_parser = time)]
    poll: Option<Duration>,
    /// How long a frozen or disconnected relay keeps its shards of the outbox [default: 4s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    lease: Option<Duration>,
    /// How many events a read requests at most; it requests 500 without a backlog [default: 2000]
    #[arg(long, value_name = "EVENTS")]
    batch: Option<NonZeroU32>,
    /// How many calls to the broker may be in flight; then reading pauses, as at 4 MiB in flight [default: 4]
    #[arg(long, value_name = "BATCHES")]
    calls: Option<NonZeroUsize>,
    /// How long a stop waits for calls in flight [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    drain: Option<Duration>,
}

/// The checked settings.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    pub(super) database: Url,
    pub(super) publisher: Arc<dyn Publisher>,
    /// The objects that must exist before the first publish.
    pub(super) topology: Option<Topology>,
    pub(super) routing_key: Option<RoutingKey>,
    pub(super) pace: Pace,
}

/// Optional values; without one the library's default applies.
#[derive(Debug)]
pub(super) struct Pace {
    poll: Option<Duration>,
    lease: Option<Duration>,
    batch: Option<NonZeroU32>,
    calls: Option<NonZeroUsize>,
    drain: Option<Duration>,
    /// Events per time.
    limit: Option<(NonZeroU32, Duration)>,
}

impl Pace {
    pub(super) fn set(&self, mut builder: RelayBuilder) -> RelayBuilder {
        if let Some(poll) = self.poll {
            builder = builder.poll(poll);
        }
        if let Some(lease) = self.lease {
            builder = builder.lease(lease);
        }
        if let Some(batch) = self.batch {
            builder = builder.batch(batch);
        }
        if let Some(calls) = self.calls {
            builder = builder.calls(calls);
        }
        if let Some(drain) = self.drain {
            builder = builder.drain(drain);
        }
        if let Some((events, time)) = self.limit {
            builder = builder.gate(RateLimit::per(events.get(), time));
        }
        builder
    }
}

pub(super) fn read(options: Options) -> Result<Settings, Error> {
    let configuration = Configuration::load(options.config.as_deref())?;
    configuration.reads_only(&["relay", "database", "kafka", "rabbitmq"]);
    let section = configuration.section("relay");
    let (name, listen) = (section.optional("name"), section.optional("listen"));
    let name = options.name.or(name).unwrap_or_else(|| "relay".to_owned());
    let listen = options.listen.or(listen).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8092)));
    let (poll, lease, batch) =
        (section.optional("poll"), section.optional("lease"), section.optional("batch"));
    let (calls, drain) = (section.optional("calls"), section.optional("drain"));
    let pace = Pace {
        poll: options.poll.or(poll),
        lease: options.lease.or(lease),
        batch: options.batch.or(batch),
        calls: options.calls.or(calls),
        drain: options.drain.or(drain),
        limit: section.section("limit").switched("messages", LIMIT, "per", Duration::from_secs(60)),
    };
    let database = database(&configuration, &section, options.database);
    let (exchange, routing_key) = (section.optional("exchange"), section.optional("routing_key"));
    let exchange: Option<String> = match options.kafka {
        Some(_) => None,
        None => options.exchange.or(exchange),
    };
    let routing_key: Option<String> = options.routing_key.or(routing_key).filter(|_| exchange.is_some());
    let routing_key = routing_key.and_then(|template| {
        template.parse::<RoutingKey>().map_err(|error| section.problem("routing_key", error)).ok()
    });
    let target: Option<(Arc<dyn Publisher>, Option<Topology>)> = match exchange {
        Some(exchange) => {
            configuration.passes_over(&["kafka"]);
            sections::rabbitmq(&configuration.section("rabbitmq"), options.rabbitmq).map(|rabbitmq| {
                let publisher = Arc::new(rabbitmq.publisher_to(&exchange));
                // The default exchange always exists, and the broker refuses a query for it.
                let exchange = Some(exchange).filter(|exchange| !exchange.is_empty());
                (publisher as _, exchange.map(|exchange| rabbitmq.topology().existing_exchange(exchange)))
            })
        }
        None => {
            configuration.passes_over(&["rabbitmq"]);
            let kafka = configuration.section("kafka");
            if options.rabbitmq.is_some() || (options.kafka.is_none() && !kafka.is_written()) {
                section
                    .problem("exchange", "no broker: write the brokers of Kafka, or an exchange of RabbitMQ");
                None
            } else {
                sections::kafka(&kafka, options.kafka).map(|(_, publisher)| (Arc::new(publisher) as _, None))
            }
        }
    };
    let (database, (publisher, topology)) = configuration.complete(database.zip(target))?;
    Ok(Settings { name, listen, database, publisher, topology, routing_key, pace })
}

/// Returns the database of the option, otherwise of the configuration.
fn database(configuration: &Configuration, section: &Section<'_>, option: Option<Url>) -> Option<Url> {
    let Some(url) = option else {
        let any = !configuration.sections("database").is_empty();
        return sections::database(databases::written(configuration), any, section);
    };
    configuration.passes_over(&["database"]);
    let _: Option<String> = section.optional("database");
    Kind::of(&url).map_err(|error| section.problem("database", error)).ok()?;
    Some(url)
}

/// Accepts every text: clap would repeat a rejected one, and it may contain a password.
fn told(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.ok_or_else(|| "write a time such as 50ms or 4s".to_owned())
}

#[cfg(test)]
mod tests {
    use messagekit::relay::Relay;
    use messagekit_sqlite::SqliteStore;

    use super::*;

    #[tokio::test]
    async fn a_limit_is_a_gate_of_the_relay() {
        let store = SqliteStore::temporary().await.expect("a file");
        let limit = Some((LIMIT, Duration::from_secs(60)));
        let pace = Pace { poll: None, lease: None, batch: None, calls: None, drain: None, limit };
        let builder = Relay::builder("shop").reader(Arc::new(store.clone())).to(Arc::new(store.publisher()));
        let gates = pace.set(builder).build().expect("it is complete").stats().gates();
        assert_eq!(gates.iter().map(|state| state.gate).collect::<Vec<_>>(), ["rate_limit"]);
    }
}
