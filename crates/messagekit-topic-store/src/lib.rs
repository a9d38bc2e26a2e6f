//! What a database owes typed topics: definitions, appends, reads, record claims, table sources, retention.
//!
//! `messagekit-topics` runs over any store with these traits; `messagekit-sqlite` and `messagekit-postgres` are two. Core knows only the
//! bare [`Log`](messagekit::log::Log). A record is claimed by [`RecordClaimer`], whose windows are pure: a store keeps them, and asks what to
//! write.

mod group_diagnosis;
mod handled_records;
mod key_partition;
mod paged_reader;
mod pipeline_store;
mod record_append;
mod record_claims;
mod record_reads;
mod retention_cut;
mod retention_rule;
mod table_source;
mod topic_definitions;
mod topic_drop;
mod topic_migration;
mod topic_store;
mod topic_view;

pub use group_diagnosis::{
    CLAIMS_SCATTERED, CONSUMER_IDLE, GroupFindings, IDLE_FOUND, MOST_CONSUMERS_FOUND, SCATTERED_FOUND,
};
pub use handled_records::{HandledRecords, no_record, record_has_failed};
pub use key_partition::partition_of;
pub use paged_reader::{CommitWatch, PagedReader, Pages};
pub use pipeline_store::{NameHolder, PipelineStore};
pub use record_append::{
    AppendedRecord, NewRecord, OnDuplicate, RecordAppend, topic_was_dropped, topic_was_migrated,
};
pub use record_claims::{
    ClaimHolder, ClaimPartition, ClaimPartitions, ClaimTurns, ClaimWindow, Claimed, ClaimedRange,
    ClaimedRanges, ClaimedRecord, DecideWindows, LeaseOf, LeasedMessage, MAX_CLAIM_RANGES, NewClaim,
    OnDeleted, RecordClaim, RecordClaimId, RecordClaimer, RecordClaims, Settlement, Which, WindowDecision,
    WindowReplacement,
};
pub use record_reads::{RecordCounts, RecordPage, RecordQuery, RecordReads, RecordStatus, TopicRecord};
pub use retention_cut::RetentionCut;
pub use retention_rule::RetentionRule;
pub use table_source::{
    AddedSource, RowExpression, SqlDialect, TableSource, TableSources, VIEW_IS_NO_SOURCE,
};
pub use topic_definitions::{TopicDefinition, TopicDefinitions};
pub use topic_drop::{OnSources, check_unfed};
pub use topic_migration::{
    MigratedRecord, Swap, TopicMigration, check_migratable, check_unchanged, migration_was_replaced,
};
pub use topic_store::TopicStore;
pub use topic_view::{TopicView, ViewColumn, ViewType};
