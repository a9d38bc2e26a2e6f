//! Reading many partitions in the order of their time.

mod builder;
mod merge;
mod merge_partition;
mod merge_pausing;
mod merge_record;
mod merge_settings;
#[cfg(test)]
mod merge_tests;
mod partition_state;
mod reader;
mod reading;
mod reporting;
mod stats;
mod topic_reader;
mod waiting;

pub use builder::OrderedReaderBuilder;
pub use merge::{MergeCore, MergeCounts};
pub use merge_partition::MergePartition;
pub use merge_record::MergeRecord;
pub use merge_settings::MergeSettings;
pub use partition_state::PartitionState;
pub use reader::OrderedReader;
pub use stats::{OrderedReaderState, OrderedReaderStats, OrderedStats};
