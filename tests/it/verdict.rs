//! Compares the file with the book: everything that was committed once, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use messagekit_testkit::ledger;

use crate::book::{Book, Kind, Order, Outcome};
use crate::shop::View;

/// The statistics of a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Statistics {
    /// Orders whose transaction was ended.
    pub(crate) tried: usize,
    pub(crate) committed: usize,
    pub(crate) rolled_back: usize,
    /// Orders whose service crashed before it had an answer, and how many of them exist.
    pub(crate) unknown: usize,
    pub(crate) unknown_and_there: usize,
    pub(crate) billed: usize,
    pub(crate) dead: usize,
    pub(crate) resolved: usize,
    /// Records that are second copies of another one.
    pub(crate) duplicates: usize,
    pub(crate) pence: i64,
}

/// The outcome of an order that billing can never handle, and the order of its customer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failed {
    /// It is a failed message, and later orders of its customer have overtaken it.
    IsDead,
    /// An operator has discarded it, and later orders of its customer have waited for that.
    IsDiscarded,
}

/// Everything in the file that belongs to an order.
struct ReadBack {
    orders: BTreeMap<i64, Vec<(String, i64)>>,
    /// By order: event id.
    records: BTreeMap<i64, Vec<String>>,
    bills: BTreeMap<i64, Vec<i64>>,
    outputs: BTreeMap<i64, Vec<i64>>,
    printed: BTreeMap<i64, Vec<i64>>,
    /// By event id.
    markers: BTreeMap<String, i64>,
    failed_messages: BTreeMap<String, String>,
}

/// Returns the query for the records of a topic with a field of their payload.
fn records(topic: &str, field: &str) -> String {
    format!(
        "SELECT json_extract(CAST(r.payload AS TEXT), '$.number'), {field} FROM messagekit_topic_records r
         JOIN messagekit_topic_partitions p ON p.id = r.pos >> 40
         JOIN messagekit_topics t ON t.id = p.topic_id AND t.name = '{topic}'"
    )
}

impl ReadBack {
    fn read(view: &View) -> Self {
        let amounts = |sql: &str| view.by(sql, |row| Ok((row.get(0)?, row.get(1)?)));
        let by_id = |table: &str, field: &str| {
            format!(
                "SELECT message_id, {field} FROM {table}
                 WHERE consumer_id = (SELECT id FROM messagekit_consumers WHERE name = 'billing')"
            )
        };
        let markers = by_id("messagekit_processed_messages", "outcome");
        let failed_messages = by_id("messagekit_failed_messages", "state");
        Self {
            orders: view.by("SELECT number, event_id, pence FROM orders", |row| {
                Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
            }),
            records: view.by(&records("orders.order", "r.event_id"), |row| Ok((row.get(0)?, row.get(1)?))),
            bills: amounts("SELECT number, pence FROM bills"),
            outputs: amounts(&records("billing.bill", "json_extract(CAST(r.payload AS TEXT), '$.pence')")),
            printed: amounts("SELECT number, pence FROM printed"),
            markers: view.all(&markers, |row| Ok((row.get(0)?, row.get(1)?))).into_iter().collect(),
            failed_messages: view
                .all(&failed_messages, |row| Ok((row.get(0)?, row.get(1)?)))
                .into_iter()
                .collect(),
        }
    }

