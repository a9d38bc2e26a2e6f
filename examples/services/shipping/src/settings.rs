//! The settings of the service.

use messagekit::Error;
use messagekit_config::Secret;
use messagekit_rabbitmq::RabbitMq;
use messagekit_service::Service;

/// Every variable that the service reads.
pub const SETTINGS: &[&str] = &[
    "MESSAGEKIT_DATABASE__0__URL",
    "MESSAGEKIT_DATABASE__0__URL_FILE",
    "MESSAGEKIT_RABBITMQ__URL",
    "MESSAGEKIT_SHIPPING__LISTEN",
    "MESSAGEKIT_RABBITMQ__URL_FILE",
    "MESSAGEKIT_RABBITMQ__CA_FILE",
    "MESSAGEKIT_CONFIG",
    "MESSAGEKIT_LOG",
];

/// Returns the URL of the database, and the broker.
pub(crate) fn read(service: &Service) -> Result<(Secret, RabbitMq), Error> {
    let settings = service.settings();
    let rabbitmq = RabbitMq::from_section(&settings.section("rabbitmq"));
    settings.complete(settings.postgres("shipping").zip(rabbitmq))
}
