//! The services of a stack, and their dependencies.

use std::fmt;

use clap::ValueEnum;
use serde_json::Value;

/// One service of the stack, with its name on the command line and in the compose file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Service {
    /// The database.
    Postgres,
    /// The broker.
    Kafka,
    /// The Kafka Connect worker with Debezium's PostgreSQL connector.
    Connect,
    /// RabbitMQ, with streams.
    Rabbitmq,
}

impl Service {
    /// Every service.
    pub(crate) const ALL: [Self; 4] = [Self::Postgres, Self::Kafka, Self::Connect, Self::Rabbitmq];

    /// The services without a selection: those that the tests need.
    pub(crate) const DEFAULT: [Self; 4] = Self::ALL;

    /// Returns its name on the command line, in the compose file, and in folders and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Connect => "connect",
            Self::Rabbitmq => "rabbitmq",
        }
    }

    /// Returns the service with this name in a document, if it is one.
    pub(crate) fn named(name: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|service| *name == service.name())
    }

    /// Returns the names of the ports it listens on. Clients use the first one.
    pub(crate) fn ports(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres"],
            Self::Kafka => &["kafka", "kafka-controller"],
            Self::Connect => &["connect"],
            Self::Rabbitmq => {
                &["rabbitmq", "rabbitmq-api", "rabbitmq-stream", "rabbitmq-distribution", "rabbitmq-epmd"]
            }
        }
    }

    /// Returns the named services, or `otherwise` when none is named, with those they depend on. Each is listed once, in a
    /// fixed order.
    pub(crate) fn chosen(named: &[Self], otherwise: &[Self]) -> Vec<Self> {
        let named = if named.is_empty() { otherwise } else { named };
        let wanted = |service: &Self| {
            named.contains(service) || (*service == Self::Kafka && named.contains(&Self::Connect))
        };
        Self::ALL.into_iter().filter(wanted).collect()
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_includes_its_broker_and_no_names_mean_the_default() {
        use Service::{Connect, Kafka, Postgres, Rabbitmq};
        assert_eq!(Service::chosen(&[Connect], &Service::DEFAULT), [Kafka, Connect]);
        assert_eq!(Service::chosen(&[], &Service::DEFAULT), Service::ALL);
        assert_eq!(Service::chosen(&[Rabbitmq, Postgres, Postgres], &Service::DEFAULT), [Postgres, Rabbitmq]);
    }

    #[test]
    fn the_command_line_name_is_the_name() {
        for service in Service::ALL {
            assert_eq!(service.to_possible_value().expect("not hidden").get_name(), service.name());
        }
    }
}
