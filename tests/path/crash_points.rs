//! A service crashes at each crash point and is restarted, and everything has happened once.

mod outcome;
mod work;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use messagekit::crash::POINTS;
use messagekit_testkit::crash::Ended;
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::{Database, Launch, Program};
use sqlx::PgConnection;

use self::outcome::{Outcome, delivered_again, is_consistent, is_settled};
use self::work::{Rule, records};
use crate::billing::{Billing, MEMBERS, PATIENCE, member_settings};
use crate::book::Book;
use crate::names::Names;
use crate::orders::{LIMIT_PENCE, dealt_to, of_the_year, seed};
use crate::process::launch;
use crate::records::send;
use crate::shop::Shop;
use crate::writers::Writers;
use crate::year::WRITERS;
use crate::{turn, verdict};

/// The number of orders in a case of the order service.
const PLACED: usize = 200;
/// Points after the commit of a batch and before its settle: its messages must be delivered again.
const UNSETTLED: [&str; 3] = ["store.committed", "consumer.committed", "set_aside.committed"];
/// Points inside the run of a failed message.
const IN_A_RETRY: [&str; 3] = ["retry.leased", "retry.handled", "retry.resolved"];

/// Generates one test for each line. Every point must have a line.
macro_rules! points {
    ($($test:ident: $service:ident, $point:literal, $time:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $service($point, $time).await;
            }
        )*

        #[test]
        fn every_point_has_a_case() {
            let mut tested = vec![$($point),*];
            tested.dedup();
            let of_services: Vec<_> = POINTS.into_iter().filter(|point| suite_of(point).is_none()).collect();
            assert_eq!(tested, of_services);
        }
    };
}

// The tables of a service are its first commit, so the counts of the store's points begin after it.
points! {
    order_service_dies_after_writing_the_event: order_service, "outbox.written", 40;
    billing_dies_after_writing_an_event: billing, "outbox.written", 30;
    order_service_dies_before_its_commit: order_service, "store.before_commit", 40;
    billing_dies_before_its_commit: billing, "store.before_commit", 3;
    order_service_dies_after_its_commit: order_service, "store.committed", 40;
    billing_dies_after_its_commit: billing, "store.committed", 3;
    billing_dies_when_bound: billing, "consumer.bound", 1;
    billing_dies_after_noting_its_first_batch: billing, "consumer.attempt_begun", 1;
    billing_dies_after_the_claim: billing, "consumer.claimed", 3;
    billing_dies_after_a_handler: billing, "consumer.handled", 30;
    billing_dies_after_the_offsets: billing, "consumer.advanced", 3;
    billing_dies_between_commit_and_settling: billing, "consumer.committed", 3;
    billing_dies_after_settling: billing, "consumer.settled", 2;
    billing_dies_while_setting_aside: billing, "set_aside.written", 3;
    billing_dies_after_setting_aside: billing, "set_aside.committed", 2;
    billing_dies_with_a_leased_failed_message: billing, "retry.leased", 2;
    billing_dies_after_the_handler_of_a_retry: billing, "retry.handled", 2;
    billing_dies_after_resolving_a_failed_message: billing, "retry.resolved", 2;
    billing_dies_after_the_commit_of_a_retry: billing, "retry.committed", 2;
}

/// Returns the suite with the cases of a point that no service of the shop reaches.
fn suite_of(point: &str) -> Option<&'static str> {
    match point.split('.').next() {
        Some("migration" | "priming") => Some("it"),
        // No service of the shop calls another one.
        _ if point.ends_with(".called") => Some("it"),
        area => ["relay", "bridge", "bookkeeper"].into_iter().find(|suite| area == Some(*suite)),
    }
}

#[test]
fn every_other_point_has_a_case_in_its_suite() {
    for (point, suite) in POINTS.into_iter().filter_map(|point| Some((point, suite_of(point)?))) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(suite);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        let names = files.map(|path| fs::read_to_string(path).unwrap());
        // With or without a count.
        let named = |text: String| text.contains(&format!("\"{point}"));
        assert!(names.into_iter().any(named), "nothing dies at {point} in {}", folder.display());
    }
}

