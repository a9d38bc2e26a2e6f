//! What a service tests its handlers with, on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{FailureKind, OutboxEvents};
use messagekit::{Consumer, Delivered, Envelope, Event, HandlerError, Outbox, Store};
use messagekit_memory::MemoryLog;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PgTx, PostgresStore, SchemaName};
use messagekit_testkit::DEADLINE;
use messagekit_testkit::service::{Scenario, emitted};
use serde::{Deserialize, Serialize};

use crate::shop::{OrderPlaced, Shop, insert_bill};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "order_id")]
struct BillIssued {
    order_id: String,
}

fn issued(order_id: &str) -> BillIssued {
    BillIssued { order_id: order_id.to_owned() }
}

async fn bill(
    outbox: &Outbox<PostgresStore>,
    tx: &mut PgTx,
    order: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    if order.data.order_id == "o-9" {
        return Err(HandlerError::permanent("no such order"));
    }
    insert_bill(tx, &order.data.order_id).await;
    outbox.add(tx, issued(&order.data.order_id).follow(&order)).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_on_postgres_sees_what_its_handler_wrote() {
    let shop = Shop::open().await;
    let outbox = Arc::new(shop.outbox.clone());
    let billing = Consumer::builder(shop.consumer.clone(), shop.store.clone()).from(MemoryLog::new(1));
    let billing = billing.on_with(outbox, bill).build().unwrap();
    let order = OrderPlaced::new;
    let bills =
        Scenario::of(&billing).given([order("o-1")]).when(order("o-2")).then_emitted([issued("o-2")]).await;
    assert!(bills[0].causation_id.is_some());
    let refused = Scenario::of(&billing).when(order("o-9")).then_fails(FailureKind::Permanent).await;
    assert_eq!(refused.error, "no such order");
    let mut scenario = Scenario::of(&billing);
    assert_eq!(scenario.deliver(order("o-3")).await.unwrap(), Delivered::Handled);
    assert_eq!(scenario.redeliver().await.unwrap(), Delivered::Duplicate);
    assert_eq!((shop.bills().await, emitted::<BillIssued>(&shop.store).await.unwrap().len()), (3, 3));
}

#[tokio::test]
async fn outbox_is_read_back_in_the_order_of_writing() {
    let shop = Shop::open().await;
    to_relay(shop.database.url(), &SchemaName::default(), Existing::Leave, DEADLINE).await.unwrap();
    let mut tx = shop.store.begin().await.unwrap();
    shop.outbox.add_after(&mut tx, issued("late"), Duration::from_secs(3_600)).await.unwrap();
    for id in ["o-1", "o-2", "o-3"] {
        shop.outbox.add(&mut tx, issued(id)).await.unwrap();
    }
    shop.outbox.commit(tx).await.unwrap();
    let bills = emitted::<BillIssued>(&shop.store).await.unwrap();
    let ids: Vec<&str> = bills.iter().map(|bill| &*bill.data.order_id).collect();
    assert_eq!(ids, ["o-1", "o-2", "o-3", "late"]);
    assert_eq!(shop.store.outbox_events().await.unwrap().len(), 4);
}
