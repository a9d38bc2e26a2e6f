//! A message that is taken back from its range. A random schedule meets the wrong statement too rarely; here is the way where it shows.

use messagekit::adapter::{ClaimRequest, Markers};
use messagekit::{Claim, Error, MessageId, Store};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::unique;

use super::mutants::{Rewrite, TAKEN_BACK_FORGETS};
use super::run;
use super::schedule::Theatre;
use super::wire::Way;

#[test]
fn message_that_is_taken_back_from_its_range_is_done_as_before() {
    run(async {
        let theatre = Theatre::open().await;
        assert_eq!(second_copy_after_a_range(&theatre, &[]).await.unwrap(), Claim::Done);
        assert_eq!(second_copy_after_a_range(&theatre, TAKEN_BACK_FORGETS).await.unwrap(), Claim::Fresh);
    });
}

/// Answers the claim of a copy outside of the range, after the copy inside was claimed and taken back.
async fn second_copy_after_a_range(theatre: &Theatre, rewrites: &'static [Rewrite]) -> Result<Claim, Error> {
    let (_wire, store) = theatre.process(Way::without_stops(rewrites)).await;
    let consumer = unique("billing");
    claim(&store, &consumer, 0, false).await?;
    claim(&store, &consumer, 1, true).await?;
    claim(&store, &consumer, 0, false).await
}

/// Claims the message in a transaction of its own, and takes the claim back if asked.
async fn claim(
    store: &PostgresStore,
    consumer: &str,
    generation: i32,
    takes_back: bool,
) -> Result<Claim, Error> {
    let request =
        ClaimRequest { id: MessageId::from_stored("p0-0"), topic: "orders".into(), key: None, generation };
    let mut tx = store.begin().await?;
    let answers = store.claim(&mut tx, consumer, std::slice::from_ref(&request)).await?;
    if takes_back {
        store.unclaim(&mut tx, consumer, &[request]).await?;
    }
    store.commit(tx).await?;
    Ok(answers[0])
}
