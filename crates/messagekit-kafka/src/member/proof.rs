//! What offsets are committed with: that a consumer has handled what is before them, and which record it handled last.
//!
//! A log that an unclean election has cut, or that was made anew, has other records at offsets that were handled once it has
//! grown again. The offset alone does not show that.

use rdkafka::message::Message;

/// Stands at the beginning of the metadata; what operators commit has other metadata, or none.
const OURS: &str = "messagekit";

/// How much of a payload counts.
const PAYLOAD: usize = 256;

/// Tells a record from others that may come to stand at its offset: by its time, its key and the beginning of its payload.
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

/// Returns the metadata of an offset, before which this record was handled last.
pub(crate) fn metadata(last: Option<Fingerprint>) -> String {
    last.map_or_else(|| OURS.to_owned(), |Fingerprint(print)| format!("{OURS} {print:016x}"))
}

/// Reads metadata; the outer `None` says that no consumer of this crate wrote it.
pub(crate) fn read(metadata: &str) -> Option<Option<Fingerprint>> {
    let mut words = metadata.split(' ');
    (words.next() == Some(OURS)).then(|| {
        let print = words.next().and_then(|print| u64::from_str_radix(print, 16).ok());
        print.map(Fingerprint)
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
        assert_eq!(read(&metadata(Some(print))), Some(Some(print)));
        assert_eq!(read(&metadata(None)), Some(None));
        for foreign in ["", "messagekits", "2026-01-02", "messagekit2 00"] {
            assert_eq!(read(foreign), None, "{foreign:?}");
        }
        assert_eq!(read("messagekit of a later version"), Some(None));
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
