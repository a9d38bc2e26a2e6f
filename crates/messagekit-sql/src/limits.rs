//! How large a text may be.

/// The most bytes of a text, be it one statement or a script.
pub const MAX_BYTES: usize = 1 << 20;

/// The most words, names, numbers, strings and operators of a statement.
pub const MAX_TOKENS: usize = 10_000;

/// The most parentheses that stand in each other.
pub const MAX_DEPTH: usize = 12;

/// How deep sqlparser may go. A level takes up to 80 kB of the stack where it is not optimised, and a thread has 2 MiB.
pub(crate) const MAX_RECURSION: usize = MAX_DEPTH + 4;

/// The most bytes of an expression: what a table source takes.
pub const MAX_EXPRESSION_BYTES: usize = 4_000;

/// How many operators of an expression may stand on each other, as two of them do in `a AND b AND c`. To print what sqlparser has
/// read takes up to 8 kB of the stack for each.
pub(crate) const MAX_LEVELS: usize = 100;
