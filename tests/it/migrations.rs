//! A process that is killed while it migrates a topic, and the next migration.

use futures_util::TryStreamExt;
use messagekit::cleanup::{Cleanup, CleanupRequest, CleanupTarget, Retention};
use messagekit::crash::POINTS;
use messagekit_testkit::block_on;
use messagekit_topics::Topics;
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::worker::Role;

/// More than are written in one commit.
const RECORDS: u64 = 600;

/// The points of a migration, each with the number of its times: records are written in three commits.
const AT: [(&str, u32); 5] = [
    ("migration.staged", 1),
    ("migration.staged", 2),
    ("migration.staged", 3),
    ("migration.swapped", 1),
    ("migration.committed", 1),
];

fn write_numbers(shop: &Shop) {
    block_on(async {
        let topics = Topics::open(shop.file()).await.unwrap();
        let numbers = topics.untyped("numbers.number").dedup(["n"]).open().await.unwrap();
        numbers.extend(&(1..=RECORDS).map(|n| json!({ "n": n })).collect::<Vec<Value>>()).await.unwrap();
        topics.close().await.unwrap();
    });
}

/// Returns the field that all records have, after a check that none is missing or has the other form.
fn form(shop: &Shop) -> &'static str {
    block_on(async {
        let topics = Topics::open(shop.file()).await.unwrap();
        let numbers = topics.untyped("numbers.number").open().await.unwrap();
        let all: Vec<Value> = numbers.iter_all().map_ok(|record| record.data).try_collect().await.unwrap();
        topics.close().await.unwrap();
        let field = if all[0].get("n").is_some() { "n" } else { "number" };
        assert_eq!(all, (1..=RECORDS).map(|n| json!({ field: n })).collect::<Vec<_>>());
        field
    })
}

fn staged(shop: &Shop) -> i64 {
    shop.look().number("SELECT count(*) FROM messagekit_topic_migrations")
}

fn known_hashes(shop: &Shop) -> i64 {
    shop.look().number("SELECT count(*) FROM messagekit_dedup_hashes")
}

fn clean_up(shop: &Shop) {
    block_on(async {
        let topics = Topics::open(shop.file()).await.unwrap();
        let retention = Retention::default();
        let request = CleanupRequest {
            what: CleanupTarget::Events,
            retention: &retention,
            from: None,
            is_trial: false,
        };
        topics.store().remove_step(request).await.unwrap();
        topics.close().await.unwrap();
    });
}

#[test]
fn a_killed_migration_leaves_one_form_and_can_be_repeated() {
    for (point, time) in AT {
        let shop = Shop::new();
        write_numbers(&shop);
        shop.that_crashes(Role::Migrating, &format!("{point}:{time}")).until_crashed();
        let is_done = point == "migration.committed";
        let left = if is_done { "number" } else { "n" };
        assert_eq!(form(&shop), left, "{point}:{time}");
        assert_eq!(staged(&shop) > 0, !is_done, "{point}:{time}");
        if !is_done {
            shop.start(Role::Migrating).until_done();
        }
        assert_eq!((form(&shop), staged(&shop)), ("number", 0), "{point}:{time}");
        assert_eq!(known_hashes(&shop), RECORDS as i64, "{point}:{time}");
    }
}

#[test]
fn a_cleanup_deletes_what_a_killed_migration_has_left() {
    let shop = Shop::new();
    write_numbers(&shop);
    shop.that_crashes(Role::Migrating, "migration.staged:2").until_crashed();
    assert_eq!(staged(&shop), 512);
    clean_up(&shop);
    assert_eq!((form(&shop), staged(&shop)), ("n", 0));
}

#[test]
fn every_point_of_a_migration_has_a_test() {
    let points = POINTS.into_iter().filter(|point| point.starts_with("migration."));
    let mut tested: Vec<&str> = AT.iter().map(|(point, _)| *point).collect();
    tested.dedup();
    assert_eq!(points.collect::<Vec<_>>(), tested);
}
