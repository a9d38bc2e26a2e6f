//! Limits of a walk through a schema, whose references may lead on without end.

/// Deeper parts are left out: a stack has an end.
const MAX_DEPTH: usize = 128;
/// Later parts are left out: references that are used twice at each level double with each.
const MAX_PARTS: usize = 20_000;

/// How far a walk has come.
#[derive(Debug, Default)]
pub(super) struct Limits {
    depth: usize,
    parts: usize,
}

impl Limits {
    /// Enters a part; returns whether the walk may go on. Each call is followed by [`leave`](Self::leave).
    pub(super) fn enter(&mut self) -> bool {
        (self.depth, self.parts) = (self.depth + 1, self.parts + 1);
        self.depth <= MAX_DEPTH && self.parts <= MAX_PARTS
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}