    fn compare(&self, number: i64, order: &Order, is_there: bool, failed: Failed) {
        let about = format!("order {number}, {order:?}");
        let once = |there: bool| if there { vec![order.pence] } else { vec![] };
        let of = |amounts: &BTreeMap<i64, Vec<i64>>| amounts.get(&number).cloned().unwrap_or_default();
        let is_billed = is_there && order.kind != Kind::Spoiled;

        let rows = self.orders.get(&number).cloned().unwrap_or_default();
        let expected = if is_there { vec![(order.event_id.clone(), order.pence)] } else { vec![] };
        assert_eq!(rows, expected, "rows of {about}");
        let events = self.records.get(&number).cloned().unwrap_or_default();
        let expected = vec![order.event_id.clone(); if is_there { order.copies } else { 0 }];
        assert_eq!(events, expected, "records of {about}");
        assert_eq!(of(&self.bills), once(is_billed), "bills of {about}");
        assert_eq!(of(&self.outputs), once(is_billed), "events about bills of {about}");
        assert_eq!(of(&self.printed), once(is_billed), "printed of {about}");

        const DONE: i64 = 0;
        const HELD: i64 = 1;
        const DISCARDED: i64 = 2;
        let found = self.failed_messages.get(&order.event_id).map(String::as_str);
        let (marker, failed_message) = match order.kind {
            _ if !is_there => (None, None),
            // It may have waited for an earlier one.
            Kind::Placed if failed == Failed::IsDiscarded && found.is_some() => {
                (Some(DONE), Some("resolved"))
            }
            Kind::Placed => (Some(DONE), None),
            Kind::Shaky => (Some(DONE), Some("resolved")),
            Kind::Spoiled if failed == Failed::IsDiscarded => (Some(DISCARDED), Some("discarded")),
            Kind::Spoiled => (Some(HELD), Some("dead")),
        };
        assert_eq!(self.markers.get(&order.event_id).copied(), marker, "marker of {about}");
        assert_eq!(found, failed_message, "failed message of {about}");
    }

    /// Requires that the file has only orders that an order service printed.
    fn has_no_strangers(&self, orders: &BTreeMap<i64, Order>) {
        let strangers = |found: BTreeSet<i64>| {
            found.into_iter().filter(|number| !orders.contains_key(number)).collect::<Vec<_>>()
        };
        let nobody: Vec<i64> = Vec::new();
        assert_eq!(strangers(self.orders.keys().copied().collect()), nobody, "rows");
        assert_eq!(strangers(self.records.keys().copied().collect()), nobody, "records");
        assert_eq!(strangers(self.bills.keys().copied().collect()), nobody, "bills");
        assert_eq!(strangers(self.outputs.keys().copied().collect()), nobody, "events about bills");
        assert_eq!(strangers(self.printed.keys().copied().collect()), nobody, "printed");
        let ids: BTreeSet<&str> = orders.values().map(|order| order.event_id.as_str()).collect();
        assert!(self.markers.keys().all(|id| ids.contains(id.as_str())), "markers");
        assert!(self.failed_messages.keys().all(|id| ids.contains(id.as_str())), "failed_messages");
    }
}

/// Compares everything, and returns the statistics.
pub(crate) fn compare(view: &View, book: &Book, failed: Failed) -> Statistics {
    let found = ReadBack::read(view);
    let orders = &book.orders();
    ledger_agrees(view, book);
    let mut statistics = Statistics { tried: orders.len(), ..Statistics::default() };
    for (number, order) in orders {
        let is_there = match order.outcome {
            Outcome::Committed => true,
            Outcome::RolledBack => false,
            // Completely or not at all: the order row decides, and everything else must agree.
            Outcome::Unknown => found.orders.contains_key(number),
        };
        match order.outcome {
            Outcome::Committed => statistics.committed += 1,
            Outcome::RolledBack => statistics.rolled_back += 1,
            Outcome::Unknown => {
                statistics.unknown += 1;
                statistics.unknown_and_there += usize::from(is_there);
            }
        }
        if is_there {
            statistics.duplicates += order.copies - 1;
            match order.kind {
                Kind::Spoiled => statistics.dead += 1,
                kind => {
                    statistics.billed += 1;
                    statistics.resolved += usize::from(kind == Kind::Shaky);
                    statistics.pence += order.pence;
                }
            }
        }
        found.compare(*number, order, is_there, failed);
    }
    found.has_no_strangers(orders);
    sums_are_equal(view, statistics.pence);
    order_is_kept(view, failed);
    log_is_whole(view);
    statistics
}

