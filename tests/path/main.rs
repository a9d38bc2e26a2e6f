//! The whole path: services as processes, PostgreSQL, Debezium, Kafka, the bridge, RabbitMQ, and all of them killed.
//!
//! `MESSAGEKIT_FULL=1` runs the long tests at their stated size. `MESSAGEKIT_SEED` selects rollbacks and kills.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod billing;
mod book;
mod bridge;
mod broker;
mod cdc;
mod connector;
mod console;
mod crash_points;
mod docs;
mod down;
mod ended_run;
mod examples;
mod failed_messages;
mod forgotten_broker;
mod gate;
mod health;
mod healthy_log;
mod kills;
mod leaving;
mod names;
mod orders;
mod outage;
mod pace;
mod process;
mod queue_outage;
mod queues;
mod records;
mod relay;
mod replay;
mod same_id;
mod service_health;
mod shop;
mod sizes;
mod sql_writers;
mod traces;
mod turn;
mod verdict;
mod writers;
mod year;
