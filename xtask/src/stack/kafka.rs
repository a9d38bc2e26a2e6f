//! The Kafka broker: one node that is its own controller.

use std::fs::File;
use std::io::{BufRead, BufReader};

use super::folder::{self, Folder};
use super::jvm;
use super::ports::Ports;
use super::probe;
use super::process::Process;
use super::service::Service;

/// Starts the broker.
pub(crate) fn start(folder: &Folder, ports: &Ports) -> Result<(), String> {
    let home = folder.data(Service::Kafka);
    let data = home.join("data");
    let settings = home.join("server.properties");
    folder::write(&settings, &properties(&data.display().to_string(), ports))?;
    let identity = data.join("meta.properties");
    if !identity.exists() {
        // With fixed voters this file is the only result of formatting. The tool for it starts two JVMs.
        folder::write(&identity, &format!("version=1\ncluster.id={}\nnode.id=1\n", cluster_id()))?;
    }
    let mut command = jvm::command(folder, "kafka", "kafka.Kafka", &settings)?;
    command.current_dir(&home);
    Process::start(command, &folder.log("kafka"), &folder.record("kafka"))?;
    Ok(())
}

/// Returns whether the broker serves clients: the port opens a little before, and the log line is written after.
pub(crate) fn is_ready(folder: &Folder, ports: &Ports) -> bool {
    probe::listens(ports.get("kafka"))
        && File::open(folder.log("kafka")).is_ok_and(|log| {
            BufReader::new(log)
                .lines()
                .map_while(Result::ok)
                .any(|line| line.contains("Kafka Server started"))
        })
}

/// Returns 16 random bytes as Kafka writes them: base64 for URLs, without padding.
fn cluster_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |value: usize| char::from(DIGITS[value]);
    // 21 digits of 6 bits and one of the remaining 2 bits. A name that begins with `-` confuses Kafka's tools.
    let digits = std::iter::once(fastrand::usize(..62)).chain((0..20).map(|_| fastrand::usize(..64)));
    digits.chain([fastrand::usize(..4) << 4]).map(digit).collect()
}

fn properties(data: &str, ports: &Ports) -> String {
    let (port, controller) = (ports.get("kafka"), ports.get("kafka-controller"));
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.partitions=3
auto.create.topics.enable=true
delete.topic.enable=true
# Records may carry the times of past years.
log.retention.ms=-1

# One node cannot keep three copies.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A killed member is forgotten quickly; its successor has to wait for that.
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0

# The node is fenced by its own controller when it stands still for this long, and then no partition has a leader. A machine under load
# may stop it for some seconds.
broker.session.timeout.ms=10000

# Small files and a small cleaner, whose buffer of 128 MiB would be half of the heap.
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=4194304

# A killed broker reads hundreds of small files again and syncs each: it waits for the disk, not for the processor.
num.recovery.threads.per.data.dir=8
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_22_characters_and_new_each_time() {
        let id = cluster_id();
        assert_eq!(id.len(), 22);
        assert!(!id.starts_with(['-', '_']));
        assert!(id.ends_with(['A', 'Q', 'g', 'w']), "the last two bits of 16 bytes: {id}");
        assert_ne!(id, cluster_id());
    }

    #[test]
    fn the_broker_listens_on_loopback_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut ports = Ports::remembered(&folder.path().join("ports")).unwrap();
        ports.assign(&[Service::Kafka]).unwrap();
        let text = properties("/data", &ports);
        let port = ports.get("kafka");
        assert!(text.contains(&format!("\nlisteners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:")));
        assert!(text.contains("\ngroup.min.session.timeout.ms=1000\n"));
    }
}
