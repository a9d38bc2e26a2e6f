//! Transactions of other writers: their markers take offsets, and open ones hide what is behind them.

use messagekit::log::PartitionStart;
use messagekit_testkit::{DEADLINE, block_on, eventually};

use super::{Reader, end};
use crate::broker::{publish, topic};
use crate::transactional_writer::{abort, begin, commit};

/// Waits until the markers that end a transaction are written: the answer of the coordinator may come before.
async fn until_end_is(topic: &str, expected: i64) {
    eventually("the marker is written", DEADLINE, async || end(topic).await == expected).await;
}

#[test]
fn the_end_lies_behind_markers_and_aborted_records() {
    block_on(async {
        let topic = topic(1, &[]).await;
        publish(&topic, ["m0".to_owned()]).await;
        commit(begin(&topic, 2).await).await;
        until_end_is(&topic, 4).await;
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
        assert_eq!(reader.until_end().await, (vec![0, 1, 2], 4));

        // Nothing to read came, and the end has moved.
        abort(begin(&topic, 3).await).await;
        until_end_is(&topic, 8).await;
        assert_eq!(reader.until_end().await, (vec![], 8));
        let mut again = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
        assert_eq!(again.until_end().await, (vec![0, 1, 2], 8));
        let mut behind = Reader::open(&topic, &[(0, PartitionStart::End)]).await;
        assert_eq!(behind.until_end().await, (vec![], 8));

        publish(&topic, ["m8".to_owned()]).await;
        for reader in [&mut reader, &mut again, &mut behind] {
            assert_eq!(reader.until_end().await, (vec![8], 9));
        }
    });
}

#[test]
fn an_open_transaction_hides_what_is_behind_it() {
    block_on(async {
        let topic = topic(1, &[]).await;
        publish(&topic, ["m0".to_owned()]).await;
        let open = begin(&topic, 2).await;
        publish(&topic, ["m3".to_owned()]).await;
        assert_eq!(end(&topic).await, 1);
        let mut reader = Reader::open(&topic, &[(0, PartitionStart::Earliest)]).await;
        assert_eq!(reader.until_end().await, (vec![0], 1));
        // An offset that is written and not committed is one to wait for.
        let mut ahead = Reader::open(&topic, &[(0, PartitionStart::Offset(3))]).await;
        assert_eq!(ahead.until_end().await, (vec![], 1));
        commit(open).await;
        until_end_is(&topic, 5).await;
        let mut offsets = Vec::new();
        let mut at = 0;
        while at < 5 {
            let (read, end) = reader.until_end().await;
            offsets.extend(read);
            at = end;
        }
        assert_eq!(offsets, [1, 2, 3]);
        let (offsets, _) = ahead.until_end().await;
        assert_eq!(offsets, [3]);
    });
}
