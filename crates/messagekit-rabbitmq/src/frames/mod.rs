//! The frames of a connection, read before the client library reads them.
//!
//! The client parses a whole frame, and by recursion. A name that is not UTF-8 ends the connection with every message
//! that was prefetched on it; deeply nested values end the process. So every frame with content of publishers goes
//! through [`FrameReader`] first. The reader replaces properties that the client cannot read by others that hold
//! their bytes, and marks the message as unreadable.

mod cursor;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod hostile;
mod properties;
mod reader;
mod stream;
mod unreadable;

pub(crate) use stream::connect;
pub(crate) use unreadable::Unreadable;
