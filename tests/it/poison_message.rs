//! A message that crashes its process repeatedly is set aside permanently.

use messagekit_sqlite::SqliteStore;

use crate::book::{Kind, Outcome};
use crate::console::retry;
use crate::shop::{Shop, View};
use crate::time::{SOON, wait_until};
use crate::worker::Role;

/// After this number of crashes a message is not run again.
const KILLS: i64 = 5;

#[test]
fn a_failed_message_that_ends_its_process_five_times_is_dead() {
    let shop = Shop::new();
    // Order 17 is spoiled and 23 is shaky, so each has a failed message that is retried.
    shop.start(Role::Orders { count: 25, seed: 1 }).until_done();
    let failed_messages =
        shop.book.orders().values().filter(|order| order.kind != crate::book::Kind::Placed).count();
    assert_eq!(failed_messages, 2);
    for _ in 0..2 * KILLS {
        shop.that_crashes(Role::Billing, "retry.leased:1").until_crashed();
        // Until the second failed message exists the lease of the first one must hold: the next process would not get further.
        if shop.look().failed_messages_to_run() == 2 {
            shop.end_leases();
        }
    }
    let healthy = shop.start(Role::Billing);
    wait_until("the failed messages are dead", SOON, || shop.look().failed_messages_to_run() == 0);
    healthy.finish();

    let view = shop.look();
    let states = view.all("SELECT state, kind, crash_count FROM messagekit_failed_messages", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    });
    assert_eq!(states, vec![("dead".to_owned(), "poison_message".to_owned(), KILLS); 2]);
    assert_eq!(view.number("SELECT count(*) FROM bills WHERE number IN (17, 23)"), 0);
    assert_eq!(view.number("SELECT count(*) FROM messagekit_processed_messages WHERE outcome = 1"), 2);
}

fn failed_messages(view: &View) -> Vec<(i64, String, String)> {
    view.all("SELECT id, state, kind FROM messagekit_failed_messages", |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
}

#[test]
fn a_message_is_dead_after_five_crashes_and_neighbours_apply() {
    let shop = Shop::new();
    // No order below 17 is shaky or spoiled.
    shop.start(Role::Orders { count: 16, seed: 1 }).until_done();
    let orders = shop.book.orders();
    let placed: Vec<i64> = orders
        .iter()
        .filter(|(_, order)| order.outcome == Outcome::Committed)
        .map(|(number, _)| *number)
        .collect();
    assert!(orders.values().all(|order| order.kind == Kind::Placed));
    // Not in the partition with which each batch begins.
    let last = "SELECT r.event_id FROM messagekit_topic_records r
        JOIN messagekit_topic_partitions p ON p.id = r.pos >> 40
        JOIN messagekit_topics t ON t.id = p.topic_id
        WHERE t.name = 'orders.order' AND p.partition > 0 ORDER BY p.partition DESC LIMIT 1";
    let last: String =
        shop.look().all(last, |row| row.get(0)).pop().expect("there is more than one partition");
    let deadly = *orders.iter().find(|(_, order)| order.event_id == last).expect("it is an order").0;

    // The first crash leaves an attempt of its batch, and the others one of the order alone.
    for death in 0..=KILLS {
        assert_eq!(failed_messages(&shop.look()), [], "before death {death}");
        shop.start(Role::DeadlyBilling { order: deadly }).until_crashed();
    }
    // The order still crashes its process, and no process runs it any more.
    let survivor = shop.start(Role::DeadlyBilling { order: deadly });
    wait_until("the neighbours are billed", SOON, || shop.look().behind("billing", "orders.order") == 0);
    survivor.finish();
    let view = shop.look();
    let dead = failed_messages(&view);
    let [(failed_message, state, kind)] = &dead[..] else { panic!("one failed message, not {dead:?}") };
    assert_eq!((state.as_str(), kind.as_str()), ("dead", "poison_message"));
    let billed =
        |view: &View| view.all("SELECT number FROM bills ORDER BY number", |row| row.get::<_, i64>(0));
    let neighbours: Vec<i64> = placed.iter().copied().filter(|number| *number != deadly).collect();
    assert_eq!(billed(&view), neighbours);
    assert_eq!(view.number("SELECT count(*) FROM messagekit_in_flight_attempts"), 0, "no attempt is left");
    drop(view);

    // Repaired, and retried by an operator.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let store = SqliteStore::open(shop.file()).await.unwrap();
        retry(&store, *failed_message).await.unwrap();
        store.close().await.unwrap();
    });
    let repaired = shop.start(Role::Billing);
    wait_until("the failed message is applied", SOON, || shop.look().failed_messages_to_run() == 0);
    repaired.finish();
    assert_eq!(billed(&shop.look()), placed);
}
