//! Relays on machines whose clocks are wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use messagekit::Store;
use messagekit::adapter::{OutboxRows, WithoutRelay};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::{Program, services};
use tempfile::TempDir;

use crate::TURNS;
use crate::stage::{Stage, reports};
use crate::verdict::compare;
use crate::writers::Writers;

const KEYS: usize = 16;

/// A library that shifts the clock of a process.
struct WrongClock {
    folder: TempDir,
}

impl WrongClock {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("relay/wrong_clock.c");
        let library = folder.path().join("wrong_clock.so");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
        let built = built.expect("there is a C compiler: the client of Kafka needs one too");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let clock = Self { folder };
        let year = |wrong_by| {
            let mut date = Command::new("date");
            let variables = clock.variables(wrong_by);
            let said = date.args(["--utc", "+%Y"]).envs(variables.iter().map(|(name, value)| (name, value)));
            String::from_utf8(said.output().unwrap().stdout).unwrap().trim().parse::<i32>().unwrap()
        };
        assert_eq!(year(86_400 * 3_650) - year(0), 10, "void: the clock of a process is not wrong");
        clock
    }

    fn variables(&self, wrong_by: i64) -> [(&'static str, String); 2] {
        let library = self.folder.path().join("wrong_clock.so");
        [("LD_PRELOAD", library.to_str().unwrap().to_owned()), ("WRONG_BY", wrong_by.to_string())]
    }

    /// Starts a relay whose clock is wrong by `wrong_by` seconds.
    fn relay(&self, stage: &Stage, name: &str, wrong_by: i64) -> Program {
        let variables = self.variables(wrong_by);
        stage.relay_with(name, &variables.each_ref().map(|(name, value)| (*name, value.as_str())))
    }
}

/// Returns settings under which every relay renews its lease in time: a shard changes its owner only when a relay is gone.
fn settings() -> String {
    format!(
        "[relay]\nlease = \"60s\"\n[kafka]\nbrokers = [\"{}\"]\nproperties = {{ \"retry.backoff.max.ms\" = \"100\" }}\n",
        services::kafka()
    )
}

/// Returns the owner of each shard, and its epoch.
async fn owners(stage: &Stage) -> BTreeMap<i16, (Option<String>, i64)> {
    let sql = "SELECT shard::int2, owner, epoch FROM messagekit.relay_shards";
    let rows: Vec<(i16, Option<String>, i64)> =
        sqlx::query_as(sql).fetch_all(stage.store.pool()).await.unwrap();
    rows.into_iter().map(|(shard, owner, epoch)| (shard, (owner, epoch))).collect()
}

/// Commits an event of each key that is due after a delay.
async fn delayed(stage: &Stage, name: &str, delay: Duration) {
    let event = |key| stage.event(&format!("{name}-{key}"), &format!("{name}-{key}"), b"{}".to_vec());
    let events: Vec<_> = (0..KEYS).map(event).collect();
    let mut tx = stage.store.begin().await.unwrap();
    stage.store.write_after(&mut tx, &events, delay, WithoutRelay::Refuse).await.unwrap();
    stage.store.commit(tx).await.unwrap();
}

async fn waiting(stage: &Stage, name: &str) -> i64 {
    let sql = "SELECT count(*) FROM messagekit.outbox_pending WHERE event_id LIKE $1 || '-%'";
    sqlx::query_scalar(sql).bind(name).fetch_one(stage.store.pool()).await.unwrap()
}

/// One is half an hour ahead and the other one half an hour behind.
#[test]
fn relays_with_clocks_an_hour_apart_keep_shards_and_due_times() {
    let _turn = TURNS.together();
    let clock = WrongClock::new();
    block_on(async {
        let stage = Arc::new(Stage::new(2).await);
        stage.configure(&settings());
        let mut ahead = clock.relay(&stage, "ahead", 1_800);
        let mut behind = clock.relay(&stage, "behind", -1_800);
        let share = async |relay: &str| stage.shards_of(relay).await;
        eventually("each has its share", DEADLINE, async || {
            (share("ahead").await, share("behind").await) == (32, 32)
        })
        .await;
        let shared = owners(&stage).await;

        let keys =
            (0..4).map(|writer| (0..4).map(|key| format!("k{}", 4 * key + writer)).collect()).collect();
        let writers = Writers::start(&stage, keys);
        // In the future for the one, long ago for the other.
        delayed(&stage, "later", Duration::from_secs(1_200)).await;
        delayed(&stage, "soon", Duration::from_secs(1)).await;
        eventually("what is due goes out", DEADLINE, async || waiting(&stage, "soon").await == 0).await;
        eventually("much goes out", DEADLINE, async || {
            let left = "SELECT (SELECT count(*) FROM messagekit.outbox_events) - count(*) FROM messagekit.outbox_pending";
            stage.count(left).await > 1_000
        })
        .await;
        assert_eq!(waiting(&stage, "later").await, KEYS as i64, "nobody publishes before it is due");
        assert_eq!(owners(&stage).await, shared, "nobody has taken a shard");

        ahead.kill();
        eventually("its shards are taken", DEADLINE, async || share("behind").await == 64).await;
        writers.finish().await;
        // The shop deletes them: every remaining event must be published.
        stage
            .count("WITH gone AS (DELETE FROM messagekit.outbox_pending WHERE event_id LIKE 'later-%' RETURNING 1) SELECT count(*) FROM gone")
            .await;
        stage
            .count("WITH gone AS (DELETE FROM messagekit.outbox_events WHERE event_id LIKE 'later-%' RETURNING 1) SELECT count(*) FROM gone")
            .await;
        stage.until_published().await;
        println!("clocks: {}", compare(&stage, None).await);
        assert_eq!(stage.rejected().await, 0);
        behind.stop().await;
    });
}

/// The broker refuses timestamps two hours ahead, unless its topic allows them.
#[test]
fn a_relay_with_a_refused_clock_reports_it_and_drops_no_event() {
    let _turn = TURNS.together();
    let clock = WrongClock::new();
    block_on(async {
        let stage = Stage::new(1).await;
        let mut wrong = clock.relay(&stage, "wrong", 7_200);
        let address = wrong.address();
        let event = |key| stage.event(&format!("k{key}"), &format!("k{key}-0"), b"{}".to_vec());
        stage.write(&[event(0)]).await;
        reports(&mut wrong, &address, "it says what is wrong", |code, report| {
            let problems = report["problems"].as_array().unwrap();
            let clock = |problem: &serde_json::Value| {
                problem["name"] == "topic_paused" && problem.to_string().contains("set its clock")
            };
            code == 503 && problems.iter().any(clock)
        })
        .await;
        stage.write(&(1..KEYS).map(event).collect::<Vec<_>>()).await;
        reports(&mut wrong, &address, "it is still so", |code, _| code == 503).await;
        assert_eq!((stage.pending().await, stage.rejected().await), (KEYS as i64, 0));
        wrong.stop().await;

        let mut right = stage.relay("right");
        stage.until_published().await;
        assert_eq!(stage.rejected().await, 0);
        println!("refused clock: {}", compare(&stage, None).await);
        right.stop().await;
    });
}
