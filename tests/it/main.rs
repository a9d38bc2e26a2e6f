//! Tests across the crates: promises with the real engine, in real processes that are killed.
//!
//! `MESSAGEKIT_FULL=1` runs the long tests at their stated size. `MESSAGEKIT_SEED` selects the moments of the kills.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod alerts;
mod all_systems;
mod bad_files;
mod bad_names;
mod blocked_lane;
mod book;
mod calls_under_kills;
mod changes_under_kills;
mod compose;
mod console;
mod contributors;
mod crash_points;
mod dropped_futures;
mod error_table;
mod failed_messages;
mod full_disk;
mod hostile_records;
mod http_consumers;
mod http_group;
mod http_kills;
mod http_served;
mod import_circles;
mod long_names;
mod migrations;
mod misbehaving_handlers;
mod parked_kills;
mod pipelines;
mod poison_message;
mod primed;
mod priming_kills;
mod random_kills;
mod random_tables;
mod readme_project;
mod record_claims;
mod replaced_rows;
mod repository;
mod rust_client;
mod same_id;
mod schedules;
mod shipped;
mod shop;
mod slow_provider;
mod standby;
mod state_predicates;
mod strange_records;
mod table_sources;
mod time;
mod topic_views;
mod tree;
mod verdict;
mod words;
mod worker;
