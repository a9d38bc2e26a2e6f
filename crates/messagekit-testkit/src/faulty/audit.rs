//! A store with one fault in the audit that it shows.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{Audit, AuditFilter, AuditRecord};

use super::Fault;
use super::store::FaultyStore;

impl Audit for FaultyStore {
    fn audit_records<'a>(
        &'a self,
        filter: &'a AuditFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<AuditRecord>, Error>> {
        let mut filter = filter.clone();
        match self.fault {
            Some(Fault::AuditIgnoresOperator) => filter.operator = None,
            Some(Fault::AuditIgnoresIds) => (filter.failed_message, filter.replay) = (None, None),
            Some(Fault::AuditIgnoresTimes) => (filter.since, filter.until) = (None, None),
            Some(Fault::AuditRepeatsPages) => filter.before = None,
            _ => {}
        }
        Box::pin(async move {
            let mut records = self.inner.audit_records(&filter, limit).await?;
            if self.is(Fault::AuditOldestFirst) {
                records.reverse();
            }
            Ok(records)
        })
    }
}
