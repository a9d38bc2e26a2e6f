//! Change data capture: publication, role and slot.

use messagekit::Error;
use messagekit::operations::{Check, Diagnosis, Repair};
use sqlx::PgConnection;

use super::checks as on;
use super::target::Target;
use crate::cdc::ROLE;
use crate::cdc::fault::Fault;
use crate::cdc::finding;
use crate::cdc::state::{FAILOVER_SLOTS, Slot, State};
use crate::quoting::quoted;

/// A slot may be this many bytes behind, or half of what the server keeps.
const FAR: i64 = 1 << 30;

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let state = State::read(conn, &target.capture).await?;
    judge(&state, target, diagnosis);
    Ok(())
}

/// An outbox with neither a publication nor a slot is not meant to be captured.
fn judge(state: &State, target: &Target, diagnosis: &mut Diagnosis) {
    if state.publication.is_none() && state.slot.is_none() {
        return;
    }
    for found in finding::of(state, &target.capture) {
        if let Some((check, repair)) = meaning(found.fault, state, target) {
            diagnosis.found(check, found.subject.as_str(), found.what, repair);
        }
    }
    if let Some(slot) = state.slot.as_ref().filter(|slot| slot.fits && slot.wal_status != "lost") {
        behind(slot, target, diagnosis);
        failover(slot, state, target, diagnosis);
    }
}

/// Returns the check of a fault and the steps of its repair; `None` for what another part reports.
fn meaning(fault: Fault, state: &State, target: &Target) -> Option<(&'static Check, Vec<Repair>)> {
    let (capture, table) = (&target.capture, target.capture.quoted_table());
    let publication = &capture.publication;
    let sql = |text: String| vec![Repair::Sql(text)];
    let only = sql(format!("ALTER PUBLICATION {publication} SET TABLE {table}"));
    let set_up = target.command(&["migrate", "--cdc"]);
    Some(match fault {
        Fault::Tables => return None,
        Fault::WalLevel => {
            let mut steps = sql("ALTER SYSTEM SET wal_level = 'logical'".to_owned());
            steps.push(Repair::Manual("restart PostgreSQL".to_owned()));
            (&on::WAL_LEVEL, steps)
        }
        Fault::PublicationMissing => (&on::PUBLICATION_MISSING, vec![set_up]),
        Fault::PublicationOutlived => (&on::PUBLICATION_MISSING, anew(target)),
        Fault::AllTablesRead => (&on::PUBLICATION_OF_ALL_TABLES, anew(target)),
        Fault::AllTables => {
            let drop = Repair::Sql(format!("DROP PUBLICATION {publication}"));
            (&on::PUBLICATION_OF_ALL_TABLES, vec![drop, set_up])
        }
        Fault::TableNotPublished => (&on::PUBLICATION_WITHOUT_OUTBOX, with_replay(only, target)),
        Fault::Filtered => (&on::PUBLICATION_FILTERED, with_replay(only, target)),
        Fault::MoreTables => (&on::PUBLICATION_OF_MORE_TABLES, only),
        Fault::NotOfInserts => {
            let steps = sql(format!("ALTER PUBLICATION {publication} SET (publish = 'insert')"));
            let had = state.publication.as_ref().is_some_and(|publication| publication.inserts);
            (&on::PUBLICATION_NOT_OF_INSERTS, if had { steps } else { with_replay(steps, target) })
        }
        Fault::NotViaRoot => {
            let text = format!("ALTER PUBLICATION {publication} SET (publish_via_partition_root = true)");
            (&on::PUBLICATION_NOT_VIA_ROOT, sql(text))
        }
        Fault::RoleMissing => (&on::CAPTURE_ROLE, vec![set_up]),
        Fault::RoleRights => (&on::CAPTURE_ROLE, sql(format!("ALTER ROLE {ROLE} LOGIN REPLICATION"))),
        Fault::RoleExpired => (&on::CAPTURE_ROLE, sql(format!("ALTER ROLE {ROLE} VALID UNTIL 'infinity'"))),
        Fault::RoleConnect => {
            let database = quoted(&capture.database);
            (&on::CAPTURE_ROLE, sql(format!("GRANT CONNECT ON DATABASE {database} TO {ROLE}")))
        }
        Fault::SlotNotMade => (&on::SLOT_MISSING, vec![set_up]),
        Fault::SlotMissing => (&on::SLOT_MISSING, anew(target)),
        Fault::SlotLost => (&on::SLOT_LOST, anew(target)),
        Fault::SlotForeign => {
            let text = "find out whose slot it is; if nobody needs it, drop it".to_owned();
            let drop = format!("SELECT pg_drop_replication_slot('{}')", capture.slot);
            (&on::SLOT_FOREIGN, vec![Repair::Manual(text), Repair::Sql(drop), set_up])
        }
        Fault::SlotNearlyLost => {
            let kept = state.slot.as_ref().and_then(|slot| slot.kept).unwrap_or(FAR);
            let more = format!("ALTER SYSTEM SET max_slot_wal_keep_size = '{}MB'", (kept >> 20).max(1) * 4);
            let reload = "SELECT pg_reload_conf()".to_owned();
            (&on::SLOT_NEARLY_LOST, vec![Repair::Sql(more), Repair::Sql(reload), connector(target)])
        }
        Fault::SlotUnread => (&on::SLOT_INACTIVE, vec![connector(target)]),
        Fault::UselessSlotUnread => (&on::SLOT_INACTIVE, anew(target)),
    })
}

