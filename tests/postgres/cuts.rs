//! A connection that is cut after any number of bytes, under a writer and under a consumer.
//!
//! `MESSAGEKIT_FULL=1` cuts it a thousand times. `MESSAGEKIT_SEED` selects the offsets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::operations::FailedMessageFilter;
use messagekit::{Consumer, Envelope, ErrorKind, Event, HandlerError, MessageId, Outbox, Shutdown, Store};
use messagekit_memory::MemoryLog;
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_testkit::{DEADLINE, block_on, eventually};

use crate::proxy::Proxy;
use crate::shop::{OrderPlaced, Shop};

/// Returns the number of cuts.
fn cuts() -> u64 {
    if messagekit_tests::is_full() { 1_000 } else { 20 }
}

fn dice() -> fastrand::Rng {
    let seed = std::env::var("MESSAGEKIT_SEED").map_or(11, |seed| seed.parse().expect("a seed is a number"));
    fastrand::Rng::with_seed(seed)
}

/// The position of the cut: a number of bytes after the begin of the transaction, or after everything before the commit.
#[derive(Clone, Copy)]
enum Cut {
    InTheWork(u32),
    AtTheCommit(u32),
}

/// Bills an order and adds its event, in one transaction.
async fn place(
    (store, proxy): (&PostgresStore, &Proxy),
    (id, order): (&MessageId, Envelope<OrderPlaced>),
    cut: Option<Cut>,
) -> Result<(), ErrorKind> {
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    let mut tx = store.begin().await.map_err(|error| error.kind())?;
    if let Some(Cut::InTheWork(bytes)) = cut {
        proxy.cut_after(bytes);
    }
    let done = async {
        let bill = sqlx::query("INSERT INTO bills VALUES ($1)").bind(id.as_str()).execute(&mut *tx).await;
        bill.map_err(|error| PostgresStore::classify(&error).unwrap_or(ErrorKind::Other))?;
        outbox.add(&mut tx, order).await.map_err(|error| error.kind())?;
        if let Some(Cut::AtTheCommit(bytes)) = cut {
            proxy.cut_after(bytes);
        }
        outbox.commit(tx).await.map_err(|error| error.kind())
    }
    .await;
    proxy.spare();
    done
}

/// Returns the number of bills and of events of an order.
async fn kept(shop: &Shop, id: &MessageId) -> (i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM bills WHERE id = $1),
        (SELECT count(*) FROM messagekit.outbox_events WHERE event_id = $1)";
    sqlx::query_as(sql).bind(id.as_str()).fetch_one(shop.store.pool()).await.unwrap()
}

/// A caller without a clear answer repeats the order under the first id of the event, without a check.
#[test]
fn order_cut_off_at_any_byte_exists_once_after_it_is_repeated() {
    block_on(async {
        let shop = Shop::open().await;
        let proxy = Proxy::to(&shop.database).await;
        let store = PostgresStore::connect(&proxy.url(&shop.database)).await.unwrap();
        let line = (&store, &proxy);
        let mut dice = dice();
        let (mut tried, mut told, mut unknown_kept, mut unknown_gone) = (0, 0, 0, 0);
        while proxy.struck() < cuts() || unknown_kept == 0 || unknown_gone == 0 {
            assert!(tried < 100 * cuts(), "void: {unknown_kept} unknown ones were kept, {unknown_gone} not");
            tried += 1;
            let cut = match dice.bool() {
                true => Cut::InTheWork(dice.u32(..2_500)),
                false => Cut::AtTheCommit(dice.u32(..250)),
            };
            let order = Envelope::new(OrderPlaced::new(&format!("o-{tried}")));
            let id = order.event_id.clone();
            let mut again = Envelope::new(OrderPlaced::new(&format!("o-{tried}")));
            again.meta.event_id = id.clone();
            let answer = place(line, (&id, order), Some(cut)).await;
            // The server may still be busy with the bytes that it has read.
            let mut is = kept(&shop, &id).await;
            match answer {
                Ok(()) => assert_eq!(is, (1, 1), "it said that it is kept"),
                Err(ErrorKind::OutcomeUnknown) => {
                    settles(&shop).await;
                    is = kept(&shop, &id).await;
                    assert!(is == (1, 1) || is == (0, 0), "row and event share their fate: {is:?}");
                    unknown_kept += u64::from(is == (1, 1));
                    unknown_gone += u64::from(is == (0, 0));
                }
                Err(kind) => {
                    assert_eq!((kind, is), (ErrorKind::Unavailable, (0, 0)), "it said that it is not kept");
                    told += 1;
                }
            }
            let answer = place(line, (&id, again), None).await;
            match is {
                (1, 1) => assert_eq!(answer, Err(ErrorKind::InvalidEvent), "it is refused: it is there"),
                _ => assert_eq!(answer, Ok(())),
            }
            assert_eq!(kept(&shop, &id).await, (1, 1));
        }
        println!(
            "{tried} orders, {} lines cut; {told} said not kept, {unknown_kept} unknown and kept, {unknown_gone} unknown and not",
            proxy.struck()
        );
    });
}

