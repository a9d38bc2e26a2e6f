//! The checks of a virtual host.

use messagekit::operations::{CLOCK_DIFFERS, Check, SERVICE_UNREACHABLE};

pub(super) const NOT_QUORUM: Check = Check::problem(
    "queue-not-quorum",
    "a classic queue is lost with its node, and knows neither a delivery limit nor safe dead letters",
);
pub(super) const DELIVERY_LIMIT_LOW: Check = Check::problem(
    "queue-delivery-limit-low",
    "a process that ends counts a delivery for each message it held: the broker gives healthy messages up",
);
pub(super) const NO_DEAD_LETTERS: Check = Check::problem(
    "queue-without-dead-letters",
    "the broker drops a message that reaches the delivery limit or is rejected",
);
pub(super) const LOSES_DEAD_LETTERS: Check = Check::problem(
    "queue-loses-dead-letters",
    "a dead letter is dropped when its target does not take it at once, and a full queue drops messages",
);
pub(super) const EXCHANGE_MISSING: Check = Check::problem(
    "dead-letter-exchange-missing",
    "dead letters go nowhere: the broker drops them, or keeps them in the queue for ever",
);
pub(super) const UNROUTABLE: Check = Check::problem(
    "dead-letters-unroutable",
    "the dead-letter exchange routes to no queue: dead letters are dropped, or stay for ever",
);
pub(super) const WITHOUT_CONSUMER: Check =
    Check::problem("queue-without-consumer", "messages wait, and no process reads them");

pub(super) const ALL: &[&Check] = &[
    &SERVICE_UNREACHABLE,
    &CLOCK_DIFFERS,
    &EXCHANGE_MISSING,
    &UNROUTABLE,
    &NOT_QUORUM,
    &DELIVERY_LIMIT_LOW,
    &NO_DEAD_LETTERS,
    &LOSES_DEAD_LETTERS,
    &WITHOUT_CONSUMER,
];
