//! The metadata of committed offsets: it proves that a consumer has handled the records before the offset. It names
//! the last handled record, and the positions that the database remembered then.
//!
//! A log that was truncated by an unclean election, or created anew, grows again and then has other records at
//! handled offsets. The offset alone does not show that.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use messagekit::adapter::Priming;
use rdkafka::message::Message;

/// The first word of the metadata; the metadata of operators differs, or is empty.
const OURS: &str = "messagekit";

/// How many bytes of a payload the fingerprint covers.
const PAYLOAD: usize = 256;

/// What the word with the id of the topic begins with. Base64 has no colon, so this word is no position.
const TOPIC_ID: &str = "id=";

/// The maximal number of key lanes in the metadata, those with the highest positions: brokers limit metadata to 4,096
/// bytes.
const KEY_LANES: usize = 100;

/// The positions of a partition's key lanes.
pub(crate) type Positions = BTreeMap<u32, i64>;

/// The content of the metadata that a consumer of this crate commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The last record that was handled before the offset, if it is known.
    pub(crate) last: Option<Fingerprint>,
    /// The positions that the database remembered of the partition. They only grow while the database loses nothing.
    pub(crate) remembered: Positions,
    /// The id of the topic that the offset is one of, if it is known.
    pub(crate) topic_id: Option<Arc<str>>,
}

/// Distinguishes a record from others that may get its offset: by its time, its key and the beginning of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(record: &impl Message) -> Self {
        let (key, payload) = (record.key().unwrap_or_default(), record.payload().unwrap_or_default());
        let time = record.timestamp().to_millis().unwrap_or_default().to_be_bytes();
        let size = payload.len().to_be_bytes();
        let parts = [&time[..], &size, key, &payload[..payload.len().min(PAYLOAD)]];
        // FNV-1a: the same in every version of this program.
        let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, add))
    }
}

/// Returns the metadata of an offset: `messagekit OFFSET FINGERPRINT id=TOPICID KEYLANE:POSITION …`.
pub(crate) fn metadata(
    offset: i64,
    last: Option<Fingerprint>,
    topic_id: Option<&str>,
    remembered: &Positions,
) -> String {
    let print = last.map_or_else(|| "-".to_owned(), |Fingerprint(print)| format!("{print:016x}"));
    let mut text = format!("{OURS} {offset} {print}");
    if let Some(id) = topic_id {
        write!(text, " {TOPIC_ID}{id}").expect("a string takes everything");
    }
    let mut furthest: Vec<(&u32, &i64)> = remembered.iter().collect();
    furthest.sort_unstable_by_key(|(_, next)| Reverse(**next));
    for (key_lane, next) in furthest.into_iter().take(KEY_LANES) {
        write!(text, " {key_lane}:{next}").expect("a string takes everything");
    }
    text
}

/// Parses the metadata of an offset; `None` means that no consumer of this crate committed this offset. Metadata that
/// names another offset was copied, for example by a tool that mirrors groups to a cluster with other offsets.
pub(crate) fn read(offset: i64, metadata: &str) -> Option<Proof> {
    let mut words = metadata.split(' ');
    if words.next() != Some(OURS) || words.next()?.parse() != Ok(offset) {
        return None;
    }
    let print = words.next().and_then(|print| u64::from_str_radix(print, 16).ok()).map(Fingerprint);
    // There is no record before the first one.
    let last = print.filter(|_| offset > 0);
    let position = |word: &str| {
        let (key_lane, next) = word.split_once(':')?;
        Some((key_lane.parse().ok()?, next.parse().ok()?))
    };
    // A program of an earlier version also names the positions of primings. They say nothing of the live consumer.
    let is_live = |(key_lane, _): &(u32, i64)| !Priming::owns(*key_lane);
    let rest: Vec<&str> = words.collect();
    let topic_id = rest.iter().find_map(|word| word.strip_prefix(TOPIC_ID)).map(Arc::from);
    Some(Proof {
        last,
        remembered: rest.into_iter().filter_map(position).filter(is_live).collect(),
        topic_id,
    })
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    use super::*;

    fn record(time: i64, key: &str, payload: &str) -> Fingerprint {
        let (key, payload) = (key.as_bytes().to_vec(), payload.as_bytes().to_vec());
        let time = Timestamp::CreateTime(time);
        Fingerprint::of(&OwnedMessage::new(Some(payload), Some(key), "orders".into(), time, 0, 7, None))
    }

    #[test]
    fn metadata_comes_back_as_it_was_written() {
        let print = record(1, "a", "b");
        for last in [None, Some(print)] {
            for remembered in [Positions::new(), Positions::from([(0, 10), (7, 3)])] {
                for topic_id in [None, Some(Arc::from("Qkz2pGxOT4Gk0xkT0vR2yQ"))] {
                    let text = metadata(10, last, topic_id.as_deref(), &remembered);
                    let expected = Proof { last, remembered: remembered.clone(), topic_id };
                    assert_eq!(read(10, &text), Some(expected), "{text}");
                }
            }
        }
        for foreign in
            ["", "messagekits 10", "2026-01-02", "messagekit2 10", "messagekit", "messagekit of me"]
        {
            assert_eq!(read(10, foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn metadata_that_was_copied_to_another_offset_proves_nothing() {
        let text = metadata(10, Some(record(1, "a", "b")), None, &Positions::from([(0, 10)]));
        assert_eq!(read(9, &text), None);
    }

    #[test]
    fn positions_of_primings_prove_nothing() {
        let priming = Priming::begun(1).key_lane();
        let text = metadata(10, None, None, &Positions::from([(0, 10), (priming, 7)]));
        assert_eq!(read(10, &text).map(|proof| proof.remembered), Some(Positions::from([(0, 10)])));
    }

    #[test]
    fn no_record_is_named_before_the_first_one() {
        let text = metadata(0, Some(record(1, "a", "b")), None, &Positions::new());
        assert_eq!(read(0, &text), Some(Proof::default()));
    }

    #[test]
    fn metadata_is_no_longer_than_brokers_take() {
        let last_lane = (1 << 31) - 1;
        let many: Positions =
            (0..10_000).map(|lane| (last_lane - lane, i64::MAX - i64::from(lane))).collect();
        let text = metadata(i64::MAX, Some(record(1, "a", "b")), Some("Qkz2pGxOT4Gk0xkT0vR2yQ"), &many);
        assert!(text.len() < 4_096, "{} bytes", text.len());
        let read = read(i64::MAX, &text).unwrap().remembered;
        assert_eq!(read.get(&last_lane), Some(&i64::MAX), "the furthest is named");
    }

    #[test]
    fn records_differ_by_time_key_and_payload() {
        let print = record(1, "a", "b");
        assert_eq!(print, record(1, "a", "b"));
        for other in [record(2, "a", "b"), record(1, "c", "b"), record(1, "a", "d"), record(1, "", "ab")] {
            assert_ne!(print, other);
        }
    }
}
