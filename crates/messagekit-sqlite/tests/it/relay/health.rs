//! The health of a file that relays publish.

use messagekit::operations::{Doctor, OutboxHealth, OutboxLag};
use messagekit::relay::{OutboxReader, Rejection};
use messagekit::{Error, ErrorKind};

use super::outbox::{File, LEASE, page, tamper, write};

#[tokio::test(flavor = "multi_thread")]
async fn doctor_misses_a_relay_where_events_wait_for_one() {
    let file = File::new();
    let store = file.relayed().await;
    let absent = async || {
        let found = store.diagnose().await.findings;
        found.into_iter().find(|found| found.check.name == "relay-absent").map(|found| found.text)
    };
    assert_eq!(absent().await, None, "nothing is pending");
    write(&store, "e-1").await;
    assert_eq!(absent().await, None, "a relay may be on its way");
    tamper(&file, "UPDATE messagekit_outbox_pending SET ready_at = ready_at - 31000000");
    let text = absent().await.expect("an event waits in vain");
    assert!(text.contains("1 events are pending"), "{text}");
    store.lease("r1", LEASE).await.unwrap();
    assert_eq!(absent().await, None, "a relay is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_what_no_broker_has_confirmed() {
    let file = File::new();
    let store = file.open().await;
    write(&store, "stays").await;
    let empty = OutboxLag::default();
    assert_eq!(store.lag().await.unwrap(), empty, "what stays is where it belongs");

    let store = file.relayed().await;
    assert_eq!(store.lag().await.unwrap(), empty, "a relay that has stopped has left nothing");
    write(&store, "e-1").await;
    write(&store, "e-2").await;
    let found = store.lag().await.unwrap();
    assert!(found.pending == 2 && found.oldest.is_some(), "{found:?}");
    assert_eq!(found.problems, [""; 0], "a relay may be on its way");
    tamper(&file, "UPDATE messagekit_outbox_pending SET ready_at = ready_at - 31000000");
    let found = store.lag().await.unwrap();
    assert!(found.problems[0].contains("no relay lives"), "{found:?}");
    let page = page(&store).await;
    assert_eq!(store.lag().await.unwrap().problems, [""; 0]);

    let leases = store.lease("r1", LEASE).await.unwrap();
    let lease = *leases.held.iter().find(|lease| lease.shard == page.rows[0].shard).unwrap();
    let error = Some(Error::new(ErrorKind::TooLarge, "too large"));
    let rejection = Rejection { lease, entry: page.rows[0].entry(), error };
    assert_eq!(store.set_aside("r1", &rejection).await.unwrap(), 2);
    let found = store.lag().await.unwrap();
    assert_eq!((found.pending, found.problems.len()), (0, 1), "{found:?}");
    assert!(found.problems[0].contains("rejected 1 events, and 1 wait"), "{found:?}");
}
