use super::super::good_state::good;
use super::super::state::{Publication, Role, Slot};
use super::*;
use crate::SchemaName;

fn capture() -> Capture {
    Capture::of("postgres://me:s3cret@db/shop", &SchemaName::default()).unwrap()
}

/// Changes the good database and expects exactly this finding.
fn one(change: impl FnOnce(&mut State), subject: Subject, what: &str, fix: &str) {
    let mut state = good();
    change(&mut state);
    let found = of(&state, &capture());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].subject, subject, "{found:?}");
    assert!(found[0].what.contains(what) && found[0].fix.contains(fix), "{found:?}");
    assert!(!found[0].to_string().contains(['\n', '.']) || found[0].to_string().contains("messagekit."));
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(of(&good(), &capture()), []);
    let mut extended = good();
    extended.slot.as_mut().unwrap().wal_status = "extended".to_owned();
    assert_eq!(of(&extended, &capture()), []);
}

#[test]
fn a_server_that_does_not_log_enough_is_named_with_the_setting() {
    for level in ["replica", "minimal"] {
        let change = |state: &mut State| state.wal_level = level.to_owned();
        let fix = "ALTER SYSTEM SET wal_level = 'logical', then restart";
        one(change, Subject::WalLevel, &format!("wal_level is {level}"), fix);
    }
}

#[test]
fn what_is_missing_is_named_with_the_command_that_makes_it() {
    let migrate = "messagekit migrate --cdc";
    one(|state| state.table = false, Subject::Tables, "messagekit.outbox_events is missing", migrate);
    let without = |state: &mut State| (state.publication, state.slot) = (None, None);
    let mut state = good();
    without(&mut state);
    let found = of(&state, &capture());
    let subjects: Vec<Subject> = found.iter().map(|found| found.subject).collect();
    assert_eq!(subjects, [Subject::Publication, Subject::Slot]);
    assert!(found.iter().all(|found| found.fix == "run `messagekit migrate --cdc`"), "{found:?}");
    one(|state| state.role = None, Subject::Role, "messagekit_cdc is missing", migrate);
}

#[test]
fn a_slot_or_a_publication_that_went_alone_means_to_begin_again() {
    for begin in ["delete --slot", "migrate --cdc", "connector apply", "publish again"] {
        one(|state| state.slot = None, Subject::Slot, "messagekit_shop is missing", begin);
        one(|state| state.publication = None, Subject::Publication, "messagekit_outbox is missing", begin);
    }
    let mut state = good();
    state.publication = None;
    state.slot.as_mut().unwrap().active = false;
    let found = of(&state, &capture());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].fix, found[1].fix, "the same cure, not a second one that does not help");
}

#[test]
fn a_publication_of_anything_but_inserts_of_the_outbox_is_found() {
    let with =
        |change: fn(&mut Publication)| move |state: &mut State| change(state.publication.as_mut().unwrap());
    for (change, what, fix) in [
        (with(|it| it.table = false), "not in the publication", "in between"),
        (with(|it| it.table = false), "no event leaves", "SET TABLE messagekit.outbox_events"),
        (with(|it| it.more_tables = true), "other tables too", "SET TABLE"),
        (with(|it| it.filtered = true), "leaves out rows or columns", "SET TABLE"),
        (with(|it| it.all_tables = true), "every table", "delete --slot"),
        (with(|it| it.inserts = false), "no inserts", "publish = 'insert'"),
        (with(|it| it.others = true), "more than inserts", "publish = 'insert'"),
        (with(|it| it.via_root = false), "names that nobody reads", "publish_via_partition_root"),
    ] {
        one(change, Subject::Publication, what, fix);
    }
}

#[test]
fn a_role_that_cannot_read_is_found() {
    let with = |change: fn(&mut Role)| move |state: &mut State| change(state.role.as_mut().unwrap());
    for (change, what, fix) in [
        (with(|it| it.login = false), "no LOGIN right", "ALTER ROLE messagekit_cdc LOGIN"),
        (with(|it| it.replication = false), "no REPLICATION right", "ALTER ROLE messagekit_cdc REPLICATION"),
        (with(|it| it.expired = true), "password", "VALID UNTIL"),
        (with(|it| it.connect = false), "no CONNECT right", "GRANT CONNECT ON DATABASE \"shop\""),
    ] {
        one(change, Subject::Role, what, fix);
    }
}

#[test]
fn a_slot_that_keeps_nothing_or_is_not_read_is_found() {
    let with = |change: fn(&mut Slot)| move |state: &mut State| change(state.slot.as_mut().unwrap());
    let lost = |it: &mut Slot| {
        it.wal_status = "lost".to_owned();
        it.active = false;
    };
    one(with(lost), Subject::Slot, "is lost", "delete --slot");
    one(with(|it| it.wal_status = "unreserved".to_owned()), Subject::Slot, "about to be lost", "raise");
    one(with(|it| it.fits = false), Subject::Slot, "not a logical slot of pgoutput", "whose it is");
    one(with(|it| it.active = false), Subject::Reader, "nobody reads", "connector apply");
}
