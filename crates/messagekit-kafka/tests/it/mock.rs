//! A mock cluster inside this process.

use std::sync::mpsc;

use messagekit_kafka::Kafka;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

pub(crate) type Cluster = MockCluster<'static, DefaultProducerContext>;
type Call = Box<dyn FnOnce(&Cluster) + Send>;

/// A cluster, on its own thread because its handle cannot be sent. It ends when this is dropped.
pub(crate) struct Mock {
    calls: mpsc::Sender<Call>,
    servers: String,
}

impl Mock {
    pub(crate) fn start() -> Self {
        Self::of_brokers(1)
    }

    pub(crate) fn of_brokers(brokers: i32) -> Self {
        let (calls, called) = mpsc::channel::<Call>();
        let (started, has_started) = mpsc::channel();
        std::thread::spawn(move || {
            let cluster = MockCluster::new(brokers).unwrap();
            started.send(cluster.bootstrap_servers()).unwrap();
            called.into_iter().for_each(|call| call(&cluster));
        });
        Self { calls, servers: has_started.recv().unwrap() }
    }

    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    /// Runs `call` with the cluster and waits for it.
    pub(crate) fn call<T: Send + 'static>(&self, call: impl FnOnce(&Cluster) -> T + Send + 'static) -> T {
        let (answer, answered) = mpsc::channel();
        self.calls.send(Box::new(move |cluster| answer.send(call(cluster)).unwrap())).unwrap();
        answered.recv().unwrap()
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        let name = name.to_owned();
        self.call(move |cluster| cluster.create_topic(&name, partitions, 1)).unwrap();
    }

    /// Returns settings with short intervals. The mock balances a new group after 3 s, and sometimes waits for a
    /// session to end first. It reads nothing from a connection that waits for a rebalance, so requests may take as
    /// long. A client with a shorter request timeout would reconnect, and the mock's groups do not survive that.
    pub(crate) fn kafka(&self) -> Kafka {
        let settings =
            [("session.timeout.ms", "10000"), ("heartbeat.interval.ms", "100"), ("fetch.wait.max.ms", "20")];
        settings
            .into_iter()
            .fold(Kafka::new(&self.servers), |kafka, (key, value)| kafka.set(key, value).unwrap())
    }
}
