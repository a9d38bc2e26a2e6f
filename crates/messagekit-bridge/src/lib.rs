//! The bridge from Kafka to RabbitMQ.
