//! What is measured.

use messagekit_benches::{Cell, Ratio, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measured {
    Bare,
    Bridge,
    OneByOne,
}

impl Cell for Measured {
    fn text(self) -> &'static str {
        match self {
            Self::Bare => "bare publisher",
            Self::Bridge => "bridge",
            Self::OneByOne => "one message at a time",
        }
    }

    fn unit(self) -> &'static str {
        "messages/s"
    }
}

pub(crate) const RATIOS: [Ratio<Measured>; 2] = [
    Ratio {
        name: "bridge_over_bare",
        over: Measured::Bridge,
        under: Measured::Bare,
        target: Target::AtLeast(0.6),
    },
    Ratio {
        name: "bridge_over_one_at_a_time",
        over: Measured::Bridge,
        under: Measured::OneByOne,
        target: Target::AtLeast(1.0),
    },
];