/// Waits until no transaction of a cut connection is left on the server.
async fn settles(shop: &Shop) {
    let open =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND xact_start IS NOT NULL AND backend_type = 'client backend'";
    eventually("the server has ended what was cut", DEADLINE, async || shop.count(open).await == 0).await;
}

/// The connection is cut in claims, handlers, commits and between them.
#[test]
fn a_connection_cut_at_any_byte_applies_each_message_once() {
    block_on(async {
        let (shop, log) = (Shop::open().await, MemoryLog::new(2));
        let proxy = Arc::new(Proxy::to(&shop.database).await);
        let store = PostgresStore::connect(&proxy.url(&shop.database)).await.unwrap();
        let bill = async |tx: &mut PgTx, order: Envelope<OrderPlaced>| -> Result<(), HandlerError> {
            sqlx::query("INSERT INTO bills VALUES ($1)")
                .bind(&order.data.order_id)
                .execute(&mut **tx)
                .await?;
            Ok(())
        };
        let consumer =
            Consumer::builder("billing", store.clone()).from(log.topics([OrderPlaced::TOPIC])).on(bill);
        let consumer = consumer.build().unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running = tokio::spawn(consumer.run(shutdown.clone()));

        let is_over = Arc::new(AtomicBool::new(false));
        let writing = {
            let (log, stats, is_over) = (log.clone(), stats.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut written = 0_u64;
                while !is_over.load(Ordering::Relaxed) {
                    let ahead = written.saturating_sub(stats.read().handled);
                    // Enough to have work in flight, and no more than a slow machine can do.
                    if ahead < 200 {
                        let order = Envelope::new(OrderPlaced::new(&format!("o-{written:06}")));
                        log.publish(&[codec::encode(&order, "shop").unwrap()]).await.remove(0).unwrap();
                        written += 1;
                    } else {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
                written
            })
        };
        let mut dice = dice();
        while proxy.struck() < cuts() {
            let (struck, handled) = (proxy.struck(), stats.read().handled);
            proxy.cut_after(dice.u32(..20_000));
            eventually("the line is cut", DEADLINE, async || proxy.struck() > struck).await;
            eventually("it goes on", DEADLINE, async || stats.read().handled > handled).await;
        }
        // An answer to a commit is a few bytes of many, so cut one on purpose: its messages are delivered again.
        // Each cut is followed by some work, because the commit of a first step would otherwise be cut again and again.
        for cut in 1.. {
            if stats.read().duplicates > 0 {
                break;
            }
            assert!(cut <= 200, "no message was delivered again");
            let handled = stats.read().handled;
            proxy.cut_next_commit();
            let goes_on = async || stats.read().handled > handled || stats.read().duplicates > 0;
            eventually("it goes on", DEADLINE, goes_on).await;
        }
        is_over.store(true, Ordering::Relaxed);
        let written = writing.await.unwrap();
        eventually("all are billed", DEADLINE, async || {
            shop.bills().await >= i64::try_from(written).unwrap()
        })
        .await;
        shutdown.request();
        running.await.unwrap().unwrap();
        let billed: Vec<String> = sqlx::query_scalar("SELECT id FROM bills ORDER BY id")
            .fetch_all(shop.store.pool())
            .await
            .unwrap();
        assert_eq!(billed, (0..written).map(|number| format!("o-{number:06}")).collect::<Vec<_>>());
        let failed_messages =
            messagekit::operations::FailedMessages::list(&shop.store, &FailedMessageFilter::default(), 10)
                .await
                .unwrap();
        assert_eq!(failed_messages, [], "a line that is cut is nobody's fault");
        println!("{} lines cut, {written} billed, {} again", proxy.struck(), stats.read().duplicates);
    });
}
