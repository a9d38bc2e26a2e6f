//! Events without an outbox that wait for gates.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use messagekit::Message;
use messagekit::adapter::{BoxFuture, PublishError, PublishErrorKind, Published, Publisher};
use messagekit::gate::{CircuitBreaker, Concurrency, GatedPublisher, RateLimit};
use messagekit::{Error, ErrorKind};
use messagekit_memory::{MemoryLog, TestGate};
use tokio::time::Instant;

fn message(key: &str, number: usize) -> Message {
    Message::new("prices", format!("{key}-{number}")).with_key(key.to_owned())
}

fn payloads(log: &MemoryLog) -> Vec<String> {
    let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).expect("text");
    log.records("prices").iter().map(|record| text(&record.message.payload)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_out_in_order_at_the_rate_of_the_limit() {
    let log = MemoryLog::new(1);
    let publisher = GatedPublisher::new(log.clone()).gate(RateLimit::per_second(10));
    let began = Instant::now();
    let batch: Vec<Message> = (0..30).map(|number| message("a", number)).collect();
    assert!(publisher.publish(&batch).await.iter().all(Result::is_ok));
    assert_eq!(began.elapsed().as_secs(), 2, "ten at once, then ten in a second");
    assert_eq!(payloads(&log), (0..30).map(|number| format!("a-{number}")).collect::<Vec<_>>());
}

/// Takes a second for a call, and refuses what a test names.
#[derive(Default)]
struct Slow {
    log: Option<MemoryLog>,
    refuses: &'static str,
    calls: AtomicUsize,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

impl Publisher for Slow {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.most.fetch_max(self.in_flight.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            let mut answers = Vec::new();
            for message in batch {
                answers.push(match &self.log {
                    Some(log) if message.payload != self.refuses => {
                        log.publish(std::slice::from_ref(message)).await.remove(0)
                    }
                    _ => {
                        let error = Error::new(ErrorKind::Unavailable, "no answer");
                        Err(PublishError { refusal: PublishErrorKind::Unavailable, error })
                    }
                });
            }
            answers
        })
    }

    fn max_bytes(&self) -> usize {
        usize::MAX
    }
}

#[tokio::test(start_paused = true)]
async fn callers_share_the_permits_and_all_of_them_end() {
    let slow = Slow { log: Some(MemoryLog::new(1)), ..Slow::default() };
    let slow = Arc::new(slow);
    let publisher = GatedPublisher::new(Arc::clone(&slow)).gate(Concurrency::new(2));
    let batches: Vec<[Message; 1]> = (0..6).map(|number| [message("a", number)]).collect();
    let calls = batches.iter().map(|batch| publisher.publish(batch));
    let answers = tokio::time::timeout(Duration::from_secs(60), futures_util::future::join_all(calls)).await;
    assert!(answers.expect("none waits for ever").iter().flatten().all(Result::is_ok));
    assert_eq!(slow.most.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_a_failed_message_of_its_key_is_not_sent() {
    let log = MemoryLog::new(1);
    let gate = TestGate::new();
    gate.limit(1);
    let slow = Slow { log: Some(log.clone()), refuses: "a-1", ..Slow::default() };
    let publisher = GatedPublisher::new(slow).gate(gate.clone());
    let batch = [message("a", 0), message("a", 1), message("b", 0), message("a", 2), message("b", 1)];
    let kinds: Vec<Option<PublishErrorKind>> = publisher
        .publish(&batch)
        .await
        .iter()
        .map(|answer| answer.as_ref().err().map(|error| error.refusal))
        .collect();
    let refused = [None, Some(PublishErrorKind::Unavailable), None, Some(PublishErrorKind::KeyBlocked), None];
    assert_eq!(kinds, refused);
    assert_eq!(payloads(&log), ["a-0", "b-0", "b-1"]);
    let used: Vec<u32> = gate.outcomes().iter().map(|outcome| outcome.used).collect();
    assert_eq!(used, [1, 1, 1, 1], "what is not sent uses nothing");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_spares_a_broker_that_does_not_answer() {
    let publisher =
        GatedPublisher::new(Slow::default()).gate(CircuitBreaker::new(3, Duration::from_secs(600)));
    let batch = [message("a", 0)];
    for _ in 0..3 {
        assert!(publisher.publish(&batch).await[0].is_err());
    }
    let fourth = tokio::time::timeout(Duration::from_secs(300), publisher.publish(&batch)).await;
    assert!(fourth.is_err(), "it waits for the breaker");
    assert_eq!(publisher.states().held_back_by().map(|(gate, _)| gate), Some("circuit_breaker"));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_uses_nothing_and_leaves_no_gate_closed() {
    let log = MemoryLog::new(1);
    let gate = TestGate::new();
    let publisher = GatedPublisher::new(log.clone()).gate(gate.clone());
    gate.close();
    let batch = [message("a", 0)];
    let dropped = tokio::time::timeout(Duration::from_secs(5), publisher.publish(&batch)).await;
    assert!(dropped.is_err() && log.is_empty("prices"));
    assert_eq!(publisher.states().held_back_by(), None, "nothing waits");
    gate.open();
    assert!(publisher.publish(&batch).await[0].is_ok());
    assert_eq!((gate.admissions(), payloads(&log).len()), (1, 1));
}
