//! The year of orders while everything is killed: billing, the Connect worker, PostgreSQL and Kafka, each while work is
//! unfinished.

use std::time::{Duration, Instant};

use fastrand::Rng;
use messagekit_testkit::eventually;
use messagekit_tests::services::Service;

use crate::billing::{MEMBERS, ORDERS, PATIENCE};
use crate::book::Book;
use crate::broker;
use crate::down::Down;
use crate::gate::Gate;
use crate::orders::{dealt_to, is_full, of_the_year, seed};
use crate::shop::Shop;
use crate::sql_writers::{psql_places, python_places};
use crate::writers::Writers;
use crate::year::WRITERS;
use crate::{turn, verdict};

/// How many rows the short form takes: enough that work is never finished before the last kill.
const ROWS: usize = 12_000;
/// How often billing is killed.
const BILLING_KILLS: usize = 10;
/// How often a kill may come when everything is billed; the next ones come where that cannot be.
const TOO_LATE: usize = 5;
/// How often the Connect worker is killed at least, and at most until records stand in the topic twice.
const CONNECT_KILLS: (usize, usize) = (2, 8);
/// So many orders wait to be billed when something is killed.
const UNFINISHED: usize = 20;

/// A shop whose parts are killed while its writers work.
struct Siege {
    shop: Shop,
    book: Book,
    writers: Writers,
    random: Rng,
    /// How many orders are let through before a kill.
    slice: usize,
    billing_kills: usize,
    too_late: usize,
    service_kills: Vec<Service>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_is_billed_once_while_everything_is_killed() {
    let _turn = turn::alone().await;
    let seed = seed();
    let shop = Shop::open().await;
    let book = Book::default();
    let started = Instant::now();

    let mut shares = dealt_to(WRITERS + 2, of_the_year(seed, ROWS));
    let (for_python, for_psql) = (shares.pop().unwrap(), shares.pop().unwrap());
    let slice = if is_full() { 500 } else { 200 };
    let writers = Writers::start(&shop.address, shares, &book);
    let random = Rng::with_seed(seed);
    let (billing_kills, too_late, service_kills) = (0, 0, Vec::new());
    let mut siege = Siege { shop, book, writers, random, slice, billing_kills, too_late, service_kills };

    psql_places(siege.shop.orders_database.url(), &for_psql, &siege.book);
    siege.kill_billing().await;
    python_places(siege.shop.orders_database.url(), &for_python, &siege.book);
    siege.kill_service(Service::Connect).await;
    for _ in 0..3 {
        siege.kill_billing().await;
    }
    siege.kill_service(Service::Postgres).await;
    for _ in 0..3 {
        siege.kill_billing().await;
    }
    siege.kill_service(Service::Kafka).await;
    while siege.billing_kills < BILLING_KILLS {
        siege.kill_billing().await;
    }
    let (least, most) = CONNECT_KILLS;
    while siege.kills_of(Service::Connect) < least
        || (siege.duplicates() == 0 && siege.kills_of(Service::Connect) < most)
    {
        siege.kill_service(Service::Connect).await;
    }

    let [connect, postgres, kafka] =
        [Service::Connect, Service::Postgres, Service::Kafka].map(|service| siege.kills_of(service));
    let Siege { mut shop, book, writers, billing_kills: billing, too_late, .. } = siege;
    writers.finish();
    shop.until_settled(&book).await;
    let figures = verdict::compare(&shop, &book).await;
    println!(
        "kills: {figures}; killed: billing {billing} ({too_late} more too late), connect {connect}, postgres {postgres}, kafka {kafka}; {} seconds",
        started.elapsed().as_secs()
    );
    assert!(
        figures.duplicates > 0,
        "void: nothing came twice, so nothing was shown about what does: {figures}"
    );
}

impl Siege {
    /// Kills a process of billing, and again when everything was billed before the kill came.
    async fn kill_billing(&mut self) {
        loop {
            let member = self.random.usize(..MEMBERS);
            let (committed, gate) = self.until_unfinished().await;
            // Not held, it opens here.
            let held = (self.too_late == TOO_LATE).then_some(gate);
            if held.is_none() {
                // The act itself: a moment that nothing in billing decides.
                tokio::time::sleep(Duration::from_micros(self.random.u64(..30_000))).await;
            }
            self.shop.billing.kill(member);
            let billed = self.shop.billing.bills().await.expect("the database answers");
            drop(held);
            self.shop.billing.start_again(member).await;
            if billed < committed {
                self.billing_kills += 1;
                return self.until_billed_more(billed).await;
            }
            self.too_late += 1;
        }
    }

    async fn kill_service(&mut self, service: Service) {
        let (committed, gate) = self.until_unfinished().await;
        let held = self.random.bool().then_some(gate);
        let lost = self.book.answers().unknown.len();
        let killing = tokio::task::spawn_blocking(move || Down::kill(service));
        // Orders are placed until it dies: what the worker has published and not yet noted comes twice.
        eventually("it is dead", PATIENCE, async || {
            self.writers.pace.allow(WRITERS);
            killing.is_finished()
        })
        .await;
        let down = killing.await.expect("it can be killed");
        drop(held);
        let known = self.book.to_be_billed();
        // Orders go on being placed while it is away; without the database they are only asked for.
        self.writers.pace.allow(self.slice / 2);
        if service == Service::Postgres {
            eventually("an answer is lost", PATIENCE, async || self.book.answers().unknown.len() > lost)
                .await;
        } else {
            // Each writer may have had one under way; what is placed behind these reaches billing only later.
            let placed = known + WRITERS;
            eventually("orders are placed", PATIENCE, async || self.book.to_be_billed() > placed).await;
            let billed = self.shop.billing.bills().await.expect("the database answers");
            assert!(billed < self.book.to_be_billed(), "billed without {service:?}: {billed}");
        }
        down.start();
        self.service_kills.push(service);
        self.until_billed_more(committed).await;
    }

    /// Closes the gate, and lets orders through until many are committed and not billed, and billing has one in hand.
    /// Returns how many are known to be committed.
    async fn until_unfinished(&self) -> (usize, Gate) {
        let mut gate = Gate::close(&self.shop.billing.database).await;
        let billed = self.shop.billing.bills().await.expect("the database answers");
        eventually("orders wait to be billed", PATIENCE, async || {
            let is_unfinished = self.book.to_be_billed() >= billed + UNFINISHED;
            if !is_unfinished && self.writers.pace.is_used_up() {
                assert!(!self.writers.are_done(), "void: every order was placed before the last kill");
                self.writers.pace.allow(self.slice);
            }
            is_unfinished
        })
        .await;
        gate.until_billing_waits().await;
        (self.book.to_be_billed(), gate)
    }

    async fn until_billed_more(&self, than: usize) {
        self.shop.billing.until_bills(than + 1).await;
    }

    fn kills_of(&self, service: Service) -> usize {
        self.service_kills.iter().filter(|killed| **killed == service).count()
    }

    /// Returns how many records stand in the orders' topic besides the first of each event.
    fn duplicates(&self) -> usize {
        let records = broker::read(ORDERS.0);
        let ids: std::collections::BTreeSet<_> = records.iter().map(|record| record.id()).collect();
        records.len() - ids.len()
    }
}
