//! The audit of an in-memory store as operators read it.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{Audit, AuditFilter, AuditRecord};

use super::MemoryStore;
use super::audit::audit_record;

impl Audit for MemoryStore {
    fn audit_records<'a>(
        &'a self,
        filter: &'a AuditFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<AuditRecord>, Error>> {
        Box::pin(async move {
            let entries = self.audit();
            let records = entries.iter().enumerate().rev().map(|(index, entry)| audit_record(index, entry));
            Ok(records.filter(|record| is_meant(record, filter)).take(limit as usize).collect())
        })
    }
}

fn is_meant(record: &AuditRecord, filter: &AuditFilter) -> bool {
    filter.operator.as_ref().is_none_or(|operator| *operator == record.operator)
        && filter.action.as_ref().is_none_or(|action| *action == record.action)
        && filter.since.is_none_or(|since| since <= record.at)
        && filter.until.is_none_or(|until| record.at < until)
        && filter.failed_message.is_none_or(|id| record.failed_messages.contains(&id))
        && filter.replay.is_none_or(|id| record.replay == Some(id))
        && filter.before.is_none_or(|before| record.id < before)
}
