//! How much the client library may fetch ahead for the partitions of a reader.

use rdkafka::ClientConfig;

/// What all partitions of a reader may have fetched ahead, unless the user sets the properties.
const TOTAL: usize = 64 * 1024 * 1024;
/// What a fetch may return for one partition, unless that is divided further.
const FETCH: usize = 1024 * 1024;
/// No partition gets less: with smaller fetches each request would bring a few records only.
const LEAST: usize = 64 * 1024;
/// The library keeps some hundred bytes beside each record and does not count them.
const BYTES_PER_MESSAGE: usize = 256;

/// The properties of the client library that bound what it holds of one partition.
///
/// The library compares the bytes in the queue of a partition with its limit before it sends a fetch. A queue therefore grows to the
/// limit and one fetch more, and both are divided here. A batch that is larger than a fetch comes whole, and a compressed one grows when
/// it is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueLimits {
    kilobytes: usize,
    messages: usize,
    fetch: usize,
}

impl QueueLimits {
    /// Divides the total among the partitions of a reader.
    pub(super) fn of(partitions: usize) -> Self {
        let share = (TOTAL / partitions.max(1)).max(2 * LEAST);
        let fetch = (share / 4).clamp(LEAST, FETCH);
        let queue = share - fetch;
        Self { kilobytes: queue / 1024, messages: (queue / BYTES_PER_MESSAGE).min(100_000), fetch }
    }

    /// Sets the limits that the settings do not have: those of a user win.
    pub(super) fn apply(self, config: &mut ClientConfig) {
        let limits = [
            ("queued.max.messages.kbytes", &[][..], self.kilobytes),
            ("queued.min.messages", &[], self.messages),
            ("fetch.message.max.bytes", &["max.partition.fetch.bytes"], self.fetch),
        ];
        for (key, aliases, limit) in limits {
            if config.get(key).is_none() && aliases.iter().all(|alias| config.get(alias).is_none()) {
                config.set(key, limit.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_divide_the_memory_of_a_reader() {
        for partitions in [1, 2, 12, 64, 512] {
            let QueueLimits { kilobytes, messages, fetch } = QueueLimits::of(partitions);
            assert!(partitions * (kilobytes * 1024 + fetch) <= TOTAL, "{partitions} partitions");
            assert!(fetch >= LEAST && kilobytes * 1024 >= fetch && messages > 100, "{partitions} partitions");
        }
        assert_eq!(QueueLimits::of(5_000), QueueLimits::of(1_000));
    }

    #[test]
    fn limits_of_a_user_win() {
        let mut config = ClientConfig::new();
        config.set("queued.min.messages", "7").set("max.partition.fetch.bytes", "5000");
        QueueLimits::of(12).apply(&mut config);
        assert_eq!(config.get("queued.min.messages"), Some("7"));
        assert_eq!(config.get("fetch.message.max.bytes"), None);
        assert_eq!(config.get("queued.max.messages.kbytes"), Some("4437"));
    }
}
