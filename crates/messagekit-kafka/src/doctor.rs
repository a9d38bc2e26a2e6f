//! Examines the topics and groups of a cluster.

mod checks;
mod groups;
mod reading;
mod topics;

use std::thread;

use messagekit::adapter::BoxFuture;
use messagekit::operations::{DedupReach, Diagnosis, Doctor, Repair, SERVICE_UNREACHABLE};
use messagekit::{Error, chain};
use tokio::sync::oneshot;

use crate::Kafka;
use reading::Cluster;

/// Examines topics and groups of a [`Kafka`], and changes nothing.
///
/// ```no_run
/// # async fn example() {
/// use messagekit::operations::Doctor;
/// use messagekit_kafka::Kafka;
///
/// let kafka = Kafka::new("broker-1:9092");
/// for found in kafka.doctor().topics(["orders.order"]).diagnose().await.findings {
///     println!("{}: {}", found.check.name, found.text);
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KafkaDoctor {
    kafka: Kafka,
    topics: Vec<String>,
    reach: Vec<DedupReach>,
}

impl Kafka {
    /// Returns a doctor for every topic of the cluster, except Kafka's own.
    pub fn doctor(&self) -> KafkaDoctor {
        KafkaDoctor { kafka: self.clone(), topics: Vec::new(), reach: Vec::new() }
    }
}

impl KafkaDoctor {
    /// Examines these topics only, and the groups that read them. A missing one is a finding.
    #[must_use]
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// Compares the retention of topics with these dedup windows; without any, that check is named as not made.
    #[must_use]
    pub fn dedup_reach(mut self, reach: impl IntoIterator<Item = DedupReach>) -> Self {
        self.reach = reach.into_iter().collect();
        self
    }

    fn examine(&self) -> Diagnosis {
        let mut diagnosis = Diagnosis::of(checks::ALL.iter().copied());
        let cluster = match Cluster::read(&self.kafka.asking(), &self.topics) {
            Ok(cluster) => cluster,
            Err(error) => {
                self.unreachable(&error, &mut diagnosis);
                return diagnosis;
            }
        };
        topics::look(&cluster, self.kafka.servers(), &mut diagnosis);
        if self.reach.is_empty() {
            diagnosis.not_checked([&checks::OUTLIVES_WINDOW], "no database with a dedup window was given");
        } else {
            topics::windows(&cluster, &self.reach, &mut diagnosis);
        }
        if let Err(error) = groups::look(&self.kafka.asking(), &cluster, self.kafka.servers(), &mut diagnosis)
        {
            diagnosis.not_checked(checks::ON_GROUPS.iter().copied(), chain(&error));
        }
        diagnosis
    }

    fn unreachable(&self, error: &Error, diagnosis: &mut Diagnosis) {
        let servers = self.kafka.servers();
        let text = format!("no broker at {servers} answers: {}", chain(error));
        let repair =
            [Repair::Manual("start the brokers, or correct their addresses and the login".to_owned())];
        diagnosis.found(&SERVICE_UNREACHABLE, servers, text, repair);
        let others = checks::ALL.iter().copied().filter(|check| **check != SERVICE_UNREACHABLE);
        diagnosis.not_checked(others, "no broker answers");
    }
}

impl Doctor for KafkaDoctor {
    fn diagnose(&self) -> BoxFuture<'_, Diagnosis> {
        let doctor = self.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // A client without reachable brokers may take seconds to end, so the caller must not wait for it.
            let asked = thread::Builder::new()
                .name("kafka-doctor".to_owned())
                .spawn(move || drop(answer.send(doctor.examine())));
            let lost = |reason: String| {
                let mut diagnosis = Diagnosis::of(checks::ALL.iter().copied());
                diagnosis.not_checked(checks::ALL.iter().copied(), reason);
                diagnosis
            };
            match asked {
                Ok(_) => answered.await.unwrap_or_else(|_| lost("the examination ended early".to_owned())),
                Err(error) => lost(format!("a thread cannot be started: {error}")),
            }
        })
    }
}
