//! Claims of ranges that are processed again, and claims that are undone.

use messagekit::adapter::{ClaimRequest, Markers};
use messagekit::{Claim, ErrorKind, MessageId, Store};
use messagekit_postgres::PgTx;
use messagekit_testkit::block_on;
use messagekit_tests::locks::until_it_waits;

use crate::shop::{Shop, backend};

fn request(id: &MessageId, generation: i32) -> ClaimRequest {
    ClaimRequest { id: id.clone(), topic: "orders.order".into(), key: None, generation }
}

async fn claim(shop: &Shop, tx: &mut PgTx, requests: &[ClaimRequest]) -> Vec<Claim> {
    shop.store.claim(tx, &shop.consumer, requests).await.expect("claims are answered")
}

async fn claim_now(shop: &Shop, requests: &[ClaimRequest]) -> Vec<Claim> {
    let mut tx = shop.store.begin().await.unwrap();
    let claims = claim(shop, &mut tx, requests).await;
    shop.store.commit(tx).await.unwrap();
    claims
}

async fn mark(shop: &Shop, id: &MessageId, outcome: &str) {
    let insert =
        "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome) VALUES ($1, $2, $3)";
    let insert = sqlx::query(insert).bind(&shop.consumer).bind(id.as_str()).bind(outcome);
    insert.execute(shop.store.pool()).await.unwrap();
}

#[test]
fn rival_of_the_same_generation_is_waited_for() {
    block_on(async {
        let (shop, id) = (std::sync::Arc::new(Shop::open().await), MessageId::new());
        claim_now(&shop, &[request(&id, 0)]).await;
        let mut first = shop.store.begin().await.unwrap();
        assert_eq!(claim(&shop, &mut first, &[request(&id, 1)]).await, [Claim::Fresh]);
        let mut second = shop.store.begin().await.unwrap();
        let waiting = backend(&mut second).await;
        let rival = {
            let (shop, id) = (shop.clone(), id.clone());
            tokio::spawn(async move { claim(&shop, &mut second, &[request(&id, 1)]).await })
        };
        until_it_waits(shop.store.pool(), waiting).await;
        shop.store.commit(first).await.unwrap();
        assert_eq!(rival.await.unwrap(), [Claim::Done]);
    });
}

#[test]
fn held_and_discarded_messages_stay_what_they_are() {
    block_on(async {
        let shop = Shop::open().await;
        let ids = [MessageId::new(), MessageId::new(), MessageId::new(), MessageId::new()];
        for (id, outcome) in ids.iter().zip(["held", "discarded", "done"]) {
            mark(&shop, id, outcome).await;
        }
        let expected = [Claim::Held, Claim::Discarded, Claim::Fresh, Claim::Fresh];
        let again: Vec<_> = ids.iter().map(|id| request(id, 1)).collect();
        assert_eq!(claim_now(&shop, &again).await, expected);
        let copies = [request(&ids[0], 2), request(&ids[2], 2), request(&ids[2], 2), request(&ids[0], 2)];
        assert_eq!(claim_now(&shop, &copies).await, [Claim::Held, Claim::Fresh, Claim::Done, Claim::Held]);
    });
}

/// The process that resolves the failed message updates its marker last. A claim that locked the marker first would wait for the
/// handler's rows.
#[test]
fn held_marker_is_not_locked_by_a_claim() {
    block_on(async {
        let (shop, id) = (Shop::open().await, MessageId::new());
        mark(&shop, &id, "held").await;
        for generation in [0, 1] {
            let mut tx = shop.store.begin().await.unwrap();
            assert_eq!(claim(&shop, &mut tx, &[request(&id, generation)]).await, [Claim::Held]);
            let lock = "SELECT 1 FROM messagekit.processed_messages WHERE message_id = $1 FOR UPDATE NOWAIT";
            sqlx::query(lock).bind(id.as_str()).execute(shop.store.pool()).await.expect("nobody holds it");
        }
    });
}

#[test]
fn claim_of_another_transaction_is_not_taken_back() {
    block_on(async {
        let (shop, id) = (Shop::open().await, MessageId::new());
        claim_now(&shop, &[request(&id, 0)]).await;
        let mut tx = shop.store.begin().await.unwrap();
        let refused = shop.store.unclaim(&mut tx, &shop.consumer, &[request(&id, 0)]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Other);
        shop.store.commit(tx).await.unwrap();
        assert_eq!(shop.look(&id).await, Claim::Done);
    });
}