/// Compares the ledger on disk with the bills and the failed messages.
fn ledger_agrees(view: &View, book: &Book) {
    let bills =
        view.all("SELECT CAST(number AS TEXT), pence FROM bills", |row| Ok((row.get(0)?, row.get(1)?)));
    let dead = "SELECT json_extract(CAST(payload AS TEXT), '$.number') FROM messagekit_failed_messages WHERE state <> 'resolved'";
    let dead = view.all(dead, |row| row.get::<_, i64>(0)).into_iter().map(|number| number.to_string());
    let verdict = ledger::check(&book.ledger(), bills, dead);
    assert!(verdict.is_clean(), "{verdict}: {verdict:#?}");
    println!("ledger: {verdict}");
}

fn sums_are_equal(view: &View, pence: i64) {
    for sum in [
        "SELECT coalesce(sum(pence), 0) FROM bills",
        "SELECT coalesce(sum(pence), 0) FROM totals",
        "SELECT coalesce(sum(pence), 0) FROM printed",
    ] {
        assert_eq!(view.number(sum), pence, "{sum}");
    }
    let per_customer = "SELECT count(*) FROM totals t WHERE pence <>
        (SELECT sum(pence) FROM bills b WHERE coalesce(b.customer, 'nobody') = t.customer)";
    assert_eq!(view.number(per_customer), 0, "totals of customers");
}

/// Requires that the bills of a customer are in the order of the records. Failed messages that gave up their order are left out.
fn order_is_kept(view: &View, failed: Failed) {
    let per_customer = |sql: &str| {
        let mut of: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (customer, number) in view.all(sql, |row| Ok((row.get::<_, String>(0)?, row.get(1)?))) {
            of.entry(customer).or_default().push(number);
        }
        of
    };
    let placed = match failed {
        Failed::IsDead => "event_type = 'orders.order.placed'",
        Failed::IsDiscarded => "event_type IN ('orders.order.placed', 'orders.order.shaky')",
    };
    let records = per_customer(&format!(
        "SELECT CAST(key AS TEXT), json_extract(CAST(payload AS TEXT), '$.number') FROM messagekit_topic_records
         WHERE key IS NOT NULL AND {placed} GROUP BY event_id ORDER BY min(pos)"
    ));
    let bills = per_customer(&format!(
        "SELECT customer, number FROM bills WHERE customer IS NOT NULL AND number IN
           (SELECT json_extract(CAST(payload AS TEXT), '$.number') FROM messagekit_topic_records WHERE {placed})
         ORDER BY id"
    ));
    assert_eq!(records, bills, "order of each customer");
}

/// Requires that offsets have no gap, cursors are at the end, and SQLite's integrity check passes.
fn log_is_whole(view: &View) {
    let with_gaps = "SELECT count(*) FROM messagekit_topic_partitions p WHERE next_offset <>
        (SELECT count(*) FROM messagekit_topic_records r WHERE r.pos >> 40 = p.id
           AND r.pos & 1099511627775 < p.next_offset)";
    assert_eq!(view.number(with_gaps), 0, "partitions with gaps");
    let strays = "SELECT count(*) FROM messagekit_topic_records WHERE pos >> 40 NOT IN
        (SELECT id FROM messagekit_topic_partitions)";
    assert_eq!(view.number(strays), 0, "records of no partition");
    assert_eq!(view.behind("billing", "orders.order"), 0);
    assert_eq!(view.behind("printing", "billing.bill"), 0);
    let beyond = "SELECT count(*) FROM messagekit_consumer_cursors c JOIN messagekit_topic_partitions p ON p.id = c.tp_id
        WHERE c.next <> p.next_offset";
    assert_eq!(view.number(beyond), 0, "cursors that do not stand at the end");
    assert_eq!(view.all("PRAGMA integrity_check", |row| row.get::<_, String>(0)), ["ok"]);
}
