//! How large a text may be.

pub use messagekit_topics::operations::MAX_EXPRESSION_BYTES;

/// The most bytes of a text, be it one statement or a script.
pub const MAX_BYTES: usize = 1 << 20;

/// The most words, names, numbers, strings and operators of a statement.
pub const MAX_TOKENS: usize = 10_000;

/// The most parentheses that stand in each other.
pub const MAX_DEPTH: usize = 12;
