//! RabbitMQ for messagekit.
