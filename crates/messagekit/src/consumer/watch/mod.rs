//! What watches the surroundings of a consumer: its topics, event types, lag, retention and dedup window.

mod dedup_window;
mod heartbeat;
mod lag;
mod missing_topics;
mod retention;
mod similar_types;
mod topic_check;
mod type_check;
mod unhandled_types;

pub(super) use dedup_window::DedupWindow;
pub(super) use heartbeat::{note_running, note_unhandled};
pub(super) use lag::watch_lag;
pub(super) use missing_topics::log_missing_topics;
pub(super) use retention::watch_retention;
pub(super) use topic_check::{topic_list_problem, topic_problems};
pub(super) use type_check::warn_of_misspelt;
pub(super) use unhandled_types::UnhandledTypes;
