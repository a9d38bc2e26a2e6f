//! One id, many records: one bill, whichever record comes first, and none for a failed message.

use messagekit::MessageId;
use messagekit_testkit::{DEADLINE, eventually};
use sqlx::PgConnection;

use crate::billing::{Billing, MEMBERS};
use crate::names::ORDER_PARTITIONS;
use crate::records::{Record, send};
use crate::{broker, turn};

async fn billed(connection: &mut PgConnection) -> Vec<String> {
    let bills = sqlx::query_scalar("SELECT order_id FROM bills ORDER BY order_id");
    bills.fetch_all(connection).await.expect("bills can be read")
}

/// Returns the rows of failed messages: order, state, attempts, kind, payload.
async fn failed_messages(connection: &mut PgConnection) -> Vec<(String, String, i32, String, Vec<u8>)> {
    let failed_messages =
        "SELECT message_id, state, attempts, kind, payload FROM messagekit.failed_messages ORDER BY id";
    sqlx::query_as(failed_messages).fetch_all(connection).await.expect("failed messages can be read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_id_in_two_processes_at_once_is_billed_once() {
    let _turn = turn::together();
    let mut billing = Billing::open().await;
    // A group during a rebalance lists no members.
    eventually("both share the partitions", DEADLINE, async || {
        broker::working_members(&billing.names.billing).len() == MEMBERS
    })
    .await;

    // A copy in each partition: both processes hold the same id at the same time, repeatedly.
    let copies = (0..300).flat_map(|number| {
        let (id, order) = (MessageId::new(), format!("o-{number:03}"));
        (0..ORDER_PARTITIONS).map(move |partition| {
            (partition, Record::of_debezium(&id, &order, &format!("c-{number}-{partition}"), 100))
        })
    });
    send(&billing.names, copies).await;
    billing.until_read().await;

    let mut database = billing.database.connection().await;
    let expected: Vec<_> = (0..300).map(|number| format!("o-{number:03}")).collect();
    assert_eq!(billed(&mut database).await, expected);
    assert_eq!(failed_messages(&mut database).await, []);
    billing.are_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_without_headers_is_billed_once_by_the_id_in_its_body() {
    let _turn = turn::together();
    let billing = Billing::open().await;
    let (first, second) = (MessageId::new(), MessageId::new());
    send(
        &billing.names,
        [
            (0, Record::of_python(&first, "o-1", "c-1", 100)),
            (0, Record::of_python(&first, "o-1", "c-1", 100)),
            (6, Record::of_python(&first, "o-1", "c-1", 100)),
            (0, Record::of_python(&second, "o-2", "c-1", 200)),
            // The same event once more, now through an outbox: one id, two spellings.
            (2, Record::of_debezium(&second, "o-2", "c-1", 200)),
        ],
    )
    .await;
    billing.until_read().await;

    let mut database = billing.database.connection().await;
    assert_eq!(billed(&mut database).await, ["o-1", "o-2"]);
    assert_eq!(failed_messages(&mut database).await, []);
    let markers: Vec<(String, String)> = sqlx::query_as(
        "SELECT message_id, outcome FROM messagekit.processed_messages WHERE consumer = $1 ORDER BY message_id",
    )
    .bind(&billing.names.billing)
    .fetch_all(&mut database)
    .await
    .unwrap();
    let mut expected = [first, second].map(|id| (id.as_str().to_owned(), "done".to_owned()));
    expected.sort_unstable();
    assert_eq!(markers, expected);
}
