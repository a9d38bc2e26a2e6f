//! What a caller decides when a topic is dropped.

/// What becomes of the table sources that feed a topic which is dropped. Without it their events would go to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSources {
    /// The topic stays while it has any.
    #[default]
    Refuse,
    /// They are dropped, too.
    Drop,
}
