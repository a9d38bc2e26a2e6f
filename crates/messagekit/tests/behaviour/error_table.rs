//! The table of what errors do, line by line.

use std::time::Duration;

use messagekit::adapter::Publisher;
use messagekit::gate::{BreakerState, CircuitBreaker};
use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, Message, OnFailure, headers};

use crate::fixture::{Action, Builder, TOPIC, World, pass, seconds, start};

const TABLE: &str = include_str!("../../src/handler/error_table.md");

/// What happens to the first message of a key.
#[derive(Clone, Copy)]
enum Trouble {
    Run(Action),
    Unreadable,
}

const TROUBLES: [(&str, Trouble); 12] = [
    ("returns `HandlerError::retryable`", Trouble::Run(Action::Fail)),
    ("returns an error of another library with `?`", Trouble::Run(Action::Foreign)),
    ("does not end within its deadline", Trouble::Run(Action::Take(seconds(60)))),
    ("panics", Trouble::Run(Action::Panic)),
    ("ends its transaction by a failed statement", Trouble::Run(Action::Swallow)),
    (
        "holds a lock for longer than the store allows, also when it runs alone",
        Trouble::Run(Action::TransactionTimeout),
    ),
    ("returns `HandlerError::permanent`", Trouble::Run(Action::Permanent)),
    (
        "returns with `?` that PostgreSQL refuses a value (class 22, as a NUL in a text)",
        Trouble::Run(Action::BadValue),
    ),
    ("is given data that does not fit its type", Trouble::Unreadable),
    ("returns `HandlerError::unavailable`", Trouble::Run(Action::Unavailable)),
    ("returns an outage of its store with `?`", Trouble::Run(Action::Outage)),
    ("meets a lock conflict", Trouble::Run(Action::Conflict)),
];

/// How long an unavailable message may hold its lane: longer than the look at what goes on, and not as long as the default, in which
/// a conflict is met some 20,000 times.
const UNAVAILABLE_LIMIT: Duration = seconds(40);

/// A consumer whose retries come long after the test.
fn consumer(world: &World) -> Builder {
    let once_a_day = Backoff::fixed(seconds(24 * 60 * 60));
    let consumer = world.billing().on_failure(OnFailure::ParkKey).backoff(once_a_day);
    consumer.deadline(seconds(2)).unavailable_limit(UNAVAILABLE_LIMIT)
}

async fn cause(world: &World, trouble: Trouble) {
    match trouble {
        Trouble::Run(act) => {
            world.script.always("a-1", act);
            world.push("a", 1).await;
        }
        Trouble::Unreadable => {
            let (id, event_type) = ((headers::ID, "a-1"), (headers::EVENT_TYPE, "orders.order.placed"));
            let message = Message::new(TOPIC, "not an order").with_key("a");
            let message = [id, event_type]
                .into_iter()
                .fold(message, |message, (name, value)| message.with_header(name, value));
            world.log.publish(&[message]).await.remove(0).expect("published");
        }
    }
}

/// Returns the cells of a line as they are seen.
async fn seen(trouble: Trouble) -> [String; 6] {
    let world = World::new(1);
    cause(&world, trouble).await;
    world.push("a", 2).await;
    world.push("b", 1).await;
    let running = start(consumer(&world));
    pass(seconds(30)).await;
    let goes_on =
        |id: &str| if world.applied().iter().any(|applied| applied == id) { "goes on" } else { "waits" };
    let (lane, key) = (goes_on("b-1"), goes_on("a-2"));
    pass(UNAVAILABLE_LIMIT).await;
    let failed = world.failed_messages().await;
    // A message whose data does not fit has no id to find it by.
    let failed = failed.first();
    let (kind, runs) =
        failed.map_or(("none".to_owned(), 0), |failed| (format!("`{}`", failed.kind), failed.attempts));
    let then = match failed.map(|failed| failed.state) {
        None => "runs again at once",
        Some(FailedMessageState::Dead) => "is dead",
        Some(_) if runs == 0 => "is retried until it is applied",
        Some(_) => "is retried, dead after the last attempt",
    };
    let lane =
        if lane == "waits" && failed.is_some() { "waits for `unavailable_limit` at most" } else { lane };
    running.stop().await;
    [kind, runs.to_string(), breaker(trouble).await, lane.into(), key.into(), then.into()]
}

async fn breaker(trouble: Trouble) -> String {
    let world = World::new(1);
    cause(&world, trouble).await;
    let breaker = CircuitBreaker::new(1, seconds(60 * 60));
    let running = start(consumer(&world).gate(breaker.clone()));
    pass(seconds(30)).await;
    let counts = breaker.state() == BreakerState::Open;
    running.stop().await;
    if counts { "counts it".into() } else { "does not".into() }
}

#[tokio::test(start_paused = true)]
async fn errors_do_what_the_table_says() {
    let lines: Vec<Vec<&str>> = TABLE
        .lines()
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(lines.len(), TROUBLES.len(), "each line is tried");
    for line in lines {
        let (_, trouble) = TROUBLES.into_iter().find(|(name, _)| *name == line[0]).expect(line[0]);
        assert_eq!(seen(trouble).await.as_slice(), &line[1..], "{}", line[0]);
    }
}
