//! Typed topics in PostgreSQL: the behaviour of those in a file, and what only a server does.

mod blocked_topic;
mod changes_at_scale;
mod changes_under_kills;
mod dropped_groups;
mod dropped_sources;
mod failing_sources;
mod home;
mod hostile_names;
mod http_kills;
mod idle_http;
mod named_runs;
mod page;
mod random_tables;
mod replicated_rows;
mod server;
mod session_home;
mod sources;
mod views;
mod watch;

#[path = "../../../crates/messagekit-topics/tests/it/claims_together.rs"]
mod claims_together;
#[path = "../../../crates/messagekit-topics/tests/it/drops.rs"]
mod drops;
#[path = "../../it/http_consumers.rs"]
mod http_consumers;
#[path = "../../it/http_group.rs"]
mod http_group;
#[allow(dead_code, reason = "the tests of the Rust client are those over a file")]
#[path = "../../it/http_served.rs"]
mod http_served;
#[path = "../../../crates/messagekit-topics/tests/it/json.rs"]
mod json;
#[path = "../../../crates/messagekit-topics/tests/it/kept_graph.rs"]
mod kept_graph;
#[path = "../../../crates/messagekit-topics/tests/it/lineage.rs"]
mod lineage;
#[path = "../../../crates/messagekit-topics/tests/it/migrate.rs"]
mod migrate;
#[path = "../../../crates/messagekit-topics/tests/it/observers.rs"]
mod observers;
#[path = "../../../crates/messagekit-topics/tests/it/operations.rs"]
mod operations;
#[path = "../../../crates/messagekit-topics/tests/it/pipelines.rs"]
mod pipelines;
#[path = "../../../crates/messagekit-topics/tests/it/poisoned_graphs.rs"]
mod poisoned_graphs;
#[path = "../../../crates/messagekit-topics/tests/it/random_pipelines.rs"]
mod random_pipelines;
#[path = "../../../crates/messagekit-topics/tests/it/retention.rs"]
mod retention;
#[path = "../../../crates/messagekit-sql/tests/it/session.rs"]
mod session;
#[path = "../../../crates/messagekit-sql/tests/it/session_groups.rs"]
mod session_groups;
#[path = "../../../crates/messagekit-topics/tests/it/settled.rs"]
mod settled;
#[path = "../../../crates/messagekit-topics/tests/it/topics.rs"]
mod typed;
#[path = "../../../crates/messagekit-topics/tests/it/year.rs"]
mod year;
