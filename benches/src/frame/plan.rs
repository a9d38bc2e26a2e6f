//! What is measured in a cell, who takes part, and what is wanted of whom.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use messagekit::BoxFuture;

use super::{Ledger, Outcome};
use crate::settings::Settings;

/// One question, asked of several contenders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// How it is called on the command line.
    pub(crate) id: &'static str,
    /// What is asked.
    pub(crate) title: &'static str,
    /// The figure that decides.
    pub(crate) figure: &'static str,
    /// Which way it is better.
    pub(crate) better: Better,
    /// Who takes part.
    pub(crate) plan: fn(Arc<Settings>) -> Plan,
}

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// The higher, the better.
    Higher,
    /// The lower, the better.
    Lower,
}

/// The contenders of a cell and what is wanted.
pub(crate) struct Plan {
    /// Sizes and settings, for the heading.
    pub(crate) sizes: String,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) goals: Vec<Goal>,
}

/// Who a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// What the machine allows: the same work with nothing around it.
    Limit,
    /// This project.
    Ours,
    /// Somebody else's project, or somebody else's way. It may fail, and is listed with the reason then.
    Peer,
}

/// One who takes part.
pub(crate) struct Contender {
    /// Those of one group do the same work.
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) run: Box<dyn Fn() -> BoxFuture<'static, Outcome<Measured>> + Send + Sync>,
}

impl Contender {
    pub(crate) fn new<F>(
        group: impl Into<String>,
        name: impl Into<String>,
        role: Role,
        run: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome<Measured>> + Send + 'static,
    {
        let run = Box::new(move || -> BoxFuture<'static, _> { Box::pin(run()) });
        Self { group: group.into(), name: name.into(), role, run }
    }
}

/// What one run gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Figures by name; the unit is part of the name.
    pub(crate) figures: BTreeMap<&'static str, f64>,
    pub(crate) ledger: Ledger,
    /// Copies belong to what is measured, as after a kill, and are no fault.
    pub(crate) may_double: bool,
}

impl Measured {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &'static str, figure: f64) -> Self {
        self.figures.insert(name, figure);
        self
    }

    pub(crate) fn with_all(mut self, figures: impl IntoIterator<Item = (&'static str, f64)>) -> Self {
        self.figures.extend(figures);
        self
    }

    /// Returns what is wrong with the run, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        let Ledger { lost, doubled, out_of_order } = self.ledger;
        let forgiven = Ledger { doubled: if self.may_double { 0 } else { doubled }, ..self.ledger };
        let fault = || format!("lost {lost}, doubled {doubled}, out of order {out_of_order}");
        (!forgiven.is_clean()).then(fault)
    }
}

/// A wish about one contender, or about two of one group.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) group: String,
    pub(crate) figure: &'static str,
    pub(crate) over: &'static str,
    /// Without one the figure itself is compared.
    pub(crate) under: Option<&'static str>,
    pub(crate) target: Target,
}

/// What should be reached. Missing it is no error, because machines differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// The difference and not the ratio: so much more at most.
    Within(f64),
}

impl Target {
    pub(crate) fn is_reached(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(target) => figure >= target,
            Self::AtMost(target) | Self::Within(target) => figure <= target,
        }
    }

    /// Says what of two figures of one round is compared.
    pub(crate) fn of(self, over: f64, under: f64) -> f64 {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => over / under,
            Self::Within(_) => over - under,
        }
    }

    /// The sign between the two.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => "/",
            Self::Within(_) => "−",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(target) => write!(f, "at least {target}"),
            Self::AtMost(target) | Self::Within(target) => write!(f, "at most {target}"),
        }
    }
}
