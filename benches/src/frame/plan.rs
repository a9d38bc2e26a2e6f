//! The plan of a cell: metric, contenders and goals.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use messagekit::adapter::BoxFuture;

use super::{Ledger, Outcome};
use crate::settings::Settings;

/// One question, measured for several contenders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Its name on the command line.
    pub(crate) id: &'static str,
    /// The question.
    pub(crate) title: &'static str,
    /// The metric that decides.
    pub(crate) figure: &'static str,
    /// The direction in which the metric is better.
    pub(crate) better: Better,
    /// Returns the contenders.
    pub(crate) plan: fn(Arc<Settings>) -> Plan,
}

/// The direction in which a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// The higher, the better.
    Higher,
    /// The lower, the better.
    Lower,
}

/// The contenders of a cell and its goals.
pub(crate) struct Plan {
    /// Sizes and settings, for the heading.
    pub(crate) sizes: String,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) goals: Vec<Goal>,
}

/// The role of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The limit of the machine: the same work without a library.
    Limit,
    /// This project.
    Ours,
    /// Another project or approach. It may fail, and is listed with the reason then.
    Peer,
}

/// A participant of a cell.
pub(crate) struct Contender {
    /// Contenders of one group do the same work.
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

    /// Returns its group and name.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.group, self.name)
    }
}

/// The result of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Metrics by name, which includes the unit.
    pub(crate) figures: BTreeMap<&'static str, f64>,
    pub(crate) ledger: Ledger,
    /// Duplicates are expected, as after a kill, and are no fault.
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

    /// Returns the fault of the run, if it has one.
    pub(crate) fn fault(&self) -> Option<String> {
        let Ledger { lost, doubled, out_of_order } = self.ledger;
        let forgiven = Ledger { doubled: if self.may_double { 0 } else { doubled }, ..self.ledger };
        let fault = || format!("lost {lost}, doubled {doubled}, out of order {out_of_order}");
        (!forgiven.is_clean()).then(fault)
    }
}

/// A goal for one contender, or for two of one group.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) group: String,
    pub(crate) figure: &'static str,
    pub(crate) over: &'static str,
    /// Without a second contender the metric itself is compared.
    pub(crate) under: Option<&'static str>,
    pub(crate) target: Target,
}

/// The goal. To miss it is no error, because machines differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// The largest allowed difference.
    Within(f64),
}

impl Target {
    pub(crate) fn is_reached(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(target) => figure >= target,
            Self::AtMost(target) | Self::Within(target) => figure <= target,
        }
    }

    /// Returns the compared value of two metrics of one round.
    pub(crate) fn of(self, over: f64, under: f64) -> f64 {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => over / under,
            Self::Within(_) => over - under,
        }
    }

    /// Returns the sign between the two.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => "/",
            Self::Within(_) => "−",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bound, target) = match self {
            Self::AtLeast(target) => ("at least", target),
            Self::AtMost(target) | Self::Within(target) => ("at most", target),
        };
        write!(f, "{bound} {}", (target * 100.0).round() / 100.0)
    }
}
