//! A service as one program: its settings, log, traces, health, metrics and stop, around the consumers and relays that are its own.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use messagekit::{Consumer, Envelope, Error, Event, HandlerError};
//! use messagekit_service::Service;
//! use messagekit_sqlite::{SqliteStore, SqliteTx};
//! # use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(type = "orders.order.placed", key = "order_id")]
//! struct OrderPlaced { order_id: String, pence: i64 }
//!
//! async fn bill(tx: &mut SqliteTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
//!     tx.call(move |c| c.execute("INSERT INTO bills VALUES (?1)", [order.data.pence])).await?;
//!     Ok(())
//! }
//!
//! async fn billing(service: Service) -> Result<(), Error> {
//!     let settings = service.settings();
//!     let path = settings.complete(settings.sqlite("billing"))?;
//!     let store = SqliteStore::open(path).await?;
//!     let orders = Consumer::builder("billing", store.clone()).from(store.clone()).on(bill).build()?;
//!     service.store("billing", store).consumer(orders).run().await
//! }
//!
//! #[tokio::main]
//! async fn main() -> ExitCode {
//!     messagekit_service::main("billing", billing).await
//! }
//! ```
//!
//! `MESSAGEKIT_DATABASE__0__URL=sqlite:billing.db` starts it. It prints its address, and answers `/health/live`, `/health/ready`,
//! `/health/outbox` and `/metrics` there until Ctrl-C or SIGTERM; then its consumers end what they have begun.
//!
//! # Settings
//!
//! Variables win over the file that `MESSAGEKIT_CONFIG` names, if it names one ([`messagekit_config`] has the rules).
//!
//! | variable | in the file | meaning |
//! |---|---|---|
//! | `MESSAGEKIT_BILLING__LISTEN` | `listen` of `[billing]`, the section with the name of the service | the address of health, metrics and [routes](Service::routes); `127.0.0.1:8080` unless set |
//! | `MESSAGEKIT_DATABASE__0__URL` | `url` of `[[database]]` | [PostgreSQL](messagekit_config::Configuration::postgres) or [SQLite](messagekit_config::Configuration::sqlite), for a service that reads it |
//! | `MESSAGEKIT_KAFKA__BROKERS`, … | `[kafka]` | read by `Kafka::from_section`, with the feature `config` of `messagekit-kafka` |
//! | `MESSAGEKIT_RABBITMQ__URL`, … | `[rabbitmq]` | read by `RabbitMq::from_section`, with the feature `config` of `messagekit-rabbitmq` |
//! | `MESSAGEKIT_LOG` | | what is logged, `info` unless set: [`LogFilter`](messagekit_telemetry::LogFilter) |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, … | | [where traces and metrics go](messagekit_telemetry); without it nothing is exported |
//!
//! A service reads settings of its own from [its section](Service::section). What it does not read is refused, with the name that was
//! probably meant.
//!
//! # When to write it by hand
//!
//! A service with another server, runtime or way to read settings takes the parts: [`Runner`](messagekit::Runner),
//! [`Health`](messagekit_admin::Health), [`Metrics`](messagekit_prometheus::Metrics) and [`init`](messagekit_telemetry::init).

mod listen;
mod program;
mod service;

/// The version of axum whose [routes](Service::routes) a service takes.
pub use axum;
pub use program::main;
pub use service::Service;
