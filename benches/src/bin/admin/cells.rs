//! What is measured, and what it is compared with.

use messagekit_benches::{Cell, Ratio, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measured {
    Page,
    Statement,
    PageOfDead,
    StatementOfDead,
}

impl Cell for Measured {
    fn text(self) -> &'static str {
        match self {
            Self::Page => "GET /api/v1/dlq",
            Self::Statement => "  its statement by hand",
            Self::PageOfDead => "GET /api/v1/dlq?state=dead",
            Self::StatementOfDead => "  its statement by hand",
        }
    }

    fn unit(self) -> &'static str {
        "µs/page"
    }
}

/// What a ratio must reach; the targets of the project.
pub(crate) const RATIOS: [Ratio<Measured>; 2] = [
    Ratio {
        name: "page_over_statement",
        over: Measured::Page,
        under: Measured::Statement,
        target: Target::AtMost(2.0),
    },
    Ratio {
        name: "page_of_dead_over_statement",
        over: Measured::PageOfDead,
        under: Measured::StatementOfDead,
        target: Target::AtMost(2.0),
    },
];
