//! The bridge while RabbitMQ blocks publishers. The alarm affects every publisher, so these tests run alone.
#![allow(clippy::print_stderr, reason = "the measurements are of interest beside the verdict")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::services;

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{ids, orders, publish, settled};
use crate::stage::{PATIENCE, Stage};

/// The memory that the process may gain while it is blocked, in bytes.
const GROWTH: u64 = 64 * 1024 * 1024;
/// The time in which it must publish after the unblock. The test prints the measured time; five seconds are usual.
const SOON: Duration = Duration::from_secs(60);

/// The alarm. A drop clears it.
struct Blocked;

impl Blocked {
    fn begin() -> Self {
        services::alarm(true);
        Self
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        services::alarm(false);
    }
}

/// Returns the resident memory of a process in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn broker_that_blocks_publishers_costs_no_memory_or_membership() {
    let _turn = TURNS.alone();
    let full = messagekit_tests::is_full();
    let (records, blocked_for) =
        if full { (200_000, Duration::from_secs(300)) } else { (20_000, Duration::from_secs(20)) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::new(6).await;
        let queue = stage.bound_queue("all").await;
        let warm = orders(&stage.topic, 100, 5);
        publish(&warm).await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(warm.len()).await;
        let blocked = Blocked::begin();
        let before = resident(bridge.process.id());
        let waiting = orders(&stage.topic, 1_000, records / 1_000);
        for part in waiting.chunks(10_000) {
            publish(part).await;
        }
        bridge.reports("it says that it is blocked", |text| text.contains("blocked_by_broker")).await;
        let (began, mut most) = (Instant::now(), before);
        while began.elapsed() < blocked_for {
            bridge.process.is_alive_still();
            most = most.max(resident(bridge.process.id()));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(most - before < GROWTH, "it grew by {} MiB", (most - before) / (1024 * 1024));
        let at = settled(&stage.name, &stage.topic, stage.partitions).await;
        assert!(at < (warm.len() + waiting.len()) as i64, "nothing was left to wait");
        let forwarded = |metrics: &str| -> u64 {
            let line = metrics.lines().find(|line| line.starts_with("messagekit_bridge_forwarded_total{"));
            line.and_then(|line| line.rsplit(' ').next()).map_or(0, |count| count.parse().unwrap())
        };
        let before_unblock = forwarded(&bridge.get("/metrics").unwrap());
        drop(blocked);
        let unblocked = Instant::now();
        eventually("the first publish after the unblock", SOON, async || {
            bridge.get("/metrics").is_some_and(|metrics| forwarded(&metrics) > before_unblock)
        })
        .await;
        eprintln!(
            "{records} records for {blocked_for:?}: grew by {} KiB, published {:?} after the unblock",
            (most - before) / 1024,
            unblocked.elapsed()
        );
        stage.all_settled(warm.len() + waiting.len()).await;
        let mut found = BTreeSet::new();
        let mut expected = ids(&warm);
        expected.extend(ids(&waiting));
        eventually("everything is in the queue", PATIENCE + DEADLINE, async || {
            found.extend(stage.rabbit.drain(&queue).await.iter().map(id_of));
            found.len() >= expected.len()
        })
        .await;
        assert_eq!(found, expected);
        // The member stayed in the group: no lane was revoked, and none was assigned a second time.
        let log = bridge.process.log();
        assert!(!log.contains("lane lost") && !log.contains("lane revoked"), "{log}");
        assert_eq!(log.matches("lane assigned").count(), 7, "{log}");
        bridge.process.stop().await;
    });
}