fn behind(slot: &Slot, target: &Target, diagnosis: &mut Diagnosis) {
    let far = slot.kept.map_or(FAR, |kept| FAR.min(kept / 2));
    let Some(behind) = slot.behind.filter(|behind| *behind > far) else { return };
    let name = &target.capture.slot;
    let limit = match slot.kept {
        Some(kept) => format!("and the server keeps {kept} bytes at most"),
        None => "and the server keeps them without a limit".to_owned(),
    };
    let text = format!("slot {name} is {behind} bytes of the log behind, {limit}");
    let repair = match slot.active {
        false => connector(target),
        true => Repair::Manual(
            "look at the log of the connector's worker: it reads more slowly than events are written"
                .to_owned(),
        ),
    };
    diagnosis.found(&on::SLOT_FAR_BEHIND, name, text, [repair]);
}

fn failover(slot: &Slot, state: &State, target: &Target, diagnosis: &mut Diagnosis) {
    let name = &target.capture.slot;
    match slot.failover {
        Some(true) => {}
        Some(false) => {
            let text = format!("slot {name} has failover off, and a standby does not get it");
            let pause = "stop the connector: the server changes only a slot that is not being read";
            let set = target.replication_command(&format!("ALTER_REPLICATION_SLOT {name} (FAILOVER true)"));
            let repair = [Repair::Manual(pause.to_owned()), set, connector(target)];
            diagnosis.found(&on::SLOT_WITHOUT_FAILOVER, name, text, repair);
        }
        None => {
            let (has, needed) = (state.version / 10_000, FAILOVER_SLOTS / 10_000);
            let reason =
                format!("the server has version {has}, and slots have failover since version {needed}");
            diagnosis.not_checked([&on::SLOT_WITHOUT_FAILOVER], reason);
        }
    }
}

/// Kafka Connect is not asked here: a connector may exist, and other options than its own would change it.
fn connector(target: &Target) -> Repair {
    match target.command(&["connector", "apply"]) {
        Repair::Command(command) => Repair::Manual(format!(
            "create, resume or restart the connector, with the options with which it was made: `{command}`"
        )),
        other => other,
    }
}

/// Returns the steps that replace a slot that is of no use.
fn anew(target: &Target) -> Vec<Repair> {
    let note = "note the options of the connector, if it exists: the next command deletes it with them";
    let delete = target.command(&["connector", "delete", "--slot", "--yes"]);
    let steps = vec![Repair::Manual(note.to_owned()), delete, target.command(&["migrate", "--cdc"])];
    with_replay([steps, vec![connector(target)]].concat(), target)
}

fn with_replay(mut steps: Vec<Repair>, target: &Target) -> Vec<Repair> {
    let command = target.command(&["replay", "start", "--from", "FROM", "--to", "TO"]);
    let text = match command {
        Repair::Command(command) => {
            format!("publish again what was written from FROM to TO, while nothing was captured: `{command}`")
        }
        other => other.text().to_owned(),
    };
    steps.push(Repair::Manual(text));
    steps
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
