//! Six handlers that are wrong, each in its way, and what is found of them; and correct ones.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use messagekit::{Envelope, Event, HandlerError, Message, Outbox, Router, Store};
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_testkit::assert_effectively_once;
use messagekit_testkit::service::{Counterexample, effectively_once, message};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "order_id")]
struct BillIssued {
    order_id: String,
    pence: i64,
}

/// What handlers with a state are given.
struct Shop {
    store: MemoryStore,
    outbox: Outbox<MemoryStore>,
    /// What a process remembers.
    total: AtomicI64,
}

impl Shop {
    fn new(store: MemoryStore) -> Arc<Self> {
        let outbox = Outbox::new(store.clone(), "billing").expect("the name is valid");
        Arc::new(Self { store, outbox, total: AtomicI64::new(0) })
    }

    async fn issue(&self, tx: &mut MemoryTx, order: &OrderPlaced) -> Result<(), HandlerError> {
        let bill = BillIssued { order_id: order.order_id.clone(), pence: order.pence };
        self.outbox.add(tx, bill).await?;
        Ok(())
    }
}

type Order = Envelope<OrderPlaced>;

fn orders() -> [OrderPlaced; 3] {
    [("o-1", 995), ("o-2", 5), ("o-1", 20)].map(|(id, pence)| OrderPlaced { order_id: id.to_owned(), pence })
}

fn messages() -> Vec<Message> {
    orders().into_iter().map(message).collect()
}

async fn counterexample(router: impl Fn(MemoryStore) -> Router<MemoryStore>) -> Counterexample {
    effectively_once(router, &messages()).await.expect_err("the handler is wrong")
}

/// Compares the steps, and looks for a text in what is shown.
fn shows(found: &Counterexample, steps: &[&str], text: &str) {
    assert_eq!(found.steps(), steps, "{found}");
    assert!(found.to_string().contains(text), "{found} does not say {text:?}");
}

const HANDLED_CRASH: &str = "`orders.order.placed` o-1: the process ends after its handler and before the commit (consumer.handled); a new one gets it again";

#[tokio::test]
async fn correct_handler_passes_every_timeline() {
    async fn bill(shop: &Shop, tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        tx.add("billed", order.data.pence);
        tx.insert(format!("bill {}", order.event_id), order.data.pence.to_string());
        shop.issue(tx, &order.data).await
    }
    let checked = assert_effectively_once!(|store| Router::new().on_with(Shop::new(store), bill), orders());
    assert!(checked.timelines > 60, "{checked:?}");
}

#[tokio::test]
async fn correct_handler_without_a_state_passes() {
    async fn bill(tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        tx.add(order.data.order_id, order.data.pence);
        Ok(())
    }
    assert_effectively_once!(bill, orders());
}

#[tokio::test]
async fn effect_outside_the_transaction_is_found() {
    async fn bill(shop: &Shop, _: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        let mut own = shop.store.begin().await?;
        own.add("billed", order.data.pence);
        shop.store.commit(own).await?;
        Ok(())
    }
    let found = counterexample(|store| Router::new().on_with(Shop::new(store), bill)).await;
    shows(&found, &[HANDLED_CRASH], "number \"billed\": expected 995, found 1990");
    shows(&found, &[HANDLED_CRASH], "something outlived the rollback of its transaction");
}

#[tokio::test]
async fn event_that_is_emitted_before_its_effect_is_found() {
    async fn bill(shop: &Shop, tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        shop.outbox.transaction(async |own| Ok(shop.issue(own, &order.data).await?)).await?;
        tx.add("billed", order.data.pence);
        Ok(())
    }
    let found = counterexample(|store| Router::new().on_with(Shop::new(store), bill)).await;
    assert_eq!(found.steps().len(), 1, "{found}");
    assert!(found.differences()[0].starts_with("events of \"billing.bill o-1\": expected"), "{found}");
}

#[tokio::test]
async fn swallowed_error_is_found() {
    async fn bill(shop: &Shop, tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        tx.add("billed", order.data.pence);
        let _ = shop.issue(tx, &order.data).await;
        Ok(())
    }
    let found = counterexample(|store| Router::new().on_with(Shop::new(store), bill)).await;
    let step = "`orders.order.placed` o-1: the outbox refuses event 1 of its handler, and it comes again";
    shows(&found, &[step], "an error was swallowed");
}

