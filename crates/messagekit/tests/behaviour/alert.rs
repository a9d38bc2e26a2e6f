//! A blocked lane raises an alert: a metric for dashboards, an error in the log.

use std::sync::{Arc, Mutex};

use messagekit::metrics::{self, Metrics};
use messagekit::{OnFailure, ParkingLimits};

use crate::fixture::{Action, Builder, World, pass, seconds, start, until};

/// Captures the log lines of this thread while it exists.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone());
        tracing::subscriber::set_default(lines.finish())
    }

    /// Returns the lines that contain `words`.
    fn lines(&self, words: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("text");
        text.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The metrics that Prometheus would read.
struct Statistics(prometheus::Registry);

impl Statistics {
    fn blocked_lanes(&self) -> String {
        let text = metrics::text(&self.0);
        let of_billing = "messagekit_consumer_blocked_lanes{consumer=\"billing\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(of_billing));
        line.expect("it is shown").to_owned()
    }
}

fn with_figures(builder: Builder) -> (Builder, Statistics) {
    let registry = prometheus::Registry::new();
    let metrics = Metrics::new(&registry).expect("names are legal");
    (builder.metrics(&metrics), Statistics(registry))
}

#[tokio::test(start_paused = true)]
async fn a_blocked_lane_shows_in_metrics_and_log_until_it_resumes() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.next("a-2", [Action::Fail; 3]);
    let (billing, statistics) = with_figures(world.billing().on_failure(OnFailure::Block));
    let consumer = start(billing);
    until(|| world.script.runs_of("a-2").len() == 2).await;
    assert_eq!(statistics.blocked_lanes(), "1");
    until(|| world.applied().len() == 2).await;
    until(|| statistics.blocked_lanes() == "0").await;
    let told = log.lines("lane blocked by a message that cannot be applied");
    assert_eq!(told.len(), 3, "one for each run that failed: {told:?}");
    for (line, attempt) in told.iter().zip(1..) {
        for part in ["ERROR", "consumer=\"billing\"", &format!("attempt={attempt} "), "wait=", "error="] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn key_over_its_parking_limit_blocks_its_lane_and_alerts_once() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    world.push_all("a", 4).await;
    world.script.always("a-1", Action::Permanent);
    let parking = world.billing().on_failure(OnFailure::ParkKey);
    let (billing, statistics) =
        with_figures(parking.parking_limits(ParkingLimits { per_key: 2, in_all: 100 }));
    let consumer = start(billing);
    until(|| world.failed_messages_now() == 2).await;
    until(|| statistics.blocked_lanes() == "1").await;
    pass(seconds(600)).await;
    assert_eq!((&*statistics.blocked_lanes(), world.committed(0)), ("1", 2));
    let told = log.lines("lane blocked: there is no room to park its first message");
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["ERROR", "consumer=\"billing\"", "message_id=a-3", "per_key=2", "in_all=100"] {
        assert!(told[0].contains(part), "{part} in {}", told[0]);
    }

    world.script.heal();
    world.retry(world.failed_message("a-1").await.id).await.expect("it is dead");
    until(|| world.applied().len() == 4).await;
    until(|| statistics.blocked_lanes() == "0").await;
    assert_eq!(log.lines("lane blocked").len(), 1, "it is over");
    consumer.stop().await;
}
