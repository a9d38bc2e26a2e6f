//! What happens to data of a newer minor version than a handler's struct.

/// The policy for data of the handler's major version, and of a newer minor version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNewerMinor {
    /// Reads the data: a minor version only adds fields, and those that the struct does not have are passed over.
    #[default]
    Read,
    /// Stores the message as a dead letter of kind `newer_version`, for consumers that must not miss a field.
    DeadLetter,
}
