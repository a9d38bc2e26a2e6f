//! The year of orders while everything is killed: billing, the bridge, the Connect worker, PostgreSQL, Kafka and RabbitMQ,
//! each while work is unfinished.

use std::time::{Duration, Instant};

use fastrand::Rng;
use messagekit_testkit::eventually;
use messagekit_tests::services::Service;

use crate::billing::{MEMBERS, PATIENCE};
use crate::book::Book;
use crate::down::Down;
use crate::gate::Gate;
use crate::orders::{dealt_to, of_the_year, seed};
use crate::shop::Shop;
use crate::sql_writers::{psql_places, python_places};
use crate::writers::Writers;
use crate::year::WRITERS;
use crate::{broker, queues, turn, verdict};

/// The number of rows in the short form.
const ROWS: usize = 9_000;
/// The number of kills of billing, in the short form and in the long one.
const BILLING_KILLS: (usize, usize) = (4, 10);
/// The number of kills that may come when everything is billed. The next ones come at a point where that is impossible.
const TOO_LATE: usize = 5;
/// The number of kills of the bridge, in the short form and in the long one.
const BRIDGE_KILLS: (usize, usize) = (3, 20);
/// The number of bills per second that the bridge may forward until its last kill, at first. Each kill therefore meets unfinished
/// work.
const BRIDGE_LIMIT: u32 = 200;
/// After this many checks the bridge is faster than billing on this machine, and is slowed down further.
const TOO_FAST: u32 = 60;
/// The number of kills of RabbitMQ, in the short form and in the long one.
const RABBITMQ_KILLS: (usize, usize) = (1, 2);
/// The smallest number of kills of the Connect worker, in the short form and in the long one.
const CONNECT_KILLS: (usize, usize) = (1, 2);
/// The largest number of its kills until the topic has duplicates.
const MOST_CONNECT_KILLS: usize = 20;
/// The largest number of kills of the bridge until a message is certain to be forwarded twice.
const MOST_BRIDGE_KILLS: usize = 100;
/// The number of orders that wait for billing at a kill.
const UNFINISHED: usize = 20;

