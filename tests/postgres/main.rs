//! Tests that need PostgreSQL.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod by_day;
mod cdc;
mod cdc_command;
mod cdc_server;
mod cleanup;
mod commit;
mod conformance;
mod connections;
mod consumer;
mod counter;
mod cuts;
mod desk;
mod dropped_futures;
mod durable;
mod errors;
mod generations;
mod health;
mod isolation;
mod killed_cleanup;
mod letters;
mod migrations;
mod names;
mod offsets;
mod parking;
mod plans;
mod proxy;
mod publish;
mod relay;
mod replays;
mod rows;
mod same_id;
mod schedules;
mod shop;
mod statements;
