//! A message, its identity, headers and typed form.

mod as_binary;
mod cloud_events;
pub mod codec;
mod decode;
mod envelope;
pub mod headers;
mod id;
mod identity;
mod json_error;
pub(crate) mod json_text;
mod links;
#[allow(clippy::module_inception, reason = "a module has the name of the thing in it")]
mod message;
pub(crate) mod position;
mod raw_envelope;
mod read_versions;
mod trace_context;
mod unusable;
mod version;
mod wire_form;

pub use as_binary::as_binary;
pub use cloud_events::on_wire;
pub use envelope::{DeliveryInfo, Envelope, Meta};
pub use headers::Headers;
pub use id::MessageId;
pub use identity::Identity;
pub(crate) use identity::identify;
pub use links::EventLinks;
pub use message::{MAX_HEADERS, MAX_KEY_AND_HEADER_BYTES, MAX_PAYLOAD_BYTES, Message};
pub use position::Position;
pub(crate) use read_versions::{ReadVersions, choose};
pub(crate) use trace_context::TraceContext;
pub use version::DataVersion;
pub use wire_form::WireForm;
