//! The relay of an outbox, and an outbox without any publisher.

use messagekit::Error;
use messagekit::operations::{Diagnosis, Repair};
use sqlx::PgConnection;

use super::checks::{OUTBOX_WITHOUT_PUBLISHER, RELAY_NOT_OPEN, TWO_PUBLISHERS};
use super::target::Target;
use crate::cdc;
use crate::migrations::connection::fault;
use crate::tables::health;

/// Where a count ends: a queue of millions is not counted to its end.
const MOST: i64 = 10_000;

const IS_OPEN: &str = "SELECT EXISTS (SELECT FROM messagekit.relay_shards)";

/// A delayed event is not pending until it is due. Whether one has waited for longer than a relay takes to come back.
const PENDING: &str = "
SELECT count(*), EXISTS (
  SELECT FROM messagekit.outbox_pending WHERE available_at <= clock_timestamp() - interval '30 s')
FROM (SELECT FROM messagekit.outbox_pending
  WHERE shard >= 0 OR available_at <= clock_timestamp() LIMIT $1) p";

const REJECTED: &str = "
SELECT count(error), count(*) - count(error) FROM (SELECT error FROM messagekit.outbox_rejected LIMIT $1) r";

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let watch = cdc::watch(conn, &target.capture).await?;
    let publishers = health::publisher(conn, &target.schema, &target.capture).await?;
    if publishers.is_on {
        return relayed(conn, publishers.has_relay, watch.wanted, target, diagnosis).await;
    }
    let any = target.schema.sql("SELECT EXISTS (SELECT FROM messagekit.outbox_events)");
    let any = sqlx::query_scalar(any).persistent(false).fetch_one(conn).await.map_err(fault)?;
    if !watch.wanted && any {
        let text = "the outbox has events, and neither a slot, a publication nor the trigger of a relay";
        diagnosis.found(&OUTBOX_WITHOUT_PUBLISHER, "outbox_events", text, choice(target));
    }
    Ok(())
}

async fn relayed(
    conn: &mut PgConnection,
    has_relay: bool,
    is_captured: bool,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let outbox = "outbox_events";
    let select = sqlx::query_scalar(target.schema.sql(IS_OPEN)).persistent(false);
    let is_open: bool = select.fetch_one(&mut *conn).await.map_err(fault)?;
    if !is_open {
        let text = "the trigger of the relay exists, and no relay may take events yet";
        diagnosis.found(&RELAY_NOT_OPEN, outbox, text, [target.command(&["migrate", "--relay"])]);
    } else if is_captured {
        let (slot, publication) = (&target.capture.slot, &target.capture.publication);
        let text =
            format!("this outbox has a relay, and the slot {slot} or the publication {publication} too");
        let repair = [target.command(&["connector", "delete", "--slot", "--yes"])];
        diagnosis.found(&TWO_PUBLISHERS, outbox, text, repair);
    }
    if is_open && !has_relay {
        let select = sqlx::query_as(target.schema.sql(PENDING)).persistent(false).bind(MOST + 1);
        let (pending, overdue): (i64, bool) = select.fetch_one(&mut *conn).await.map_err(fault)?;
        if overdue {
            diagnosis.found_no_relay(outbox, counted(pending), relay(target));
        }
    }
    let select = sqlx::query_as(target.schema.sql(REJECTED)).persistent(false).bind(MOST + 1);
    let (rejected, behind): (i64, i64) = select.fetch_one(conn).await.map_err(fault)?;
    let counts = (rejected.unsigned_abs(), behind.unsigned_abs());
    if rejected + behind > 0 {
        let most = Some(MOST.unsigned_abs());
        diagnosis.found_rejected("outbox_rejected", counts, most, |words| target.command(words));
    }
    Ok(())
}

fn counted(number: i64) -> String {
    if number > MOST { format!("more than {MOST}") } else { number.to_string() }
}

/// Neither choice can be taken back, and only a person knows whether readers have the events already.
fn choice(target: &Target) -> [Repair; 4] {
    let explained = "choose: a relay publishes the existing events, which readers may have from an earlier publisher, \
                     or it leaves them for ever and publishes later ones alone";
    let with = |existing: &str, effect: &str| {
        let command = target.command(&["migrate", "--relay", "--existing", existing]);
        let text = match command {
            Repair::Command(command) => format!("{effect}: `{command}`"),
            other => format!("{effect}: {}", other.text()),
        };
        Repair::Manual(text)
    };
    [
        Repair::Manual(explained.to_owned()),
        with("publish", "either publish them, in order"),
        with("leave", "or leave them unpublished"),
        relay(target),
    ]
}

/// The broker is not known here.
fn relay(target: &Target) -> Repair {
    let text = match target.command(&["relay"]) {
        Repair::Command(command) => {
            format!("keep a relay running: {command} --kafka HOST:PORT, or --rabbitmq with the exchange")
        }
        other => other.text().to_owned(),
    };
    Repair::Manual(text)
}
