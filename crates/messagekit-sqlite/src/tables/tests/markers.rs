//! Claims and their markers.

use super::*;

#[test]
fn the_second_copy_of_an_id_is_not_fresh() {
    let conn = database();
    let claims = processed::claim(&conn, 1, &["a", "b", "a"].map(|id| request(id, 0)), NOW).unwrap();
    assert_eq!(claims, [Claim::Fresh, Claim::Fresh, Claim::Done]);
    let of_another = processed::claim(&conn, 2, &[request("a", 0)], NOW).unwrap();
    assert_eq!(of_another, [Claim::Fresh]);
}

#[test]
fn a_claim_taken_back_is_fresh_again_and_a_held_one_stays() {
    let conn = database();
    processed::claim(&conn, 1, &[request("a", 0)], NOW).unwrap();
    due_failed_message(&conn, "b");
    for id in ["a", "b"] {
        processed::unclaim(&conn, 1, &request(id, 0), None).unwrap();
    }
    let claims = processed::claim(&conn, 1, &["a", "b"].map(|id| request(id, 0)), NOW).unwrap();
    assert_eq!(claims, [Claim::Fresh, Claim::Held]);
}

#[test]
fn a_greater_generation_claims_what_was_done_and_nothing_else() {
    let conn = database();
    processed::claim(&conn, 1, &[request("a", 0)], NOW).unwrap();
    processed::hold(&conn, 1, &id("b"), 0, NOW).unwrap();
    let again = processed::claim(&conn, 1, &["a", "b", "a"].map(|id| request(id, 1)), NOW).unwrap();
    assert_eq!(again, [Claim::Fresh, Claim::Held, Claim::Done]);
    assert_eq!(processed::claim(&conn, 1, &[request("a", 0)], NOW).unwrap(), [Claim::Done]);
}

#[test]
fn withdrawn_claim_of_a_later_generation_leaves_message_done() {
    let conn = database();
    processed::claim(&conn, 1, &[request("a", 0)], NOW).unwrap();
    let again = request("a", 3);
    let earlier = processed::generation(&conn, 1, &again.id).unwrap();
    assert_eq!(processed::claim(&conn, 1, std::slice::from_ref(&again), NOW).unwrap(), [Claim::Fresh]);
    processed::unclaim(&conn, 1, &again, earlier).unwrap();
    assert_eq!(processed::claim(&conn, 1, &[request("a", 0)], NOW).unwrap(), [Claim::Done]);
    assert_eq!(processed::claim(&conn, 1, &[again], NOW).unwrap(), [Claim::Fresh]);
}
