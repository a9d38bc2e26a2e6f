//! Why a command is not run.

use messagekit::ErrorKind;
use messagekit_topics::Error;

pub(super) fn refused(kind: ErrorKind, text: &'static str, topic: &str) -> Error {
    messagekit::Error::new(kind, text).with("topic", topic).into()
}
