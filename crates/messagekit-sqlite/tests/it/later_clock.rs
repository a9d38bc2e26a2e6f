//! A file whose leases were taken by a later clock.

use std::time::Duration;

use messagekit::adapter::{FailedMessageRows, Failure, FailureKind, Next, ReceivedMessage, Retries};
use messagekit::{Message, Store};

use crate::support::*;

const LEASE: Duration = Duration::from_secs(60);

/// The clock was set back by an hour, and the program that ran the retry is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_later_clock_retries_when_it_is_opened() {
    let fixture = Fixture::new().await;
    let received =
        ReceivedMessage { id: "a".parse().unwrap(), message: Message::new("t", ""), position: None };
    let retry_now =
        Failure { next: Next::Retry(Duration::ZERO), ..Failure::permanent(FailureKind::Failed, "no") };
    let mut tx = fixture.store.begin().await.unwrap();
    fixture.store.set_aside(&mut tx, "billing", &received, &retry_now).await.unwrap();
    fixture.store.commit(tx).await.unwrap();
    assert_eq!(fixture.store.lease("billing", 1, LEASE).await.unwrap().len(), 1);
    let conn = messagekit_sqlite::rusqlite::Connection::open(fixture.store.path()).unwrap();
    let later = "UPDATE messagekit_failed_messages SET due = due + 3600000000, running_since = running_since + 3600000000";
    assert_eq!(conn.execute(later, []).unwrap(), 1);
    let other = fixture.other_process().await;
    let again = other.lease("billing", 1, LEASE).await.unwrap();
    assert_eq!((again.len(), again[0].crash_count), (1, 1));
}
