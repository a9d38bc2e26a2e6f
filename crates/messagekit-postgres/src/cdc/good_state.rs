//! The state of a captured database without problems, for tests.

use super::state::{Publication, Role, Slot, State, User};

/// Returns a database without problems, on a server of version 15.
pub(crate) fn good() -> State {
    let user = User {
        name: "me".to_owned(),
        superuser: false,
        replication: false,
        makes_roles: false,
        owns_database: true,
        publishes: true,
    };
    let publication = Publication {
        ours_to_change: true,
        all_tables: false,
        inserts: true,
        others: false,
        via_root: true,
        table: true,
        more_tables: false,
        filtered: false,
    };
    let role = Role { login: true, replication: true, expired: false, connect: true, own_connect: true };
    let slot = Slot {
        fits: true,
        active: true,
        wal_status: "reserved".to_owned(),
        behind: Some(0),
        kept: None,
        failover: None,
    };
    State {
        version: 150_004,
        wal_level: "logical".to_owned(),
        user,
        table: true,
        publication: Some(publication),
        role: Some(role),
        slot: Some(slot),
    }
}
