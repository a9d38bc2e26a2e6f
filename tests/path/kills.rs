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
    let mut siege = Siege { shop, book, writers, random, slice, billing_kills: 0, service_kills: Vec::new() };

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
    let Siege { mut shop, book, writers, billing_kills: billing, .. } = siege;
    writers.finish();
    shop.until_settled(&book).await;
    let figures = verdict::compare(&shop, &book).await;
    println!(
        "kills: {figures}; killed: billing {billing}, connect {connect}, postgres {postgres}, kafka {kafka}; {} seconds",
        started.elapsed().as_secs()
    );
    assert!(
        figures.duplicates > 0,
        "void: nothing came twice, so nothing was shown about what does: {figures}"
    );
}

impl Siege {
    async fn kill_billing(&mut self) {
        let member = self.random.usize(..MEMBERS);
        let committed = self.until_unfinished().await;
        self.shop.billing.kill(member);
        let billed = self.billed_of(committed).await;
        self.billing_kills += 1;
        self.shop.billing.start_again(member).await;
        self.until_billed_more(billed).await;
    }

    async fn kill_service(&mut self, service: Service) {
        // Enough that orders are placed before, while and after it dies.
        self.writers.pace.allow(2 * self.slice);
        let committed = self.until_unfinished().await;
        let lost = self.book.answers().unknown.len();
        let down = Down::kill(service);
        let placed = self.book.answers().placed.len();
        // Orders go on being placed while it is away; without the database they are only asked for.
        self.writers.pace.allow(self.slice / 2);
        if service == Service::Postgres {
            eventually("an answer is lost", PATIENCE, async || self.book.answers().unknown.len() > lost)
                .await;
        } else {
            self.billed_of(self.book.to_be_billed()).await;
            eventually("orders are placed", PATIENCE, async || self.book.answers().placed.len() > placed)
                .await;
        }
        down.start();
        self.service_kills.push(service);
        self.until_billed_more(committed).await;
    }

    /// Lets orders through until many are committed and not billed; returns how many were known to be committed.
    async fn until_unfinished(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let committed = self.book.to_be_billed();
            let billed = self.shop.billing.bills().await.expect("the database answers");
            if committed >= billed + UNFINISHED {
                return committed;
            }
            assert!(Instant::now() < deadline, "orders are billed as fast as they are placed");
            assert!(!self.writers.are_done(), "void: every order was placed before the last kill");
            if self.writers.pace.is_used_up() {
                self.writers.pace.allow(self.slice);
            }
            // Looked at often: the moment is short.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns how many bills there are, which must be fewer than the orders that were committed before.
    async fn billed_of(&self, committed: usize) -> usize {
        let billed = self.shop.billing.bills().await.expect("the database answers");
        assert!(
            billed < committed,
            "void: everything was billed when the kill came: {billed} of {committed}"
        );
        billed
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
