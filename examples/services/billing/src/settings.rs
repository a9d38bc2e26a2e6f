//! The settings of the service.

use messagekit::adapter::check_topic;
use messagekit::{Error, Event};
use messagekit_config::Secret;
use messagekit_kafka::Kafka;
use messagekit_service::Service;

use crate::events::{BillIssued, OrderPlaced};

/// Every variable that the service reads.
pub const SETTINGS: &[&str] = &[
    "MESSAGEKIT_DATABASE__0__URL",
    "MESSAGEKIT_DATABASE__0__URL_FILE",
    "MESSAGEKIT_KAFKA__BROKERS",
    "MESSAGEKIT_BILLING__INSTANCE",
    "MESSAGEKIT_BILLING__NAME_PREFIX",
    "MESSAGEKIT_BILLING__LISTEN",
    "MESSAGEKIT_KAFKA__CLIENT_ID",
    "MESSAGEKIT_KAFKA__PASSWORD",
    "MESSAGEKIT_KAFKA__PASSWORD_FILE",
    "MESSAGEKIT_CONFIG",
    "MESSAGEKIT_LOG",
];

/// The settings of the service.
pub(crate) struct Settings {
    pub(crate) database_url: Secret,
    pub(crate) kafka: Kafka,
    /// The name that this process keeps across restarts, to get its partitions back.
    pub(crate) instance: Option<String>,
    /// The prefix of the names of topics and of the consumer.
    pub(crate) name_prefix: String,
}

impl Settings {
    pub(crate) fn read(service: &Service) -> Result<Self, Error> {
        let (settings, own) = (service.settings(), service.section());
        let instance = own.optional("instance");
        let name_prefix = own.or("name_prefix", String::new());
        for topic in [OrderPlaced::TOPIC, BillIssued::TOPIC] {
            if let Err(error) = check_topic(&format!("{name_prefix}{topic}")) {
                own.problem("name_prefix", error);
            }
        }
        let kafka = Kafka::from_section(&settings.section("kafka"));
        let (database_url, kafka) = settings.complete(settings.postgres("billing").zip(kafka))?;
        Ok(Self { database_url, kafka, instance, name_prefix })
    }
}
