//! The frames of a connection, read before the client library reads them.
//!
//! The client parses a frame as a whole and by recursion: a name that is not UTF-8 ends the connection with everything that
//! was prefetched on it, and values that stand deep in each other end the process. So every frame that holds what
//! publishers wrote goes through [`FrameReader`] first. In place of properties that the client cannot read it gets others
//! that hold their bytes, and the message becomes one that is known to be unreadable.

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
