//! Groups whose members are gone while records wait.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use messagekit::Error;
use messagekit::operations::{Diagnosis, Repair};
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::checks::{GROUP_ABANDONED, ON_GROUPS};
use super::reading::{Cluster, DEADLINE};
use crate::error::{unavailable, unusable_settings};

/// How many groups are asked at once: each needs a client of its own.
const AT_ONCE: usize = 8;

type Client = BaseConsumer<DefaultConsumerContext>;

/// A group without a member, and what it has not read.
struct Abandoned {
    group: String,
    /// The records of each topic with any.
    lag: Vec<(String, i64)>,
}

pub(super) fn look(
    config: &ClientConfig,
    cluster: &Cluster,
    servers: &str,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let empty = empty_groups(config)?;
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(empty.len()) {
            scope.spawn(|| {
                while let Some(group) = empty.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = lag(config, cluster, group);
                    if let Ok(mut answers) = answers.lock() {
                        answers.push((group.clone(), answer));
                    }
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_default();
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (group, answer) in answers {
        match answer {
            Ok(lag) => judge(&Abandoned { group, lag }, servers, diagnosis),
            Err(error) => {
                diagnosis.not_checked(ON_GROUPS.iter().copied(), format!("group {group}: {error}"));
            }
        }
    }
    Ok(())
}

fn empty_groups(config: &ClientConfig) -> Result<Vec<String>, Error> {
    let client: Client = config.create().map_err(|error| unusable_settings("client", error))?;
    let groups = client.fetch_group_list(None, DEADLINE);
    let groups = groups.map_err(|error| unavailable("the groups were not listed", error))?;
    let empty = groups.groups().iter().filter(|group| group.state() == "Empty");
    Ok(empty.map(|group| group.name().to_owned()).collect())
}

/// Returns the number of unread records of each topic in which the group has committed an offset.
fn lag(config: &ClientConfig, cluster: &Cluster, group: &str) -> Result<Vec<(String, i64)>, Error> {
    let mut config = config.clone();
    config.set("group.id", group);
    let client: Client = config.create().map_err(|error| unusable_settings("client", error))?;
    let mut asked = TopicPartitionList::new();
    for topic in &cluster.topics {
        for partition in &topic.partitions {
            asked.add_partition(&topic.name, *partition);
        }
    }
    let committed = client.committed_offsets(asked, DEADLINE);
    let committed = committed.map_err(|error| unavailable("its offsets were not read", error))?;
    let mut lag: Vec<(String, i64)> = Vec::new();
    for element in committed.elements() {
        let Offset::Offset(offset) = element.offset() else { continue };
        let ends = client.fetch_watermarks(element.topic(), element.partition(), DEADLINE);
        let (_, end) = ends.map_err(|error| unavailable("the end of a partition was not read", error))?;
        let behind = end.checked_sub(offset).filter(|behind| *behind > 0).unwrap_or(0);
        match lag.last_mut().filter(|(topic, _)| topic == element.topic()) {
            Some((_, sum)) => *sum += behind,
            None => lag.push((element.topic().to_owned(), behind)),
        }
    }
    lag.retain(|(_, behind)| *behind > 0);
    Ok(lag)
}

fn judge(Abandoned { group, lag }: &Abandoned, servers: &str, diagnosis: &mut Diagnosis) {
    if lag.is_empty() {
        return;
    }
    let unread: Vec<String> = lag.iter().map(|(topic, behind)| format!("{behind} of {topic}")).collect();
    let text = format!("group {group} has no member, and has not read {} records", unread.join(", "));
    let delete = ["kafka-consumer-groups.sh", "--bootstrap-server", servers, "--delete", "--group", group];
    let repair = [
        Repair::Manual(format!(
            "start the program whose consumer is {group}; if none reads under this name any more, delete it"
        )),
        Repair::command(delete),
    ];
    diagnosis.found(&GROUP_ABANDONED, group, text, repair);
}
