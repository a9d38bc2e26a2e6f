//! The topology that the service needs in RabbitMQ.

use messagekit::Error;
use messagekit_rabbitmq::{Queue, RabbitMq};

/// The exchange of the bridge. The routing key is the event's type.
pub const EXCHANGE: &str = "events";
/// The queue of bills that wait for shipping.
pub const QUEUE: &str = "shipping.bills";
/// The dead-letter queue of bills that were delivered too often.
pub const FAILED_MESSAGES: &str = "shipping.bills.dead";

/// Declares missing exchanges and queues. Existing ones must match.
pub(crate) async fn declare(rabbitmq: &RabbitMq) -> Result<(), Error> {
    let topology = rabbitmq
        .topology()
        .exchange(EXCHANGE)
        .exchange("dead")
        .queue(Queue::quorum(QUEUE).dead_letter("dead", QUEUE))
        .queue(Queue::dead_letters(FAILED_MESSAGES))
        .bind(QUEUE, EXCHANGE, "billing.bill.#")
        .bind(FAILED_MESSAGES, "dead", QUEUE);
    topology.declare().await
}
