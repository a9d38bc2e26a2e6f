//! Whether events leave the outbox.

use std::time::Duration;

use messagekit::{BoxFuture, Error, ErrorKind, OutboxHealth, OutboxLag, Store};

use crate::cdc::{self, Capture};
use crate::tables::health;
use crate::{PostgresStore, migrations};

/// A connector that restarts is not a problem yet.
const RESTART: Duration = Duration::from_secs(30);

/// A database in which nothing was ever published and nothing captures the outbox has no problem: it only consumes.
impl OutboxHealth for PostgresStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.statement(async move {
            let wanted = migrations::latest();
            if health::ping(&mut *self.connection().await?, self.schema(), wanted).await? {
                return Ok(());
            }
            let text = "the tables are older than this program: run `messagekit migrate --database …`";
            Err(Error::new(ErrorKind::Schema, text).with("schema", self.schema()).with("wanted", wanted))
        }))
    }

    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            let capture = Capture::by(&self.pool().connect_options(), self.schema());
            let watch = cdc::watch(&mut connection, &capture).await?;
            let confirmed = match watch.slot {
                true => health::confirmed(&mut connection, self.schema(), &capture.slot).await?,
                false => None,
            };
            let after = confirmed.map(|confirmed| confirmed.at);
            let waiting = health::waiting(&mut connection, self.schema(), after).await?;
            let mut problems = watch.problems;
            if !watch.wanted {
                problems.clear();
                if waiting.pending > 0 {
                    problems.push(format!(
                        "nothing captures this outbox: there is neither the slot {} nor the publication {}: run \
                         `messagekit migrate --cdc` and `messagekit connector apply`",
                        capture.slot, capture.publication
                    ));
                }
            }
            if confirmed.is_none_or(|confirmed| confirmed.age > RESTART) {
                problems.extend(watch.unread);
            }
            if watch.slot && confirmed.is_none() && waiting.pending > 0 {
                problems.push(format!(
                    "slot {} stands before the first checkpoint: all events that are kept are counted",
                    capture.slot
                ));
            }
            let health::Waiting { pending, overdue, oldest } = waiting;
            Ok(OutboxLag { pending, overdue, oldest, problems })
        }))
    }

    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let young = self.statement(async {
                health::has_checkpoint(&mut *self.connection().await?, self.schema(), every).await
            });
            if young.await? {
                return Ok(());
            }
            let mut tx = self.begin().await?;
            self.statement(health::checkpoint(&mut tx, self.schema(), every)).await?;
            self.commit(tx).await
        })
    }
}
