//! What a reader says of its partitions, as a batch.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use messagekit::Error;
use messagekit::log::PartitionState;

use crate::batch::{milliseconds, unfit};
use crate::columns::{PARTITION_STATE_SCHEMA, ZONE};

/// Returns the states of partitions as one batch, a row each, in their order.
///
/// # Errors
/// [`ErrorKind::Other`](messagekit::ErrorKind::Other) if the rows do not fit their schema, which no state does.
///
/// ```
/// use messagekit_arrow::partition_state_batch;
///
/// assert_eq!(partition_state_batch(&[])?.num_columns(), 9);
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn partition_state_batch(states: &[PartitionState]) -> Result<RecordBatch, Error> {
    let offsets = |offset: fn(&PartitionState) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(states.iter().map(offset)))
    };
    let flags = |flag: fn(&PartitionState) -> bool| -> ArrayRef {
        Arc::new(BooleanArray::from_iter(states.iter().map(|state| Some(flag(state)))))
    };
    let times = states.iter().map(|state| state.last_consumed_timestamp.map(milliseconds));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(states.iter().map(|state| &*state.topic))),
        Arc::new(Int32Array::from_iter_values(states.iter().map(|state| state.partition))),
        offsets(|state| state.replay_start_offset),
        offsets(|state| state.replay_end_offset),
        offsets(|state| state.consumed_offset),
        offsets(|state| state.released_offset),
        Arc::new(TimestampMillisecondArray::from_iter(times).with_timezone(ZONE)),
        flags(|state| state.is_live),
        flags(|state| state.is_paused),
    ];
    RecordBatch::try_new(PARTITION_STATE_SCHEMA.clone(), arrays).map_err(unfit)
}
