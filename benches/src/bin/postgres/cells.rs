//! What is measured, and what it is compared with.

use messagekit_benches::{Cell, Ratio, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measured {
    AddOutbox,
    AddHand,
    AddAllOutbox,
    AddAllHand,
    Consume,
    ConsumeHand,
    ConsumeOneByOne,
}

impl Cell for Measured {
    fn text(self) -> &'static str {
        match self {
            Self::AddOutbox => "a business row and an event, add",
            Self::AddHand => "  the same by hand",
            Self::AddAllOutbox => "a business row and 50 events, add_all",
            Self::AddAllHand => "  the same by hand, UNNEST",
            Self::Consume => "consume, batches of 50",
            Self::ConsumeHand => "  the same by hand, nothing decoded",
            Self::ConsumeOneByOne => "consume, one event per transaction",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::AddOutbox | Self::AddHand | Self::AddAllOutbox | Self::AddAllHand => "µs/transaction",
            Self::Consume | Self::ConsumeHand | Self::ConsumeOneByOne => "events/s",
        }
    }
}

/// What a ratio must reach; the targets of the project.
pub(crate) const RATIOS: [Ratio<Measured>; 4] = [
    Ratio {
        name: "add_over_hand",
        over: Measured::AddOutbox,
        under: Measured::AddHand,
        target: Target::AtMost(1.5),
    },
    Ratio {
        name: "add_all_over_hand",
        over: Measured::AddAllOutbox,
        under: Measured::AddAllHand,
        target: Target::AtMost(1.5),
    },
    Ratio {
        name: "consume_over_hand",
        over: Measured::Consume,
        under: Measured::ConsumeHand,
        target: Target::AtLeast(0.5),
    },
    Ratio {
        name: "consume_batched_over_one_by_one",
        over: Measured::Consume,
        under: Measured::ConsumeOneByOne,
        target: Target::AtLeast(5.0),
    },
];
