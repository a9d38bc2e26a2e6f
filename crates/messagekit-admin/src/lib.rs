//! The operators' interface of messagekit over HTTP: failed messages, events, rejected events, replay, health, metrics.
//!
//! ```no_run
//! # async fn example(store: messagekit_memory::MemoryStore) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use messagekit::Shutdown;
//! use messagekit_admin::{Admin, DEFAULT_ADDRESS, Tokens};
//!
//! let tokens = Tokens::parse(&std::fs::read_to_string("tokens")?)?;
//! let admin = Admin::builder().database("shop", Arc::new(store)).tokens(tokens).build()?;
//! let listener = tokio::net::TcpListener::bind(DEFAULT_ADDRESS).await?;
//! admin.serve(listener, Shutdown::on_signal()?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Admin`]: everything, for operators with a token; another application can nest [`Admin::router`].
//! - [`AdminBuilder::topics`]: topics of a database for services in any language, by SQL statements and by requests.
//! - [`Tokens`], [`Token`], [`Role`]: the accepted callers and their rights. Only hashes are stored.
//! - [`Overview`], [`documents`], [`DoctorView`]: the documents of the routes, for a program without HTTP.
//! - [`Health`] and [`metrics_router`]: only the health paths, or only `/metrics`, open, for any service.
//! - [`serve`]: serves a router to connections that may be slow or many.
//!
//! `GET /openapi.json` describes every operation, and names the role that each needs.
//!
//! # What it does not do
//!
//! There is no TLS and no page for a browser. The admin does not know the broker of an event: a retry and a replay
//! are rows of a database, which the consumer, the bookkeeper and the relay or connector process.

mod admin;
mod app;
mod audit;
mod body;
mod byte_text;
mod caller;
mod consumers;
mod database;
mod doctor;
mod document;
pub mod documents;
mod events;
mod failed_messages;
mod failure;
mod health;
mod in_database;
mod list;
mod metrics_page;
mod metrics_router;
mod next_link;
mod overview;
mod page;
mod parameters;
mod problem;
mod protection;
mod rejected;
mod replay;
mod request_id;
mod role;
mod serve;
mod services;
mod status;
mod token;
mod tokens;
mod topics;
mod unprefixed_paths;

pub use admin::{Admin, AdminBuilder, DEFAULT_ADDRESS};
pub use database::{READ_LIMIT, is_database_name};
pub use doctor::DoctorView;
pub use health::{Health, HealthLimits};
pub use in_database::InDatabase;
pub use list::{List, Listed};
pub use metrics_router::metrics_router;
pub use overview::Overview;
pub use replay::run_replays;
pub use role::Role;
pub use serve::serve;
pub use services::Service;
pub use token::{Token, TokenHash};
pub use tokens::Tokens;
