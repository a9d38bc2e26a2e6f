//! From records to batches.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use bytes::Bytes;
use messagekit::log::PartitionState;
use messagekit::{ErrorKind, Message};
use messagekit_arrow::{Columns, MESSAGE_SCHEMA, PARTITION_STATE_SCHEMA, batch, partition_state_batch};

use crate::records::{all, batch_of_kinds, record};

#[test]
fn a_batch_has_the_six_columns_unless_asked_for_more() {
    let batch = batch_of_kinds(Columns::default());
    assert_eq!(batch.schema(), *MESSAGE_SCHEMA);
    let keys: Vec<_> = batch.column(0).as_binary::<i32>().iter().collect();
    assert_eq!(keys, [Some(&b"o-1"[..]), Some(b"o-1"), Some(&[0xff]), None]);
    let values = batch.column(1).as_binary::<i32>();
    assert!(values.value(0).starts_with(b"{\"pence\"") && values.is_null(1), "a tombstone has no value");
    assert_eq!((values.value(2), values.value(3)), (&[0xfe, 1][..], &b""[..]));
    assert!(values.is_valid(3), "an empty value is one");
    assert!(batch.column(2).as_string::<i32>().iter().all(|topic| topic == Some("orders")));
    assert_eq!(batch.column(3).as_primitive::<Int32Type>().values()[..], [2; 4]);
    assert_eq!(batch.column(4).as_primitive::<Int64Type>().values()[..], [7, 8, 9, 10]);
}

#[test]
fn a_time_is_in_whole_milliseconds_and_0_if_there_is_none() {
    let batch = batch_of_kinds(Columns::default());
    let times = batch.column(5).as_primitive::<TimestampMillisecondType>();
    assert_eq!(times.values()[..], [1_769_860_800_007, 0, 0, 0]);
    assert_eq!(times.null_count(), 0);
}

#[test]
fn headers_and_event_ids_come_on_request() {
    let batch = batch_of_kinds(all());
    assert_eq!(batch.schema(), all().schema());
    let lists = batch.column_by_name("headers").unwrap().as_list::<i32>();
    let headers = |row: usize| -> Vec<(String, Vec<u8>)> {
        let pairs = lists.value(row);
        let pairs = pairs.as_struct();
        let (names, values) = (pairs.column(0).as_string::<i32>(), pairs.column(1).as_binary::<i32>());
        (0..pairs.len()).map(|at| (names.value(at).to_owned(), values.value(at).to_vec())).collect()
    };
    assert_eq!(headers(0), [("id".to_owned(), b"m-1".to_vec()), ("tenant".to_owned(), vec![0xff, 0])]);
    assert_eq!(headers(1), []);
    assert_eq!(headers(2), [("ce_id".to_owned(), b"c-9".to_vec())]);
    let ids: Vec<_> = batch.column_by_name("event_id").unwrap().as_string::<i32>().iter().collect();
    assert_eq!(ids, [Some("m-1"), None, Some("c-9"), None]);
}

#[test]
fn more_than_2_gib_in_a_column_is_an_error_before_the_copy() {
    // One piece of memory, which all records share.
    let payload = Bytes::from(vec![0; 64 << 20]);
    let records: Vec<_> = (0..32).map(|at| record(at, Message::new("orders", payload.clone()))).collect();
    let error = batch(&records, Columns::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("take fewer records"), "{error}");
}

#[test]
fn partition_states_are_rows_of_nine_columns() {
    let state = PartitionState {
        topic: "orders".into(),
        partition: 3,
        replay_start_offset: 5,
        replay_end_offset: 9,
        consumed_offset: 8,
        released_offset: 7,
        last_consumed_timestamp: Some("1970-01-01T00:00:01.5Z".parse().unwrap()),
        is_live: false,
        is_paused: true,
    };
    let unseen = PartitionState { last_consumed_timestamp: None, is_live: true, ..state.clone() };
    let batch = partition_state_batch(&[state, unseen]).unwrap();
    assert_eq!(batch.schema(), *PARTITION_STATE_SCHEMA);
    assert_eq!(batch.column(1).as_primitive::<Int32Type>().values()[..], [3, 3]);
    let offsets: Vec<_> = (2..6).map(|at| batch.column(at).as_primitive::<Int64Type>().value(0)).collect();
    assert_eq!(offsets, [5, 9, 8, 7]);
    let times: Vec<_> = batch.column(6).as_primitive::<TimestampMillisecondType>().iter().collect();
    assert_eq!(times, [Some(1_500), None]);
    let flags = |at: usize| -> Vec<_> { batch.column(at).as_boolean().iter().flatten().collect() };
    assert_eq!((flags(7), flags(8)), (vec![false, true], vec![true, true]));
}
