//! The health of a file that relays publish.

use messagekit::operations::{OutboxHealth, OutboxLag};
use messagekit::relay::{OutboxReader, Rejection};
use messagekit::{Error, ErrorKind};

use super::outbox::{File, LEASE, page, write};

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_what_no_broker_has_confirmed() {
    let file = File::new();
    let store = file.open().await;
    write(&store, "stays").await;
    let empty = OutboxLag { pending: 0, overdue: 0, oldest: None, slot_bytes: None, problems: Vec::new() };
    assert_eq!(store.lag().await.unwrap(), empty, "what stays is where it belongs");

    let store = file.relayed().await;
    write(&store, "e-1").await;
    write(&store, "e-2").await;
    let found = store.lag().await.unwrap();
    assert!(found.pending == 2 && found.oldest.is_some(), "{found:?}");
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
    assert!(found.problems[0].contains("refused 1 events, and 1 wait"), "{found:?}");
}
