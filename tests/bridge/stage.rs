//! Topics, an exchange and a bridge for one test.

use std::fs;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use messagekit_testkit::{eventually, unique};
use messagekit_tests::{Caller, Launch, Port, Program, services};
use tempfile::TempDir;

use crate::rabbit::Rabbit;
use crate::records;

/// Longer than a start and a rebalance on a busy machine take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) exchange: String,
    pub(crate) partitions: i32,
    pub(crate) rabbit: Rabbit,
    /// The seconds after which the lanes of a crashed bridge are reassigned. Without crashes, longer than a machine may stall.
    pub(crate) session: u32,
    /// The address of RabbitMQ for the bridge.
    pub(crate) amqp: String,
    folder: TempDir,
    _broker: Broker,
}

/// The access of a test to Kafka.
pub(crate) enum Broker {
    Together {
        _guard: RwLockReadGuard<'static, ()>,
    },
    /// The test may stop Kafka.
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
}

static BROKER: RwLock<()> = RwLock::new(());

impl Broker {
    pub(crate) fn together() -> Self {
        Self::Together { _guard: BROKER.read().unwrap_or_else(PoisonError::into_inner) }
    }

    fn alone() -> Self {
        Self::Alone { _guard: BROKER.write().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Stage {
    /// Creates the topics and an exchange without a queue.
    pub(crate) async fn new(partitions: i32) -> Self {
        Self::with(partitions, Broker::together()).await
    }

    /// Creates them while no other test uses Kafka.
    pub(crate) async fn alone(partitions: i32) -> Self {
        Self::with(partitions, Broker::alone()).await
    }

    async fn with(partitions: i32, broker: Broker) -> Self {
        let name = unique("bridge");
        let stage = Self {
            topic: format!("{name}.orders"),
            exchange: format!("{name}.events"),
            partitions,
            rabbit: Rabbit::connect().await,
            session: 60,
            amqp: services::amqp_url(),
            folder: TempDir::new().unwrap(),
            _broker: broker,
            name,
        };
        records::make_topic(&stage.topic, partitions).await;
        records::make_topic(&stage.dead(), 1).await;
        records::make_topic(&stage.retry(), 1).await;
        stage.rabbit.exchange(&stage.exchange).await;
        stage
    }

    pub(crate) fn dead(&self) -> String {
        format!("{}.dead", self.name)
    }

    pub(crate) fn retry(&self) -> String {
        format!("{}.retry", self.name)
    }

    /// Returns the name of a queue of this test.
    pub(crate) fn queue(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Declares a queue and binds it to every routing key.
    pub(crate) async fn bound_queue(&self, name: &str) -> String {
        let queue = self.queue(name);
        self.rabbit.queue(&queue, &self.exchange, "#", &[]).await;
        queue
    }

    /// Returns the settings of a bridge from the topic to the exchange, with `extra` in its section.
    pub(crate) fn settings(&self, extra: &str) -> String {
        format!(
            "[bridge]\nname = \"{}\"\n{extra}\n[kafka]\nbrokers = [\"{}\"]\n\
             properties = {{ \"session.timeout.ms\" = \"{}000\", \"heartbeat.interval.ms\" = \"500\" }}\n\
             [rabbitmq]\nurl = \"{}\"\n[[rule]]\ntopics = [\"{}\"]\nexchange = \"{}\"\n",
            self.name,
            services::kafka(),
            self.session,
            self.amqp,
            self.topic,
            self.exchange,
        )
    }

    /// Starts a bridge.
    pub(crate) fn start(&self, extra: &str) -> Bridge {
        self.start_with(&self.settings(extra), &[])
    }

    pub(crate) fn start_with(&self, settings: &str, variables: &[(&str, &str)]) -> Bridge {
        let config = self.folder.path().join("bridge.toml");
        fs::write(&config, settings).unwrap();
        Bridge::start(&config, &self.folder.path().join("bridge.log"), variables)
    }

    /// Waits until every record of the topic is settled.
    pub(crate) async fn all_settled(&self, records: usize) {
        // A slow machine still forwards 500 in a second.
        let patience = PATIENCE + Duration::from_secs(records as u64 / 500);
        eventually("all records are settled", patience, async || {
            records::settled(&self.name, &self.topic, self.partitions).await == records as i64
        })
        .await;
    }
}

/// The program in its own process.
pub(crate) struct Bridge {
    pub(crate) process: Program,
    caller: Caller,
    _port: Port,
}

impl Bridge {
    fn start(config: &Path, log: &Path, variables: &[(&str, &str)]) -> Self {
        let port = Port::free();
        let listen = port.address();
        let launch = Launch::of("doomed-bridge").arguments(&["--config"]).path(config).log(log);
        let launch =
            launch.variables([("MESSAGEKIT_BRIDGE__LISTEN", &listen)]).variables(variables.iter().copied());
        Self { process: launch.start(), caller: Caller::of(&format!("http://{listen}")), _port: port }
    }

    /// Waits until it forwards.
    pub(crate) async fn ready(&mut self) {
        self.reports("ready", |text| text.contains("\"status\":\"ready\"")).await;
    }

    /// Waits until `says` accepts its readiness report.
    pub(crate) async fn reports(&mut self, what: &str, says: impl Fn(&str) -> bool) {
        eventually(what, PATIENCE, async || {
            self.process.is_alive_still();
            self.get("/health/ready").is_some_and(|text| says(&text))
        })
        .await;
    }

    /// Returns the body of a request to its port, or `None` while it does not answer.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        Some(self.answer(path)?.1)
    }

    /// Returns status and body of a request to its port.
    pub(crate) fn answer(&self, path: &str) -> Option<(u16, String)> {
        self.caller.answer(path)
    }

    /// Waits until `messages` messages are published and not confirmed.
    pub(crate) async fn unconfirmed(&mut self, messages: usize) {
        let line = format!("}} {messages}");
        eventually("as many are unconfirmed as may be", PATIENCE, async || {
            self.process.is_alive_still();
            let metrics = self.get("/metrics").unwrap_or_default();
            let mut lines = metrics.lines();
            lines.any(|found| found.starts_with("messagekit_bridge_unconfirmed{") && found.ends_with(&line))
        })
        .await;
    }
}