#[tokio::test]
async fn read_modify_write_without_a_lock_is_found() {
    async fn bill(tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        let billed: i64 = tx.text("billed").map_or(Ok(0), |billed| billed.parse())?;
        tx.insert("billed", (billed + order.data.pence).to_string());
        Ok(())
    }
    let found = counterexample(|_| Router::new().on(bill)).await;
    let step = "`orders.order.placed` o-1: its handler runs; `orders.order.placed` o-2 is handled and committed; then `orders.order.placed` o-1 is committed";
    shows(&found, &[step], "text \"billed\": expected \"1000\", found \"995\"");
    shows(&found, &[step], "an update was lost");
}

#[tokio::test]
async fn clock_that_is_used_as_an_id_is_found() {
    async fn bill(tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        let id = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
        tx.insert(format!("bill {id}"), order.data.pence.to_string());
        Ok(())
    }
    let found = counterexample(|_| Router::new().on(bill)).await;
    shows(&found, &["`orders.order.placed` o-1 is handled"], "two undisturbed runs differ");
}

#[tokio::test]
async fn state_that_is_kept_in_memory_is_found() {
    async fn bill(shop: &Shop, tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        let total = shop.total.fetch_add(order.data.pence, Ordering::Relaxed) + order.data.pence;
        tx.insert("total", total.to_string());
        Ok(())
    }
    let found = counterexample(|store| Router::new().on_with(Shop::new(store), bill)).await;
    let step = "`orders.order.placed` o-1: the database refuses the commit, and its handler runs again";
    shows(&found, &[step], "text \"total\": expected \"995\", found \"1990\"");
}

#[tokio::test]
async fn state_that_a_new_process_lacks_is_found() {
    /// Remembers what it has seen, which survives a rollback harmlessly.
    async fn greet(seen: &Mutex<Vec<String>>, tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        let mut seen = seen.lock().expect("no test panics with it");
        if !seen.contains(&order.data.order_id) {
            tx.insert(format!("greeted {} for", order.data.order_id), order.data.pence.to_string());
        }
        seen.push(order.data.order_id);
        Ok(())
    }
    let found = counterexample(|_| Router::new().on_with(Arc::default(), greet)).await;
    assert!(found.to_string().contains("greeted o-1 for"), "{found}");
}

#[tokio::test]
async fn dependence_on_the_order_across_keys_is_found() {
    async fn bill(tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        tx.insert("newest", order.data.order_id);
        Ok(())
    }
    let found = counterexample(|_| Router::new().on(bill)).await;
    assert!(found.to_string().contains("depends on the order of events with different keys"), "{found}");
}

#[tokio::test]
async fn event_that_no_undisturbed_run_applies_is_said() {
    async fn bill(_: &mut MemoryTx, _: Order) -> Result<(), HandlerError> {
        Err(HandlerError::permanent("out of paper"))
    }
    let found = counterexample(|_| Router::new().on(bill)).await;
    shows(&found, &["`orders.order.placed` o-1 is handled"], "its handler failed (permanent): out of paper");
}

#[tokio::test(start_paused = true)]
async fn several_events_of_one_write_are_one_step() {
    async fn bill(shop: &Shop, tx: &mut MemoryTx, order: Order) -> Result<(), HandlerError> {
        let bills = [1, 2].map(|pence| BillIssued { order_id: order.data.order_id.clone(), pence });
        shop.outbox.add_all(tx, bills).await?;
        Ok(())
    }
    let since = tokio::time::Instant::now();
    let router = |store| Router::new().on_with(Shop::new(store), bill);
    effectively_once(router, &messages()).await.expect("the handler is right");
    // A point that is waited for and never reached ends with the deadline of a handler.
    assert!(since.elapsed() < std::time::Duration::from_secs(30));
}

#[tokio::test]
async fn event_that_no_handler_takes_is_said() {
    async fn count(tx: &mut MemoryTx, _: Envelope<BillIssued>) -> Result<(), HandlerError> {
        tx.add("bills", 1);
        Ok(())
    }
    let found = counterexample(|_| Router::new().on(count)).await;
    shows(&found, &["`orders.order.placed` o-1 is handled"], "no handler takes it");
}

#[tokio::test]
async fn handler_whose_effects_cannot_be_seen_does_not_pass() {
    async fn remember(shop: &Shop, _: &mut MemoryTx, _: Order) -> Result<(), HandlerError> {
        shop.total.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    let found = counterexample(|store| Router::new().on_with(Shop::new(store), remember)).await;
    assert!(found.to_string().contains("nothing of it can be seen"), "{found}");
}
