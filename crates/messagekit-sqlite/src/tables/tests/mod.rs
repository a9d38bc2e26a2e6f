//! The statements over a bare connection.

mod contradictions;
mod leases;
mod parking;
mod plans;
mod records;
mod round_trips;
mod statuses;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messagekit::adapter::{ClaimRequest, Failure, FailureKind, Next, ReceivedMessage, SetAsideOutcome};
use messagekit::operations::{Action, ActionOrder, ActionResult, FailedMessageState, Operator, StateReason};
use messagekit::{Claim, ErrorKind, Message, MessageId, Position, headers};
use proptest::prelude::*;
use rusqlite::Connection;

use super::failed_messages::{self, Way};
use super::{
    actions, append, cursors, failed_message_lists, names, processed, read, retries, shards, topics,
};
use crate::migrations::steps;

const PARTITIONS: u32 = 4;
const NOW: i64 = 1_790_000_000_123_456;
const SECOND: i64 = 1_000_000;

fn database() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    steps::run(&conn, steps::MIGRATIONS).unwrap();
    conn
}

fn id(text: &str) -> MessageId {
    text.parse().unwrap()
}

fn request(text: &str, generation: i32) -> ClaimRequest {
    ClaimRequest { id: id(text), topic: Arc::from("t"), key: None, generation }
}

fn received(text: &str) -> ReceivedMessage {
    ReceivedMessage { id: id(text), message: Message::new("t", "payload").with_key("k"), position: None }
}

fn retry_after(delay: Duration) -> Failure {
    Failure { next: Next::Retry(delay), ..Failure::permanent(FailureKind::Failed, "no 17") }
}

fn read_all(conn: &Connection, topic: &str) -> Vec<(i32, read::Stored)> {
    let topic: Arc<str> = Arc::from(topic);
    let partitions = topics::partitions(conn, &topic).unwrap();
    let read = |p: &topics::Partition| read::read(conn, &topic, p.tp, 0, usize::MAX, usize::MAX).unwrap();
    partitions.iter().flat_map(|p| read(p).into_iter().map(|stored| (p.partition, stored))).collect()
}

/// Sets a message aside, to be retried after a delay.
fn set_aside(
    conn: &Connection,
    consumer: i64,
    text: &str,
    delay: Duration,
) -> Result<SetAsideOutcome, messagekit::Error> {
    failed_messages::set_aside(conn, consumer, &Way::default(), &received(text), &retry_after(delay), NOW)
}

/// Creates a consumer with a due failed message.
fn due_failed_message(conn: &Connection, text: &str) -> i64 {
    let consumer = names::consumer(conn, "billing").unwrap();
    let outcome = set_aside(conn, consumer, text, Duration::ZERO).unwrap();
    assert_eq!(outcome, SetAsideOutcome::SetAside);
    consumer
}

fn act(conn: &Connection, action: Action, ids: &[i64]) -> Vec<ActionResult> {
    let operator = Operator::new("ada", "test");
    actions::apply(conn, &ActionOrder::new(action, ids, &operator), NOW).unwrap()
}

const LEASE: Duration = Duration::from_secs(10);
