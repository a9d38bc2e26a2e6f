//! Variables of messagekit for Python, and of KalamDB.

/// Lists the supported variables of messagekit for Python, and of KalamDB's topics, each with its key here. A new name takes precedence
/// over its alias.
///
/// The asynchronous driver in a database URL (`postgresql+asyncpg://`) is removed. A plain number is a time in seconds
/// if the setting is a time. Other variables of messagekit for Python have no counterpart and are ignored.
pub const ALIASES: [(&str, &str); 10] = [
    ("EVENTING_DATABASE_URL", "database.0.url"),
    ("EVENTING_KAFKA_BOOTSTRAP_SERVERS", "kafka.brokers"),
    ("EVENTING_KAFKA_CLIENT_ID", "kafka.client_id"),
    ("EVENTING_RABBITMQ_URL", "rabbitmq.url"),
    ("EVENTING_RABBITMQ_EXCHANGE", "bridge.exchange"),
    ("EVENTING_RABBITMQ_RATE_LIMITER_ENABLED", "bridge.limit.enabled"),
    ("EVENTING_RABBITMQ_RATE_LIMIT", "bridge.limit.messages"),
    ("EVENTING_RABBITMQ_RATE_INTERVAL", "bridge.limit.per"),
    ("KALAMDB_TOPIC_VISIBILITY_TIMEOUT_SECS", "topics.visibility_timeout_secs"),
    ("KALAMDB_VISIBILITY_TIMEOUT_SECS", "topics.visibility_timeout_secs"),
];

/// Returns the key of a variable and its converted value. Names are case-insensitive, as in messagekit for Python.
pub(super) fn resolve(name: &str, value: &str) -> Option<(&'static str, String)> {
    let (_, path) = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name))?;
    let value = match *path {
        "database.0.url" => match value.split_once("://") {
            Some((scheme, rest)) => format!("{}://{rest}", scheme.split('+').next().unwrap_or(scheme)),
            None => value.to_owned(),
        },
        "bridge.limit.per" if value.trim().parse::<f64>().is_ok() => format!("{}s", value.trim()),
        _ => value.to_owned(),
    };
    Some((*path, value))
}
