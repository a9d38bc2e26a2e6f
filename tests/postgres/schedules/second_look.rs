//! A claim that waits for the transaction that parks an earlier message of its key. A random schedule meets it too rarely.

use messagekit::adapter::{
    ClaimRequest, FailedMessageRows, Failure, FailureKind, Markers, Next, ReceivedMessage, SetAsideOutcome,
};
use messagekit::{Claim, ErrorKind, Message, MessageId, ParkingLimits, Position, Store};
use messagekit_testkit::unique;
use messagekit_tests::locks::until_it_waits;
use messagekit_tests::schedules::TOPIC;

use super::mutants::{LOOKS_AT_NO_KEY_AGAIN, Rewrite};
use super::run;
use super::schedule::Theatre;
use super::wire::Way;
use crate::shop::backend;

#[test]
fn claim_that_has_waited_for_its_key_is_made_again() {
    run(async {
        let theatre = Theatre::open().await;
        assert_eq!(second_of_a_key(&theatre, &[]).await, Err(ErrorKind::Conflict), "claim again");
        assert_eq!(second_of_a_key(&theatre, LOOKS_AT_NO_KEY_AGAIN).await, Ok(Claim::Fresh));
    });
}

/// Answers the claim of the second message of a key, made together with the first while another process sets that one apart.
async fn second_of_a_key(theatre: &Theatre, rewrites: &'static [Rewrite]) -> Result<Claim, ErrorKind> {
    let process = || theatre.process(Way::without_stops(rewrites));
    let ((_first_wire, first), (_second_wire, second)) = (process().await, process().await);
    let consumer = unique("billing");

    let mut parks = first.begin().await.expect("begins");
    let failure = Failure::permanent(FailureKind::Failed, "no");
    let failure = Failure { attempts: 1, next: Next::Dead, ..failure };
    let (earlier, room) = (received(0), ParkingLimits::default());
    let parked = first.park(&mut parks, &consumer, &earlier, &failure, room).await.expect("parks");
    assert_eq!(parked, SetAsideOutcome::SetAside);

    let mut tx = second.begin().await.expect("begins");
    let session = backend(&mut tx).await;
    let waits = tokio::spawn(async move {
        let requests = [0, 1].map(request);
        let answers = second.claim(&mut tx, &consumer, &requests).await;
        second.rollback(tx).await.expect("rolls back");
        answers.map(|answers| answers[1]).map_err(|error| error.kind())
    });
    until_it_waits(first.pool(), session).await;
    first.commit(parks).await.expect("commits");
    waits.await.expect("answers")
}

fn received(offset: i64) -> ReceivedMessage {
    let message = Message::new(TOPIC, "payload").with_key("p0-k0");
    let position = Some(Position { topic: TOPIC.into(), partition: 0, offset });
    ReceivedMessage { id: MessageId::from_stored(&format!("p0-{offset}")), message, position }
}

fn request(offset: i64) -> ClaimRequest {
    let ReceivedMessage { id, message, .. } = received(offset);
    ClaimRequest { id, topic: message.topic, key: message.key, generation: 0 }
}
