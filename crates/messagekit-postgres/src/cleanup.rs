//! Removing what nobody needs any more.

use messagekit::cleanup::{Cleanup, Leftover, Retention, Swept};
use messagekit::{BoxFuture, Error, ErrorKind, Store};

use crate::cdc::Capture;
use crate::tables::cleanup::{self, Left, Stretch};
use crate::{PgTx, PostgresStore};

/// Events have left when a relay has published them, or when the slot has passed them; where neither publishes this outbox,
/// or a replay runs that may publish them again, they stay.
impl Cleanup for PostgresStore {
    fn sweep<'a>(
        &'a self,
        what: Leftover,
        retention: &'a Retention,
        from: Option<&'a str>,
        is_trial: bool,
    ) -> BoxFuture<'a, Result<Swept, Error>> {
        Box::pin(async move {
            let from = match from.map(str::parse) {
                None => 0,
                Some(Ok(from)) => from,
                Some(Err(_)) => {
                    let text = "not a place where a step of a cleanup has ended";
                    return Err(Error::new(ErrorKind::InvalidConfiguration, text));
                }
            };
            let mut tx = self.begin().await?;
            let swept = match self.statement(self.stretch(&mut tx, what, retention, from)).await {
                Ok(swept) => swept,
                Err(error) => {
                    self.rollback(tx).await.ok();
                    return Err(error);
                }
            };
            match is_trial {
                true => self.rollback(tx).await?,
                false => self.commit(tx).await?,
            }
            Ok(swept)
        })
    }
}

impl PostgresStore {
    async fn stretch(
        &self,
        tx: &mut PgTx,
        what: Leftover,
        retention: &Retention,
        from: i64,
    ) -> Result<Swept, Error> {
        let schema = self.schema();
        sqlx::query(schema.sql(cleanup::UNHURRIED))
            .execute(&mut **tx)
            .await
            .map_err(crate::error::from_sqlx)?;
        let done = match what {
            Leftover::Events => {
                let capture = Capture::by(&self.pool().connect_options(), schema);
                let left = cleanup::left(tx, schema, &capture.slot).await?;
                if let Some(reason) = stays(&left) {
                    return Ok(Swept { removed: 0, next: None, kept_because: Some(reason.to_owned()) });
                }
                cleanup::events(tx, schema, from, retention.events, &left).await?
            }
            Leftover::Markers => cleanup::markers(tx, schema, from).await?,
            Leftover::Letters => cleanup::letters(tx, schema, from, retention.letters).await?,
        };
        let Stretch { removed, next } = done;
        Ok(Swept { removed, next: next.map(|next| next.to_string()), kept_because: None })
    }
}

/// Says why nothing of the outbox can be removed now.
fn stays(left: &Left) -> Option<&'static str> {
    match left {
        Left { is_replayed: true, .. } => Some("a replay runs: its events stay until it is done"),
        Left { is_on: true, is_open: false, .. } => {
            Some("the switch to the relay is not complete: run `messagekit migrate --relay`")
        }
        Left { has_slot: true, before: None, .. } => Some(
            "nothing says yet which events the slot has passed: `messagekit admin` notes that while it runs, and the slot must move on",
        ),
        Left { has_slot: false, is_on: false, .. } => {
            Some("nothing publishes this outbox: there is neither a slot nor the trigger of a relay")
        }
        _ => None,
    }
}
