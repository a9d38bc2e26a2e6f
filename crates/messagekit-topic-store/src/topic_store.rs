//! Typed topics, as a database keeps them.

use messagekit::adapter::OutboxRows;

use super::record_claims::RecordClaims;
use super::{HandledRecords, RecordAppend, RecordReads, TopicDefinitions};

/// A database with everything that typed topics need. A caller that only reads asks for [`RecordReads`] alone.
pub trait TopicStore:
    TopicDefinitions + RecordAppend + RecordReads + HandledRecords + RecordClaims + OutboxRows
{
}

impl<S: TopicDefinitions + RecordAppend + RecordReads + HandledRecords + RecordClaims + OutboxRows> TopicStore
    for S
{
}
