//! The bus: listeners in the transaction of the caller.
// Fixtures are test code too, but clippy recognises only functions marked as tests.
#![allow(clippy::unwrap_used)]

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use messagekit::{Consumer, Envelope, Error, Event, HandlerError, MessageId, Outbox, chain, headers};
use messagekit_bus::{Dispatch, EventBus};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed", key = "order")]
struct OrderPlaced {
    order: String,
    pieces: i64,
}

/// The same type of event, in another struct.
#[derive(Clone, Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed", key = "order")]
struct OtherOrder {
    order: String,
}

fn placed() -> OrderPlaced {
    OrderPlaced { order: "o-1".to_owned(), pieces: 3 }
}

struct Shop {
    log: MemoryLog,
    store: MemoryStore,
    outbox: Outbox<MemoryStore>,
}

impl Shop {
    fn new() -> Self {
        let log = MemoryLog::new(1);
        let store = MemoryStore::with_log(&log);
        let outbox = Outbox::new(store.clone(), "shop").expect("a name");
        Self { log, store, outbox }
    }

    /// Places an order in a transaction with the dispatch of its event.
    async fn place(&self, bus: &EventBus<MemoryStore>) -> Result<usize, Error> {
        let place = async |tx: &mut MemoryTx| {
            tx.add("orders", 1);
            bus.dispatch(tx, placed()).await
        };
        self.outbox.transaction(place).await
    }

    fn count(&self, name: &str) -> i64 {
        self.store.get(name)
    }
}

async fn reserve(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    tx.add("reserved", order.data.pieces);
    Ok(())
}

async fn refuse(_: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    Err(HandlerError::permanent("no such piece"))
}

async fn of_another_struct(tx: &mut MemoryTx, _: Envelope<OtherOrder>) -> Result<(), HandlerError> {
    tx.add("others", 1);
    Ok(())
}

type Seen = Mutex<Vec<(&'static str, MessageId)>>;

async fn first(seen: &Seen, _: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    seen.lock().expect("no panic").push(("first", order.meta.event_id));
    Ok(())
}

async fn second(seen: &Seen, _: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    seen.lock().expect("no panic").push(("second", order.meta.event_id));
    Ok(())
}

/// Returns a bus that writes the moments of its dispatches into the list.
fn observed(bus: EventBus<MemoryStore>) -> (EventBus<MemoryStore>, Arc<Mutex<Vec<String>>>) {
    let moments = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&moments);
    let write = move |dispatch: &Dispatch<'_>| {
        let listener = dispatch.listener.map_or("-", |path| path.rsplit("::").next().unwrap_or(path));
        seen.lock().expect("no panic").push(format!("{} {listener} {}", dispatch.event_type, dispatch.stage));
    };
    (bus.hook(write), moments)
}

#[tokio::test]
async fn rows_and_events_of_listeners_share_the_commit() {
    let shop = Shop::new();
    let bus = EventBus::new().on(reserve).publish::<OrderPlaced>(&shop.outbox);
    assert_eq!(shop.place(&bus).await.unwrap(), 2);
    assert_eq!((shop.count("orders"), shop.count("reserved"), shop.log.len("orders.order")), (1, 3, 1));
}

#[tokio::test]
async fn a_failed_listener_takes_rows_and_events_along() {
    let shop = Shop::new();
    let bus = EventBus::new().on(reserve).publish::<OrderPlaced>(&shop.outbox).on(refuse).on(reserve);
    let (bus, moments) = observed(bus);
    let refused = shop.place(&bus).await.unwrap_err();
    assert!(chain(&refused).contains("no such piece"), "{refused:?}");
    assert_eq!((shop.count("orders"), shop.count("reserved"), shop.log.len("orders.order")), (0, 0, 0));
    assert_eq!(
        *moments.lock().unwrap(),
        [
            "orders.order.placed reserve begins",
            "orders.order.placed reserve done",
            "orders.order.placed outbox begins",
            "orders.order.placed outbox done",
            "orders.order.placed refuse begins",
            "orders.order.placed refuse failed",
        ]
    );
}

#[tokio::test]
async fn listeners_are_called_in_their_order_with_one_id() {
    let shop = Shop::new();
    let seen: Arc<Seen> = Arc::default();
    let bus = EventBus::new()
        .on_with(Arc::clone(&seen), second)
        .on_with(Arc::clone(&seen), first)
        .publish::<OrderPlaced>(&shop.outbox);
    shop.place(&bus).await.unwrap();
    let seen = seen.lock().unwrap();
    let names: Vec<&str> = seen.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["second", "first"]);
    let records = shop.log.records("orders.order");
    let written = records[0].message.headers.text(headers::ID).expect("an id");
    assert!(seen.iter().all(|(_, id)| id.as_str() == written), "{seen:?} {written}");
}

#[tokio::test]
async fn an_event_without_a_listener_is_seen_by_hooks() {
    let shop = Shop::new();
    let (bus, moments) = observed(EventBus::new().on(of_another_struct));
    assert_eq!(shop.place(&bus).await.unwrap(), 0);
    assert_eq!((shop.count("orders"), shop.count("others")), (1, 0));
    assert_eq!(*moments.lock().unwrap(), ["orders.order.placed - no_listener"]);
}

#[tokio::test]
async fn a_bus_that_is_switched_off_calls_nothing() {
    let shop = Shop::new();
    let (bus, moments) = observed(EventBus::new().on(reserve).publish::<OrderPlaced>(&shop.outbox));
    bus.clone().set_enabled(false);
    assert_eq!(shop.place(&bus).await.unwrap(), 0);
    assert_eq!((shop.count("orders"), shop.count("reserved"), shop.log.len("orders.order")), (1, 0, 0));
    assert_eq!(*moments.lock().unwrap(), ["orders.order.placed - disabled"]);
    bus.set_enabled(true);
    assert_eq!(shop.place(&bus).await.unwrap(), 2);
    assert_eq!(shop.count("reserved"), 3);
}

#[tokio::test]
async fn a_hook_that_panics_changes_nothing() {
    let shop = Shop::new();
    let bus = EventBus::new().on(reserve).hook(|_| panic!("a hook with a bug"));
    let (bus, moments) = observed(bus);
    assert_eq!(shop.place(&bus).await.unwrap(), 1);
    assert_eq!((shop.count("reserved"), moments.lock().unwrap().len()), (3, 2));
}

async fn relay(
    bus: &EventBus<MemoryStore>,
    tx: &mut MemoryTx,
    order: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    bus.dispatch(tx, order).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_handler_dispatches_in_the_transaction_of_its_message() {
    let shop = Shop::new();
    shop.place(&EventBus::new().publish::<OrderPlaced>(&shop.outbox)).await.unwrap();
    let bus = Arc::new(EventBus::new().on(reserve));
    let source = shop.log.topics(["orders.order"]);
    let stock =
        Consumer::builder("stock", shop.store.clone()).from(source).on_with(bus, relay).build().unwrap();
    let done = tokio::spawn(stock.run_until_idle()).await.unwrap().unwrap();
    assert_eq!((done.handled, shop.count("reserved")), (1, 3));
}

#[tokio::test]
async fn a_listener_that_panics_leaves_nothing() {
    async fn panics(_: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        panic!("a listener with a bug")
    }
    let shop = Shop::new();
    let (bus, moments) = observed(EventBus::new().on(reserve).on(panics));
    AssertUnwindSafe(shop.place(&bus)).catch_unwind().await.unwrap_err();
    assert_eq!((shop.count("orders"), shop.count("reserved")), (0, 0));
    assert_eq!(moments.lock().unwrap().last().unwrap(), "orders.order.placed panics begins");
}
