//! Reading many partitions in the order of their time.

mod merge;
mod merge_partition;
mod merge_settings;
#[cfg(test)]
mod merge_tests;

pub use merge::{MergeCore, MergeCounts, MergeRecord};
pub use merge_partition::MergePartition;
pub use merge_settings::MergeSettings;
