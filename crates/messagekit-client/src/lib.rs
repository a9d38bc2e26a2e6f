//! Topics of a server over HTTP: a worker that needs no database and no broker.
//!
//! The server is `messagekit admin`. A [`Consumer`] claims records for a group, handles them and acknowledges what it has handled; a
//! [`Client`] has single requests.
//!
//! ```no_run
//! use messagekit::Shutdown;
//! use messagekit_client::{Consumer, Message};
//!
//! async fn ship(message: Message) -> Result<(), messagekit::Error> {
//!     let order: serde_json::Value = message.json()?;
//!     println!("{}: {}", message.event_id().unwrap_or_default(), order["item"]);
//!     Ok(())
//! }
//!
//! # async fn run(token: &str) -> Result<(), messagekit::Error> {
//! let consumer = Consumer::new("http://127.0.0.1:9464", token, "shop.orders", "shipping")?;
//! consumer.run(ship, Shutdown::on_signal()?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Errors are those of [`messagekit`]. What a server refuses has the values `status` and `code`, the server's word, such as `NOT_FOUND`
//! ([`Error::context`](messagekit::Error::context)).

mod address;
mod attempts;
mod claim;
mod client;
mod connection;
mod connector;
mod consumer;
mod hooks;
mod lease;
mod message;
mod patience;
mod refusal;
mod run;
mod settings;

pub use client::Client;
pub use consumer::Consumer;
pub use message::Message;
pub use messagekit::{Error, ErrorKind};
pub use messagekit_wire as wire;
