use super::*;
use crate::PostgresStore;
use crate::cdc::good_state::good;

fn target() -> Target {
    Target::of(&PostgresStore::options().lazy("postgres://me:s3cret@db/shop").unwrap())
}

/// Returns a database whose capture has no fault, on a server of version 17.
fn newer() -> State {
    let mut state = good();
    state.version = 170_002;
    state.slot.as_mut().unwrap().failover = Some(true);
    state
}

/// Returns the findings of the good database after a change.
fn judged(change: impl FnOnce(&mut State)) -> Diagnosis {
    let (mut state, mut diagnosis) = (newer(), Diagnosis::default());
    change(&mut state);
    judge(&state, &target(), &mut diagnosis);
    diagnosis
}

fn names(diagnosis: &Diagnosis) -> Vec<&str> {
    diagnosis.findings.iter().map(|found| found.check.name).collect()
}

fn slot(change: impl FnOnce(&mut Slot)) -> Diagnosis {
    judged(|state| change(state.slot.as_mut().unwrap()))
}

#[tokio::test]
async fn a_slot_without_failover_is_changed_as_printed() {
    assert_eq!(judged(|_| ()).findings, []);
    let diagnosis = slot(|slot| slot.failover = Some(false));
    assert_eq!(names(&diagnosis), ["slot-without-failover"]);
    assert_eq!(
        diagnosis.findings[0].repair[1].text(),
        "psql 'postgres://me@db:5432/shop?replication=database' --command 'ALTER_REPLICATION_SLOT messagekit_shop (FAILOVER true)'"
    );
    let old = judged(|state| {
        state.version = 150_004;
        state.slot.as_mut().unwrap().failover = None;
    });
    assert_eq!(old.findings, []);
    assert!(old.unchecked[0].reason.contains("version 15"), "{old:?}");
}

#[tokio::test]
async fn a_slot_is_far_behind_at_a_gibibyte_or_half_of_the_limit() {
    assert_eq!(names(&slot(|slot| slot.behind = Some(FAR))), [""; 0]);
    assert_eq!(names(&slot(|slot| slot.behind = Some(FAR + 1))), ["slot-far-behind"]);
    let near = |behind| {
        slot(move |slot| {
            slot.kept = Some(1_000);
            slot.behind = Some(behind);
        })
    };
    assert_eq!(names(&near(500)), [""; 0]);
    let found = near(501);
    assert!(found.findings[0].text.contains("501 bytes") && found.findings[0].text.contains("1000 bytes"));
    assert_eq!(found.findings[0].repair[0].kind(), "manual", "a connector reads it");
}

#[tokio::test]
async fn an_outbox_without_publication_and_slot_is_not_captured() {
    let diagnosis = judged(|state| (state.publication, state.slot, state.role) = (None, None, None));
    assert_eq!((diagnosis.findings, diagnosis.unchecked), (vec![], vec![]));
}

#[tokio::test]
async fn a_slot_about_to_be_lost_gets_four_times_the_room() {
    let diagnosis = slot(|slot| {
        slot.wal_status = "unreserved".to_owned();
        slot.kept = Some(64 << 20);
    });
    assert_eq!(names(&diagnosis), ["slot-nearly-lost"]);
    assert_eq!(diagnosis.findings[0].repair[0].text(), "ALTER SYSTEM SET max_slot_wal_keep_size = '256MB'");
}
