//! Reads the audit of the file.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{Audit, AuditFilter, AuditRecord};

use crate::SqliteStore;
use crate::tables::audit_list;

impl Audit for SqliteStore {
    fn audit_records<'a>(
        &'a self,
        filter: &'a AuditFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<AuditRecord>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| audit_list::list(conn, &filter, limit)))
    }
}
