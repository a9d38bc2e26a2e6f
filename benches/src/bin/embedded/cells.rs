//! What is measured, and what it is compared with.

use messagekit_benches::{Cell, Ratio, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measured {
    AppendEngine64,
    AppendGroup,
    AppendBare,
    AppendPythonWal,
    AppendPythonDelete,
    AppendEngine1,
    AppendBare1,
    ConsumeEngine,
    ConsumeBare,
    ConsumeOneByOne,
}

impl Cell for Measured {
    fn text(self) -> &'static str {
        match self {
            Self::AppendEngine64 => "append, engine, 64 writers",
            Self::AppendGroup => "  its events per commit",
            Self::AppendBare => "append, bare rusqlite, groups of that size",
            Self::AppendPythonWal => "append, Python sqlite3, WAL, a commit each",
            Self::AppendPythonDelete => "append, Python sqlite3, default journal, a commit each",
            Self::AppendEngine1 => "append, engine, 1 writer",
            Self::AppendBare1 => "append, bare rusqlite, a commit each",
            Self::ConsumeEngine => "consume, engine, batched",
            Self::ConsumeBare => "consume, bare rusqlite, batches of 200",
            Self::ConsumeOneByOne => "consume, engine, one event per transaction",
        }
    }

    fn unit(self) -> &'static str {
        if self == Self::AppendGroup { "events" } else { "events/s" }
    }
}

/// What a ratio must reach; the targets of the project.
pub(crate) const RATIOS: [Ratio<Measured>; 6] = [
    Ratio {
        name: "append_64_over_bare",
        over: Measured::AppendEngine64,
        under: Measured::AppendBare,
        target: Target::AtLeast(0.6),
    },
    Ratio {
        name: "append_64_over_python_wal",
        over: Measured::AppendEngine64,
        under: Measured::AppendPythonWal,
        target: Target::AtLeast(5.0),
    },
    Ratio {
        name: "append_64_over_python_default",
        over: Measured::AppendEngine64,
        under: Measured::AppendPythonDelete,
        target: Target::AtLeast(5.0),
    },
    Ratio {
        name: "append_1_over_bare",
        over: Measured::AppendEngine1,
        under: Measured::AppendBare1,
        target: Target::AtLeast(0.8),
    },
    Ratio {
        name: "consume_over_bare",
        over: Measured::ConsumeEngine,
        under: Measured::ConsumeBare,
        target: Target::AtLeast(0.5),
    },
    Ratio {
        name: "consume_batched_over_one_by_one",
        over: Measured::ConsumeEngine,
        under: Measured::ConsumeOneByOne,
        target: Target::AtLeast(5.0),
    },
];
