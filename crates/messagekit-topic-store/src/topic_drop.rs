//! What a caller decides when a topic is dropped.

use messagekit::{Error, ErrorKind};

/// What becomes of the table sources that feed a topic which is dropped. Without it their events would go to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSources {
    /// The topic stays while it has any.
    #[default]
    Refuse,
    /// They are dropped, too.
    Drop,
}

/// Refuses to drop a topic that tables feed.
///
/// # Errors
/// [`ErrorKind::WrongState`] with the topic and its sources.
pub fn check_unfed(topic: &str, sources: &[String]) -> Result<(), Error> {
    if sources.is_empty() {
        return Ok(());
    }
    let text = "tables are sources of the topic: drop them first, or with it";
    Err(Error::new(ErrorKind::WrongState, text).with("topic", topic).with("sources", sources.join(", ")))
}