/// A shop whose parts are killed while its writers work.
struct Siege {
    shop: Shop,
    book: Book,
    writers: Writers,
    random: Rng,
    /// The number of orders that are permitted before a kill.
    share: usize,
    billing_kills: usize,
    bridge_kills: usize,
    /// The number of bills per second that the bridge may forward.
    bridge_limit: u32,
    /// A killed bridge had published messages that its group had not committed.
    comes_twice: bool,
    too_late: usize,
    service_kills: Vec<Service>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_is_billed_once_while_everything_is_killed() {
    let _turn = turn::alone();
    let seed = seed();
    let shop = Shop::open().await;
    let book = Book::default();
    let started = Instant::now();

    let mut shares = dealt_to(WRITERS + 2, of_the_year(seed, ROWS));
    let (for_python, for_psql) = (shares.pop().unwrap(), shares.pop().unwrap());
    let share = of_this_form((200, 500));
    let writers = Writers::start(&shop.address, shares, &book);
    let random = Rng::with_seed(seed);
    let service_kills = Vec::new();
    let (billing_kills, bridge_kills, too_late, comes_twice) = (0, 0, 0, false);
    let mut siege = Siege {
        shop,
        book,
        writers,
        random,
        share,
        billing_kills,
        bridge_kills,
        bridge_limit: BRIDGE_LIMIT,
        comes_twice,
        too_late,
        service_kills,
    };

    psql_places(siege.shop.orders_database.url(), &siege.shop.billing.names.orders, &for_psql, &siege.book);
    siege.kill_billing().await;
    python_places(
        siege.shop.orders_database.url(),
        &siege.shop.billing.names.orders,
        &for_python,
        &siege.book,
    );
    siege.kill_service(Service::Connect).await;
    let billing_kills = of_this_form(BILLING_KILLS);
    for service in [Service::Postgres, Service::Kafka] {
        for _ in 0..billing_kills / 3 {
            siege.kill_billing().await;
        }
        siege.kill_service(service).await;
    }
    while siege.billing_kills < billing_kills {
        siege.kill_billing().await;
    }
    while siege.kills_of(Service::Connect) < of_this_form(CONNECT_KILLS)
        || (siege.duplicates() == 0 && siege.kills_of(Service::Connect) < MOST_CONNECT_KILLS)
    {
        siege.kill_service(Service::Connect).await;
    }

    let bridge_kills = of_this_form(BRIDGE_KILLS);
    siege.slow_bridge_down().await;
    while siege.bridge_kills < bridge_kills || (!siege.comes_twice && siege.bridge_kills < MOST_BRIDGE_KILLS)
    {
        siege.kill_bridge().await;
        if siege.kills_of(Service::RabbitMq) < of_this_form(RABBITMQ_KILLS) {
            siege.kill_rabbitmq().await;
        }
    }
    siege.let_bridge_run();

    let services = [Service::Connect, Service::Postgres, Service::Kafka, Service::RabbitMq];
    let [connect, postgres, kafka, rabbitmq] = services.map(|service| siege.kills_of(service));
    let Siege { mut shop, book, writers, billing_kills: billing, bridge_kills: bridge, too_late, .. } = siege;
    writers.finish();
    shop.until_settled(&book).await;
    let statistics = verdict::compare(&shop, &book).await;
    println!(
        "kills: {statistics}; killed: billing {billing} and bridge {bridge} ({too_late} more too late), connect {connect}, \
         postgres {postgres}, kafka {kafka}, rabbitmq {rabbitmq}; {} seconds",
        started.elapsed().as_secs()
    );
    assert!(
        statistics.duplicates > 0 && statistics.delivered_twice > 0,
        "void: nothing came twice, so nothing was shown about what does: {statistics}"
    );
}

/// Returns a number of the short form, or of the long one.
fn of_this_form((short, long): (usize, usize)) -> usize {
    if messagekit_tests::is_full() { long } else { short }
}

impl Siege {
    /// Kills a process of billing, and again when everything was billed before the kill came.
    async fn kill_billing(&mut self) {
        loop {
            let member = self.random.usize(..MEMBERS);
            let (committed, gate) = self.until_unfinished().await;
            // Without a hold it opens here.
            let held = (self.too_late == TOO_LATE).then_some(gate);
            if held.is_none() {
                // The kill comes at a moment that nothing in billing decides.
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
        // Orders are placed until the kill: events that the worker has published and not yet committed come twice.
        eventually("it is dead", PATIENCE, async || {
            self.allow_when_used_up(WRITERS);
            killing.is_finished()
        })
        .await;
        let down = killing.await.expect("it can be killed");
        drop(held);
        let known = self.book.to_be_billed();
        // Orders are still placed while it is away; without the database they are only requested.
        self.writers.pace.allow(self.share / 2);
        if service == Service::Postgres {
            eventually("an answer is lost", PATIENCE, async || self.book.answers().unknown.len() > lost)
                .await;
        } else {
            // Each writer may have had one in flight; later orders reach billing only afterwards.
            let placed = known + WRITERS;
            eventually("orders are placed", PATIENCE, async || self.book.to_be_billed() > placed).await;
            let billed = self.shop.billing.bills().await.expect("the database answers");
            assert!(billed < self.book.to_be_billed(), "billed without {service:?}: {billed}");
        }
        down.start();
        self.service_kills.push(service);
        self.until_billed_more(committed).await;
    }

    /// Makes the bridge slower than billing, and waits until bills wait for it.
    async fn slow_bridge_down(&mut self) {
        self.shop.bridge.kill();
        self.shop.bridge.start_again(Some(self.bridge_limit));
        self.until_bills_wait().await;
    }

    fn let_bridge_run(&mut self) {
        self.shop.bridge.kill();
        self.shop.bridge.start_again(None);
    }

    /// Permits orders until more bills wait for the bridge than it forwards between two checks.
    async fn until_bills_wait(&mut self) {
        let mut checks = 0;
        eventually("bills wait for the bridge", PATIENCE, async || {
            let waits = self.shop.bridge.backlog() >= Some(4 * i64::from(self.bridge_limit));
            if !waits {
                // More than the bridge forwards until the next check, also where a check takes seconds.
                self.allow_when_used_up(4 * self.bridge_limit as usize);
                checks += 1;
                if checks % TOO_FAST == 0 && self.bridge_limit > 1 {
                    self.bridge_limit /= 2;
                    self.shop.bridge.kill();
                    self.shop.bridge.start_again(Some(self.bridge_limit));
                }
            }
            waits
        })
        .await;
    }

    /// Kills the bridge while bills are in flight, and again when it had nothing to do.
    async fn kill_bridge(&mut self) {
        loop {
            self.until_bills_wait().await;
            let before = queues::tapped_so_far().await;
            // It is at work. The kill comes at a moment that nothing in it decides.
            eventually("the bridge forwards", PATIENCE, async || queues::tapped_so_far().await > before)
                .await;
            tokio::time::sleep(Duration::from_micros(self.random.u64(..30_000))).await;
            self.shop.bridge.kill();
            let left = self.shop.bridge.backlog().expect("the broker answers");
            // More was published than is committed, and the difference is published again.
            let noted = self.shop.bridge.settled().expect("the broker answers");
            self.comes_twice |= i64::from(queues::tapped_so_far().await) > noted;
            self.shop.bridge.start_again(Some(self.bridge_limit));
            if left > 0 {
                self.bridge_kills += 1;
                return;
            }
            self.too_late += 1;
        }
    }

    /// Kills RabbitMQ while bills wait for it, and again when they had all been forwarded before the kill.
    async fn kill_rabbitmq(&mut self) {
        loop {
            self.until_bills_wait().await;
            let down = tokio::task::spawn_blocking(|| Down::kill(Service::RabbitMq));
            let down = down.await.expect("it can be killed");
            let left = self.shop.bridge.backlog().expect("the broker answers");
            tokio::task::spawn_blocking(|| down.start()).await.expect("it can be started");
            if left > 0 {
                return self.service_kills.push(Service::RabbitMq);
            }
            self.too_late += 1;
        }
    }

    /// Permits more orders once the permitted ones are placed: the duration of a step does not decide how many orders
    /// are billed.
    fn allow_when_used_up(&self, orders: usize) {
        if self.writers.pace.is_used_up() {
            self.writers.pace.allow(orders);
        }
    }

    /// Closes the gate, and permits orders until many are committed and not billed, and billing has one in flight.
    /// Returns the number of committed orders.
    async fn until_unfinished(&self) -> (usize, Gate) {
        let mut gate = Gate::close(&self.shop.billing.database, "bills").await;
        let billed = self.shop.billing.bills().await.expect("the database answers");
        eventually("orders wait to be billed", PATIENCE, async || {
            let is_unfinished = self.book.to_be_billed() >= billed + UNFINISHED;
            if !is_unfinished {
                self.allow_when_used_up(self.share);
            }
            is_unfinished
        })
        .await;
        gate.until_somebody_waits().await;
        (self.book.to_be_billed(), gate)
    }

    async fn until_billed_more(&self, than: usize) {
        self.shop.billing.until_bills(than + 1).await;
    }

    fn kills_of(&self, service: Service) -> usize {
        self.service_kills.iter().filter(|killed| **killed == service).count()
    }

    /// Returns the number of duplicates in the orders' topic.
    fn duplicates(&self) -> usize {
        let records = broker::read(&self.shop.billing.names.orders);
        let ids: std::collections::BTreeSet<_> = records.iter().map(|record| record.id()).collect();
        records.len() - ids.len()
    }
}
