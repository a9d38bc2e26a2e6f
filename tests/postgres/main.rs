//! Tests that need PostgreSQL.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod admin_answers;
mod cdc;
mod cdc_command;
mod cleanup;
mod commit;
mod complete_since;
mod conformance;
mod connections;
mod console;
mod consumer;
mod counter;
mod cuts;
mod dropped_futures;
mod durable;
mod encoding;
mod errors;
mod event_history;
mod failed_messages;
mod failover;
mod generations;
mod health;
mod hot_key;
mod isolation;
mod kept_plans;
mod kept_statements;
mod killed_cleanup;
mod migrations;
mod names;
mod offsets;
mod outbox_cost;
mod parking;
mod partitioning;
mod plans;
mod primed;
mod proxy;
mod publish;
mod relay;
mod replays;
mod rows;
mod same_id;
mod scenarios;
mod schedules;
mod schema_names;
mod selections;
mod shipped;
mod shop;
mod slow_health;
mod statements;
mod status;
mod topics;
mod two_phases;
mod upgrades;
mod whole_lag;

#[path = "../it/all_systems.rs"]
mod all_systems;
#[path = "../it/priming_kills.rs"]
mod priming_kills;
#[path = "../it/time.rs"]
mod time;
