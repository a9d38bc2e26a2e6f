//! Whether events leave the outbox: here they are in their topics when their transaction commits.

use std::time::Duration;

use messagekit::{BoxFuture, Error, ErrorKind, OutboxHealth, OutboxLag};

use crate::{SqliteStore, migrations};

impl OutboxHealth for SqliteStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.query(|conn| {
            let (file, program) = (migrations::version(conn)?, migrations::latest());
            if file < program {
                return Err(Error::new(
                    ErrorKind::Schema,
                    "tables are older than this program: migrate the file",
                )
                .with("file", file)
                .with("program", program));
            }
            Ok(())
        }))
    }

    /// Always empty: the outbox of a file is the topic itself.
    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        let none = OutboxLag { pending: 0, overdue: 0, oldest: None, problems: Vec::new() };
        Box::pin(async move { self.ping().await.map(|()| none) })
    }

    fn checkpoint(&self, _every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}
