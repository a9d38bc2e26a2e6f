//! The checks of a cluster.

use messagekit::operations::{Check, SERVICE_UNREACHABLE};

pub(super) const TOPIC_MISSING: Check = Check::problem(
    "topic-missing",
    "nothing can be published to it, or a broker makes it with settings that nobody chose",
);
pub(super) const MESSAGE_BYTES: Check = Check::problem(
    "topic-max-message-bytes-low",
    "the outbox accepts larger events: the broker rejects them, and the later events of their keys wait",
);
pub(super) const ONE_REPLICA: Check =
    Check::warning("topic-replication-factor-one", "events are gone with the disk of one broker");
pub(super) const IN_SYNC_HIGH: Check = Check::problem(
    "topic-min-insync-replicas-high",
    "the topic has fewer replicas than a write needs, so it accepts nothing",
);
pub(super) const IN_SYNC_ALL: Check = Check::warning(
    "topic-min-insync-replicas-all",
    "no event is lost with a broker, and the topic accepts nothing while one is down",
);
pub(super) const IN_SYNC_ONE: Check = Check::warning(
    "topic-min-insync-replicas-one",
    "a confirmed event may be on one broker only, and is gone with it",
);
pub(super) const UNCLEAN_ELECTION: Check = Check::problem(
    "topic-unclean-leader-election",
    "a broker that lacks confirmed events may become the leader: they are gone, and offsets are given twice",
);
pub(super) const OUTLIVES_WINDOW: Check = Check::warning(
    "topic-outlives-dedup-window",
    "a consumer that reads the topic again meets messages whose markers may be removed",
);
pub(super) const GROUP_ABANDONED: Check =
    Check::problem("group-without-members", "records wait, and no process reads them");

pub(super) const ALL: &[&Check] = &[
    &SERVICE_UNREACHABLE,
    &TOPIC_MISSING,
    &MESSAGE_BYTES,
    &ONE_REPLICA,
    &IN_SYNC_HIGH,
    &IN_SYNC_ALL,
    &IN_SYNC_ONE,
    &UNCLEAN_ELECTION,
    &OUTLIVES_WINDOW,
    &GROUP_ABANDONED,
];

/// The checks that read the settings of topics.
pub(super) const ON_SETTINGS: &[&Check] =
    &[&MESSAGE_BYTES, &IN_SYNC_HIGH, &IN_SYNC_ALL, &IN_SYNC_ONE, &UNCLEAN_ELECTION, &OUTLIVES_WINDOW];

/// The checks that read groups.
pub(super) const ON_GROUPS: &[&Check] = &[&GROUP_ABANDONED];
