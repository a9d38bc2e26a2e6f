//! The columns of a message that was set aside.

use messagekit::adapter::{FailedMessageRows, Failure, FailureKind, ReceivedMessage, SetAsideOutcome};
use messagekit::operations::{FailedMessageFilter, FailedMessages};
use messagekit::{Claim, Message, MessageId, Store, headers};
use messagekit_testkit::block_on;
use sqlx::Row;

use crate::shop::{Shop, run};

async fn set_aside(shop: &Shop, message: Message) -> (MessageId, SetAsideOutcome) {
    let received = ReceivedMessage { id: MessageId::new(), message, position: None };
    let failure = Failure { error: "no\0stock".to_owned(), ..Failure::permanent(FailureKind::Permanent, "") };
    let mut tx = shop.store.begin().await.unwrap();
    let outcome = shop.store.set_aside(&mut tx, &shop.consumer, &received, &failure).await.unwrap();
    shop.store.commit(tx).await.unwrap();
    (received.id, outcome)
}

#[test]
fn failed_message_has_the_hash_of_its_key() {
    block_on(async {
        let shop = Shop::open().await;
        // FNV-1a of 64 bits, as it is defined: every program finds the same queue.
        let long = vec![b'k'; 90_000];
        for (key, hash) in [(Some(&b"a"[..]), Some(0xaf63_dc4c_8601_ec8c_u64.cast_signed())), (None, None)] {
            let mut message = Message::new("orders.order", "{}");
            message.key = key.map(|key| key.to_vec().into());
            let (id, _) = set_aside(&shop, message).await;
            let select =
                sqlx::query("SELECT key_hash, parked FROM messagekit.failed_messages WHERE message_id = $1");
            let row = select.bind(id.as_str()).fetch_one(shop.store.pool()).await.unwrap();
            assert_eq!((row.get::<Option<i64>, _>(0), row.get::<bool, _>(1)), (hash, false));
        }
        let (_, outcome) = set_aside(&shop, Message::new("orders.order", "{}").with_key(long)).await;
        assert_eq!(outcome, SetAsideOutcome::SetAside, "a key that no index could hold is kept, too");
    });
}

#[test]
fn text_that_postgresql_refuses_loses_no_failed_message() {
    block_on(async {
        let shop = Shop::open().await;
        let message = Message::new("orders.order", vec![0, 0xff])
            .with_key("a\0b")
            .with_header(headers::EVENT_TYPE, "orders\0placed")
            .with_header("x\0y", "\0");
        let (id, outcome) = set_aside(&shop, message.clone()).await;
        assert_eq!(outcome, SetAsideOutcome::SetAside);
        let failed_messages = shop.store.list(&FailedMessageFilter::default(), 10).await.unwrap();
        let whole = shop.store.show(failed_messages[0].id).await.unwrap();
        assert_eq!((failed_messages.len(), &whole.received.message), (1, &message));
        assert_eq!((failed_messages[0].error.as_str(), shop.look(&id).await), ("no stock", Claim::Held));
    });
}

#[test]
fn failed_message_without_marker_replaces_only_a_closed_one() {
    block_on(async {
        let shop = Shop::open().await;
        let received = ReceivedMessage {
            id: MessageId::new(),
            message: Message::new("orders.order", "{}"),
            position: None,
        };
        let failure = Failure::permanent(FailureKind::Permanent, "no");
        let write = async || {
            let mut tx = shop.store.begin().await.unwrap();
            let outcome = shop.store.set_aside(&mut tx, &shop.consumer, &received, &failure).await;
            shop.store.commit(tx).await.unwrap();
            outcome
        };
        assert_eq!(write().await.unwrap(), SetAsideOutcome::SetAside);
        for (state, kept) in [("resolved", true), ("discarded", true), ("dead", false)] {
            run(shop.store.pool(), "DELETE FROM messagekit.processed_messages").await;
            let update = sqlx::query("UPDATE messagekit.failed_messages SET state = $1").bind(state);
            update.execute(shop.store.pool()).await.unwrap();
            // An open failed message without its marker is a contradiction; nothing overwrites it.
            if kept {
                assert_eq!(write().await.unwrap(), SetAsideOutcome::SetAside, "{state}");
            } else {
                let mut tx = shop.store.begin().await.unwrap();
                let refused =
                    shop.store.set_aside(&mut tx, &shop.consumer, &received, &failure).await.unwrap_err();
                assert_eq!(refused.kind(), messagekit::ErrorKind::Corrupt);
            }
        }
        assert_eq!(shop.count("SELECT count(*) FROM messagekit.failed_messages").await, 1);
    });
}
