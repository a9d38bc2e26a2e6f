//! The judgement of topics: replicas, settings, retention against dedup windows.

use std::collections::BTreeMap;
use std::time::Duration;

use messagekit::operations::{DedupReach, Diagnosis, Repair};

use super::checks as on;
use super::reading::{Cluster, Topic};

/// The largest record of an outbox: 900,000 bytes of payload, 100,000 beside it, and the frame of a batch.
const LARGEST: i64 = 1_001_024;

/// The default of brokers, which holds such a record.
const USUAL: i64 = 1_048_588;

pub(super) fn look(cluster: &Cluster, servers: &str, diagnosis: &mut Diagnosis) {
    for name in &cluster.missing {
        let replicas = cluster.brokers.clamp(1, 3).to_string();
        let make = ["kafka-topics.sh", "--bootstrap-server", servers, "--create", "--topic", name];
        let make = [&make[..], &["--partitions", "8", "--replication-factor", &replicas]].concat();
        let text = format!("topic {name} does not exist");
        diagnosis.found(&on::TOPIC_MISSING, name, text, [Repair::command(make)]);
    }
    for topic in &cluster.topics {
        replicas(topic, cluster, servers, diagnosis);
        match &topic.settings {
            Ok(settings) => judge(topic, settings, servers, diagnosis),
            Err(reason) => diagnosis.not_checked(on::ON_SETTINGS.iter().copied(), reason),
        }
    }
}

fn replicas(topic: &Topic, cluster: &Cluster, servers: &str, diagnosis: &mut Diagnosis) {
    let name = &topic.name;
    if topic.replicas != 1 {
        return;
    }
    let text = format!(
        "a partition of topic {name} has one replica, and the cluster has {} brokers",
        cluster.brokers
    );
    let mut repair = Vec::new();
    if cluster.brokers < 3 {
        repair.push(Repair::Manual("add brokers to the cluster: three survive the loss of one".to_owned()));
    }
    let list = ["kafka-topics.sh", "--bootstrap-server", servers, "--describe", "--topic", name];
    repair.push(Repair::command(list));
    repair.push(Repair::Manual(format!(
        "give each partition of {name} three replicas with kafka-reassign-partitions.sh --execute"
    )));
    diagnosis.found(&on::ONE_REPLICA, name, text, repair);
}

fn judge(topic: &Topic, settings: &BTreeMap<String, String>, servers: &str, diagnosis: &mut Diagnosis) {
    let (name, replicas) = (&topic.name, topic.replicas);
    let value = |key: &str| settings.get(key).map(String::as_str);
    let number = |key: &str| value(key).and_then(|text| text.parse::<i64>().ok());
    let set = |setting: String| vec![set(servers, name, &setting)];
    if let Some(bytes) = number("max.message.bytes").filter(|bytes| *bytes < LARGEST) {
        let text = format!("max.message.bytes of topic {name} is {bytes}, and a record may have {LARGEST}");
        diagnosis.found(&on::MESSAGE_BYTES, name, text, set(format!("max.message.bytes={USUAL}")));
    }
    let in_sync = number("min.insync.replicas").and_then(|number| usize::try_from(number).ok());
    if let Some(in_sync) = in_sync {
        let text = format!("min.insync.replicas of topic {name} is {in_sync}, of {replicas} replicas");
        if in_sync > replicas {
            let most = if replicas > 2 { replicas - 1 } else { replicas.max(1) };
            diagnosis.found(&on::IN_SYNC_HIGH, name, text, set(format!("min.insync.replicas={most}")));
        } else if in_sync == replicas && replicas > 1 {
            let repair = format!(
                "give each partition of {name} {} replicas or more: a lower min.insync.replicas would let a confirmed event \
                 stand on fewer brokers",
                replicas + 1
            );
            diagnosis.found(&on::IN_SYNC_ALL, name, text, [Repair::Manual(repair)]);
        } else if in_sync == 1 && replicas > 2 {
            diagnosis.found(&on::IN_SYNC_ONE, name, text, set("min.insync.replicas=2".to_owned()));
        }
    }
    if value("unclean.leader.election.enable") == Some("true") {
        let text = format!("unclean.leader.election.enable of topic {name} is true");
        let repair = set("unclean.leader.election.enable=false".to_owned());
        diagnosis.found(&on::UNCLEAN_ELECTION, name, text, repair);
    }
}

/// Compares the retention of topics with the dedup windows of their readers.
pub(super) fn windows(cluster: &Cluster, reach: &[DedupReach], diagnosis: &mut Diagnosis) {
    for topic in &cluster.topics {
        let Ok(settings) = &topic.settings else { continue };
        let (name, keeps) = (&topic.name, kept(settings));
        let is_short = |window: Duration| keeps.is_none_or(|time| time > window);
        let readers = reach.iter().filter(|reader| reader.topic == *name && is_short(reader.window));
        let readers: Vec<String> = readers
            .map(|DedupReach { consumer, window, .. }| format!("{consumer} for {} s", window.as_secs()))
            .collect();
        if readers.is_empty() {
            continue;
        }
        let (keeps, needed) = match keeps {
            Some(time) => (format!("for {} s", time.as_secs()), format!("of {} s or more", time.as_secs())),
            None => ("for ever".to_owned(), "longer than the age of any record, or none".to_owned()),
        };
        let readers = readers.join(", ");
        let text = format!("topic {name} keeps records {keeps}, and consumers recognise copies: {readers}");
        // A shorter retention would delete events that a group has not read yet.
        let repair = format!(
            "give each of these consumers a dedup window {needed}, and leave the retention of {name} as it is"
        );
        diagnosis.found(&on::OUTLIVES_WINDOW, name, text, [Repair::Manual(repair)]);
    }
}

/// Returns how long a topic keeps a record; `None` without a limit.
fn kept(settings: &BTreeMap<String, String>) -> Option<Duration> {
    let deletes = settings.get("cleanup.policy")?.split(',').any(|policy| policy.trim() == "delete");
    let limit = settings.get("retention.ms")?.parse().ok().map(Duration::from_millis);
    limit.filter(|_| deletes)
}

fn set(servers: &str, topic: &str, setting: &str) -> Repair {
    let words = ["kafka-configs.sh", "--bootstrap-server", servers, "--alter", "--entity-type", "topics"];
    Repair::command([&words[..], &["--entity-name", topic, "--add-config", setting]].concat())
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
