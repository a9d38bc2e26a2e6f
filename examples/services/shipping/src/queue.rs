//! What the service needs at RabbitMQ.

use messagekit::Error;
use messagekit_rabbitmq::{Queue, RabbitMq};

/// Where the bridge publishes; the routing key is the event's type.
pub const EXCHANGE: &str = "events";
/// The bills that wait to be shipped.
pub const QUEUE: &str = "shipping.bills";
/// What RabbitMQ took out of that queue because it was delivered too often.
pub const FAILED_MESSAGES: &str = "shipping.bills.dead";

/// Declares what is missing; what is there must be as it would be declared.
pub(crate) async fn declare(rabbitmq: &RabbitMq) -> Result<(), Error> {
    let topology = rabbitmq
        .topology()
        .exchange(EXCHANGE)
        .exchange("dead")
        .queue(Queue::quorum(QUEUE).dead_letter("dead", QUEUE))
        .queue(Queue::dead_letters(FAILED_MESSAGES))
        .bind(QUEUE, EXCHANGE, "billing.bill.#")
        .bind(FAILED_MESSAGES, "dead", QUEUE);
    Ok(topology.declare().await?)
}
