//! The command line from a user's view: output, exit codes, and one line for each mistake.
// Fixtures are test code too, but clippy recognises only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod admin;
mod analysis;
mod arrow_example;
mod arrow_page;
mod asyncapi_schema;
mod audit;
mod bookkeeper;
mod catalog_check;
mod catalog_derived;
mod catalog_folder;
mod catalog_page;
mod catalog_render;
mod cleanup;
mod command;
mod connector;
mod console;
mod dlq;
mod doctor;
mod events;
mod http_topics_page;
mod migrate;
mod minikafka;
mod mistakes;
mod old_versions;
mod ordered_page;
mod page;
mod passed_over;
mod relay;
mod replay;
mod replay_bench;
mod replay_read;
mod replay_read_kafka;
mod replay_read_whole;
mod schema;
mod server;
mod services;
mod shell;
mod sql_page;
mod status;
mod topics;
mod topics_claims;
mod topics_page;
mod topics_records;
mod troubleshooting_page;
