//! Problems that prevent capture, and their repairs.

use std::fmt;

use super::fault::{Fault, Subject};
use super::state::State;
use super::{Capture, ROLE};
use crate::quoting::quoted;

/// One problem and its repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object that it is about.
    pub subject: Subject,
    pub(crate) fault: Fault,
    /// The problem: one line without a full stop.
    pub what: String,
    /// The repair: a statement or a command.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.fix)
    }
}

const MIGRATE: &str = "run `messagekit migrate --cdc`";

/// The repair for a slot whose kept rows are of no use.
const ANEW: &str = "run `messagekit connector delete --slot`, `messagekit migrate --cdc` and `messagekit connector apply`, \
                    and publish again what was written in between";

impl State {
    /// Returns whether the slot is older than its publication. The server decodes rows with the catalogues of their own
    /// time. Such a slot fails permanently at its first row, also after the publication is created again.
    pub(crate) fn outlived(&self) -> bool {
        self.publication.is_none() && self.slot.as_ref().is_some_and(|slot| slot.fits)
    }
}

pub(crate) fn of(state: &State, capture: &Capture) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |fault: Fault, what: String, fix: &str| {
        found.push(Finding { subject: fault.subject(), fault, what, fix: fix.to_owned() });
    };
    if state.wal_level != "logical" {
        let what = format!("wal_level is {}, and change data capture needs logical", state.wal_level);
        let fix = "as superuser run ALTER SYSTEM SET wal_level = 'logical', then restart PostgreSQL";
        say(Fault::WalLevel, what, fix);
    }
    if !state.table {
        say(Fault::Tables, format!("table {} is missing", capture.table()), MIGRATE);
    }
    publication(state, capture, &mut say);
    role(state, capture, &mut say);
    slot(state, capture, &mut say);
    found
}

fn publication(state: &State, capture: &Capture, say: &mut impl FnMut(Fault, String, &str)) {
    let (name, table) = (&capture.publication, capture.table());
    let Some(publication) = &state.publication else {
        let what = format!("publication {name} is missing");
        if state.outlived() {
            let what = format!("{what}, and its slot is of no use without it");
            return say(Fault::PublicationOutlived, what, ANEW);
        }
        return say(Fault::PublicationMissing, what, MIGRATE);
    };
    if publication.all_tables {
        let what = format!("publication {name} publishes every table");
        if state.slot.as_ref().is_some_and(|slot| slot.fits) {
            return say(Fault::AllTablesRead, what, ANEW);
        }
        return say(
            Fault::AllTables,
            what,
            &format!("run DROP PUBLICATION {name}, then `messagekit migrate --cdc`"),
        );
    }
    let again = "and publish again what was written in between";
    let quoted = capture.quoted_table();
    let only = format!("run ALTER PUBLICATION {name} SET TABLE {quoted}, or `messagekit migrate --cdc`");
    if !publication.table {
        let what = format!("table {table} is not in the publication {name}: no event leaves");
        say(Fault::TableNotPublished, what, &format!("{only}, {again}"));
    } else if publication.filtered {
        let what = format!("publication {name} leaves out rows or columns of {table}");
        say(Fault::Filtered, what, &format!("{only}, {again}"));
    } else if publication.more_tables {
        say(Fault::MoreTables, format!("publication {name} publishes other tables too"), &only);
    }
    if !publication.inserts || publication.others {
        let (what, more) = match publication.inserts {
            true => ("more than inserts", String::new()),
            false => ("no inserts", format!(", {again}")),
        };
        let fix = format!("run ALTER PUBLICATION {name} SET (publish = 'insert'){more}");
        say(Fault::NotOfInserts, format!("publication {name} publishes {what}"), &fix);
    }
    if !publication.via_root {
        let fix = format!("run ALTER PUBLICATION {name} SET (publish_via_partition_root = true)");
        let what = format!("publication {name} would publish partitions under names that nobody reads");
        say(Fault::NotViaRoot, what, &fix);
    }
}

fn role(state: &State, capture: &Capture, say: &mut impl FnMut(Fault, String, &str)) {
    let Some(role) = &state.role else {
        return say(Fault::RoleMissing, format!("role {ROLE} is missing"), MIGRATE);
    };
    let missing = match (role.login, role.replication) {
        (true, true) => None,
        (false, true) => Some("LOGIN"),
        (true, false) => Some("REPLICATION"),
        (false, false) => Some("LOGIN REPLICATION"),
    };
    if let Some(missing) = missing {
        let fix = format!("as an administrator, run ALTER ROLE {ROLE} {missing}");
        say(Fault::RoleRights, format!("role {ROLE} has no {missing} right"), &fix);
    }
    if role.expired {
        let fix = format!("as an administrator, run ALTER ROLE {ROLE} VALID UNTIL 'infinity'");
        say(Fault::RoleExpired, format!("the password of role {ROLE} has expired"), &fix);
    }
    if !role.connect {
        let database = quoted(&capture.database);
        let fix = format!("as an administrator, run GRANT CONNECT ON DATABASE {database} TO {ROLE}");
        let what = format!("role {ROLE} has no CONNECT right on the database {}", capture.database);
        say(Fault::RoleConnect, what, &fix);
    }
}

fn slot(state: &State, capture: &Capture, say: &mut impl FnMut(Fault, String, &str)) {
    let name = &capture.slot;
    let Some(slot) = &state.slot else {
        // A database without any set-up has lost nothing.
        let fresh = !state.table || state.publication.is_none() || state.role.is_none();
        let (fault, fix) = if fresh { (Fault::SlotNotMade, MIGRATE) } else { (Fault::SlotMissing, ANEW) };
        return say(fault, format!("slot {name} is missing"), fix);
    };
    if !slot.fits {
        let what =
            format!("slot {name} is not a logical slot of pgoutput for the database {}", capture.database);
        let fix = format!(
            "find out whose it is; if nobody needs it, run SELECT pg_drop_replication_slot('{name}')"
        );
        return say(Fault::SlotForeign, what, &fix);
    }
    match &*slot.wal_status {
        "lost" => {
            let what = format!(
                "slot {name} is lost: the server has removed WAL that was not read (max_slot_wal_keep_size)"
            );
            return say(Fault::SlotLost, what, ANEW);
        }
        "unreserved" => {
            let what = format!("slot {name} is about to be lost: its WAL is over max_slot_wal_keep_size");
            say(Fault::SlotNearlyLost, what, "raise max_slot_wal_keep_size and see that the connector reads");
        }
        _ => {}
    }
    if !slot.active {
        let what = format!("nobody reads the slot {name}, whatever the connector says of itself");
        let fix = format!(
            "run `messagekit connector apply`, and look at the worker's log if it stays so; if that says that the \
             publication does not exist, {ANEW}"
        );
        match state.outlived() {
            true => say(Fault::UselessSlotUnread, what, ANEW),
            false => say(Fault::SlotUnread, what, &fix),
        }
    }
}

#[cfg(test)]
#[path = "finding_tests.rs"]
mod tests;