/// Crashes the order service while eight clients place orders through it, and follows every order to its parcel.
async fn order_service(point: &str, time: usize) {
    let _turn = turn::with_fixed_names();
    let started = Instant::now();
    let mut shop = Shop::open().await;
    let book = Book::default();
    let limit = LIMIT_PENCE.to_string();
    // The same address as before: its clients know no other.
    let listen = shop.address.strip_prefix("http://").expect("a URL").to_owned();
    let settings = [
        ("MESSAGEKIT_DATABASE__0__URL", shop.orders_database.url()),
        ("MESSAGEKIT_ORDERS__LISTEN", &listen),
        ("MESSAGEKIT_ORDERS__LIMIT_PENCE", &limit),
        ("MESSAGEKIT_ORDERS__NAME_PREFIX", &shop.billing.names.prefix),
    ];
    shop.orders.kill();
    let service = doomed(launch("messagekit-orders", &[]).variables(settings), point, time);
    let mut orders = of_the_year(seed(), PLACED);
    orders.truncate(PLACED);
    let writers = Writers::start(&shop.address, dealt_to(WRITERS, orders), &book);
    writers.pace.open();
    until_one_died(vec![service], point, async || ()).await;

    shop.orders = launch("messagekit-orders", &[]).variables(settings).start();
    assert_eq!(shop.orders.address(), shop.address);
    writers.finish();
    shop.until_settled(&book).await;
    let statistics = verdict::compare(&shop, &book).await;
    println!("order service at {point}: {statistics}; {:.1?}", started.elapsed());
    assert!(statistics.unknown > 0 && statistics.rolled_back > 0, "void: {statistics}");
    assert!(
        point != "store.committed" || statistics.unknown_there > 0,
        "what was committed is away: {statistics}"
    );
}

/// Crashes a process of billing at work, restarts it, and compares the outcome of the orders.
async fn billing(point: &str, time: usize) {
    let _turn = turn::together();
    let started = Instant::now();
    let (database, names) = (Database::fresh().await, Names::make().await);
    let mut look = database.connection().await;
    // The first process to reach the point crashes; the other one is killed in the middle of its work.
    let members = (0..MEMBERS).map(|_| doomed_member(&database, &names, point, time)).collect();
    let mut rule = Rule::make(&mut look).await;
    send(&names, records()).await;
    until_one_died(members, point, async || rule.drop_when_all_wait(&mut look).await).await;
    until_forgotten(&mut look).await;
    rule.drop(&mut look).await;

    let before = is_consistent(&mut look).await;
    let again = delivered_again(&mut look, &names).await;
    assert!(again > 0 || !UNSETTLED.contains(&point), "void: nothing is delivered again");
    let cut_off = end_leases(&mut look).await;
    assert!(cut_off > 0 || !IN_A_RETRY.contains(&point), "void: no failed message was in its run");

    let mut billing = Billing::open_on(database, names).await;
    eventually("everything is settled and no failed message waits", PATIENCE, async || {
        billing.are_alive();
        let waiting = "SELECT count(*) FROM messagekit.failed_messages WHERE due IS NOT NULL";
        is_settled(&billing.names) && count(&mut look, waiting).await == 0
    })
    .await;
    billing.until_read().await;
    let outcome = Outcome::compare(&mut look).await;
    println!(
        "billing at {point}: {before} billed before, {again} records delivered again, {cut_off} runs of failed messages cut off; \
         {outcome}; {:.1?}",
        started.elapsed()
    );
}

fn doomed_member(database: &Database, names: &Names, point: &str, time: usize) -> Program {
    // Without an instance id: the group would wait for a process with one until its session ends, 45 s after its crash.
    let settings = member_settings(database, names, None);
    doomed(launch("messagekit-billing", &[]).variables(settings), point, time)
}

/// Starts a service that aborts when it reaches the point for the `time`th time.
fn doomed(launch: Launch, point: &str, time: usize) -> Program {
    launch.named(&format!("crash-at-{point}")).crash_at(Some(&format!("{point}:{time}"))).start()
}

/// Waits until one of them has aborted at the point, and kills the others. Calls `meanwhile` repeatedly until then.
async fn until_one_died(mut all: Vec<Program>, point: &str, mut meanwhile: impl AsyncFnMut()) {
    eventually(&format!("a service reaches {point}"), 2 * DEADLINE, async || {
        meanwhile().await;
        all.iter_mut().any(|service| service.status().is_some())
    })
    .await;
    let ends: Vec<_> = all.iter_mut().map(|service| service.wait(Duration::ZERO)).collect();
    let by_itself = |end: &Ended| !matches!(end, Ended::Aborted | Ended::TimedOut);
    let is_right = ends.contains(&Ended::Aborted) && !ends.iter().any(by_itself);
    assert!(is_right, "ended by itself instead of at {point}: {ends:?}");
}

/// Waits until the database has ended the transactions of the killed processes.
async fn until_forgotten(look: &mut PgConnection) {
    let others = "SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    eventually("the sessions of the dead end", DEADLINE, async || count(look, others).await == 0).await;
}

/// Expires the leases of the killed processes, and returns how many there were.
async fn end_leases(look: &mut PgConnection) -> u64 {
    let sql = "UPDATE messagekit.failed_messages SET due = now() WHERE running_since IS NOT NULL";
    sqlx::query(sql).execute(look).await.expect("leases can be ended").rows_affected()
}

async fn count(look: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(look).await.expect("the database answers")
}
