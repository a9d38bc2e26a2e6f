//! The settings of the service.

use messagekit::adapter::check_topic;
use messagekit::{Error, Event};
use messagekit_config::Secret;
use messagekit_service::Service;

use crate::event::OrderPlaced;

/// Every variable that the service reads.
pub const SETTINGS: &[&str] = &[
    "MESSAGEKIT_DATABASE__0__URL",
    "MESSAGEKIT_DATABASE__0__URL_FILE",
    "MESSAGEKIT_ORDERS__LIMIT_PENCE",
    "MESSAGEKIT_ORDERS__NAME_PREFIX",
    "MESSAGEKIT_ORDERS__LISTEN",
    "MESSAGEKIT_CONFIG",
    "MESSAGEKIT_LOG",
];

/// The settings of the service.
pub(crate) struct Settings {
    pub(crate) database_url: Secret,
    pub(crate) limit_pence: Option<i64>,
    /// The prefix of the names of topics.
    pub(crate) name_prefix: String,
}

impl Settings {
    pub(crate) fn read(service: &Service) -> Result<Self, Error> {
        let own = service.section();
        let limit_pence = own.optional("limit_pence");
        let name_prefix = own.or("name_prefix", String::new());
        if let Err(error) = check_topic(&format!("{name_prefix}{}", OrderPlaced::TOPIC)) {
            own.problem("name_prefix", error);
        }
        let settings = service.settings();
        let database_url = settings.complete(settings.postgres("orders"))?;
        Ok(Self { database_url, limit_pence, name_prefix })
    }
}
