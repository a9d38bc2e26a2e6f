//! Reads the audit.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{Audit, AuditFilter, AuditRecord};

use crate::PostgresStore;
use crate::tables::audit;

impl Audit for PostgresStore {
    fn audit_records<'a>(
        &'a self,
        filter: &'a AuditFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<AuditRecord>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            audit::list(&mut connection, self.schema(), filter, limit).await
        }))
    }
}
