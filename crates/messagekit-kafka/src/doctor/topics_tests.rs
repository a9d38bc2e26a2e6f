use super::*;

fn cluster(replicas: usize, brokers: usize, settings: &[(&str, &str)]) -> Cluster {
    let usual = [
        ("max.message.bytes", "1048588"),
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "false"),
        ("cleanup.policy", "delete"),
        ("retention.ms", "604800000"),
    ];
    let settings =
        usual.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let topic = Topic {
        name: "orders.order".to_owned(),
        partitions: vec![0, 1],
        replicas,
        settings: Ok(settings.collect()),
    };
    Cluster { brokers, topics: vec![topic], missing: Vec::new() }
}

/// Returns the names of the findings, and the first step of each repair.
fn judged(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let mut diagnosis = Diagnosis::default();
    look(cluster, "broker:9092", &mut diagnosis);
    let found = diagnosis.findings.iter();
    found.map(|found| (found.check.name, found.repair[0].text().to_owned())).collect()
}

fn names(cluster: &Cluster) -> Vec<&'static str> {
    judged(cluster).into_iter().map(|(name, _)| name).collect()
}

const SET: &str = "kafka-configs.sh --bootstrap-server broker:9092 --alter --entity-type topics --entity-name orders.order --add-config ";

#[test]
fn a_topic_of_three_replicas_needs_two_in_sync() {
    let with = |number: &str| judged(&cluster(3, 3, &[("min.insync.replicas", number)]));
    assert_eq!(with("2"), []);
    assert_eq!(with("1"), [("topic-min-insync-replicas-one", format!("{SET}min.insync.replicas=2"))]);
    assert_eq!(with("4"), [("topic-min-insync-replicas-high", format!("{SET}min.insync.replicas=2"))]);
    assert_eq!(names(&cluster(3, 3, &[("min.insync.replicas", "3")])), ["topic-min-insync-replicas-all"]);
    let two = |number| judged(&cluster(2, 3, &[("min.insync.replicas", number)]));
    assert_eq!(two("3"), [("topic-min-insync-replicas-high", format!("{SET}min.insync.replicas=2"))]);
    let safe = &two("2")[0];
    assert_eq!(safe.0, "topic-min-insync-replicas-all");
    assert!(safe.1.contains("3 replicas or more") && !safe.1.contains("kafka-configs"), "{safe:?}");
    assert_eq!(names(&cluster(2, 3, &[("min.insync.replicas", "1")])), [""; 0], "two replicas allow no more");
}

#[test]
fn one_replica_is_found_whatever_the_cluster_has() {
    let one = |brokers| judged(&cluster(1, brokers, &[("min.insync.replicas", "1")]));
    assert_eq!(one(1)[0].0, "topic-replication-factor-one");
    assert!(one(1)[0].1.contains("add brokers"));
    assert!(one(3)[0].1.starts_with("kafka-topics.sh --bootstrap-server broker:9092 --describe"));
}

#[test]
fn a_topic_must_hold_the_largest_event() {
    assert_eq!(names(&cluster(3, 3, &[("max.message.bytes", "1001024")])), [""; 0]);
    let low = judged(&cluster(3, 3, &[("max.message.bytes", "1001023")]));
    assert_eq!(low, [("topic-max-message-bytes-low", format!("{SET}max.message.bytes=1048588"))]);
}

#[test]
fn settings_that_a_broker_does_not_tell_are_not_passed_over() {
    let mut hidden = cluster(3, 3, &[]);
    hidden.topics[0].settings = Err("no right".to_owned());
    let mut diagnosis = Diagnosis::default();
    look(&hidden, "broker:9092", &mut diagnosis);
    assert_eq!(diagnosis.unchecked.len(), on::ON_SETTINGS.len());
}

#[test]
fn records_may_not_be_kept_longer_than_copies_are_recognised() {
    let day = Duration::from_secs(86_400);
    let found = |settings: &[(&str, &str)], days: &[u32]| {
        let mut diagnosis = Diagnosis::default();
        let reach = days.iter().map(|days| DedupReach {
            consumer: format!("billing-{days}"),
            topic: "orders.order".to_owned(),
            window: day * *days,
        });
        windows(&cluster(3, 3, settings), &reach.collect::<Vec<_>>(), &mut diagnosis);
        diagnosis.findings
    };
    assert_eq!(found(&[], &[7]), []);
    let both = found(&[], &[6, 7, 5]);
    assert_eq!(both.len(), 1, "one finding for a topic: {both:?}");
    assert!(both[0].text.ends_with("billing-6 for 518400 s, billing-5 for 432000 s"), "{both:?}");
    assert!(both[0].repair[0].text().contains("of 604800 s or more"), "{both:?}");
    for settings in [("cleanup.policy", "compact"), ("retention.ms", "-1")] {
        let found = found(&[settings], &[70]);
        assert!(found[0].text.contains("for ever"), "{found:?}");
        assert!(found[0].repair.iter().all(|step| step.kind() == "manual"), "no command deletes: {found:?}");
    }
}
