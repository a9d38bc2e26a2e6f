//! How often memory is taken between records and batch. Its own binary: the allocator that counts is that of the whole program.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use messagekit::log::Record;
use messagekit::{Message, Position};
use messagekit_arrow::{Columns, batch, batches};

/// Records with keys, headers and an id; every seventh has no key, every eleventh is a tombstone.
fn records(count: i64) -> Vec<Record> {
    let record = |offset: i64| {
        let mut message = Message::new("orders", vec![b'x'; 200]).with_header("id", format!("m-{offset}"));
        message = message.with_header("tenant", "north");
        if offset % 7 != 0 {
            message = message.with_key(format!("o-{offset}"));
        }
        let position = Position { topic: "orders".into(), partition: 3, offset };
        let timestamp = Timestamp::from_millisecond(offset).ok();
        Record { message, position, timestamp, is_tombstone: offset % 11 == 0 }
    };
    (0..count).map(record).collect()
}

fn allocations(count: i64, columns: Columns) -> u64 {
    let records = records(count);
    batch(&records[..1], columns).unwrap();
    let mut rows = 0;
    let counted = allocation_counter::measure(|| rows = batch(&records, columns).unwrap().num_rows());
    assert_eq!(rows, records.len());
    counted.count_total
}

#[test]
fn a_batch_takes_memory_once_per_100_records_at_most() {
    let all = Columns::default().with_headers().with_event_id();
    for (columns, most) in [(Columns::default(), 50), (all, 100)] {
        let [small, large] = [1_000, 10_000].map(|count| allocations(count, columns));
        println!("{columns:?}: {small} allocations for 1,000 records, {large} for 10,000");
        assert!(large <= most, "{large} allocations for 10,000 records");
        assert_eq!(small, large, "the number does not depend on that of the records");
    }
}

#[test]
fn cutting_into_batches_takes_memory_once_more_at_most() {
    let records = records(10_000);
    let columns = Columns::default();
    let alone = allocation_counter::measure(|| drop(batch(&records, columns).unwrap())).count_total;
    let cut = allocation_counter::measure(|| drop(batches(&records, columns).unwrap())).count_total;
    assert!(cut <= alone + 4, "{cut} and {alone}");
}
