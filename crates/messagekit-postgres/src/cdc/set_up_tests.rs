use super::super::good_state::good;
use super::*;

#[test]
fn a_slot_has_failover_where_the_server_knows_it() {
    let capture = Capture::of("postgres://me@db/shop", &SchemaName::default()).unwrap();
    let created = |version| {
        let mut state = good();
        (state.version, state.slot) = (version, None);
        steps(&state, &capture, "'…'").pop().unwrap().sql
    };
    let begin = "SELECT pg_create_logical_replication_slot('messagekit_shop', 'pgoutput'";
    assert_eq!(created(160_010), format!("{begin})"));
    assert_eq!(created(170_000), format!("{begin}, failover => true)"));
}
