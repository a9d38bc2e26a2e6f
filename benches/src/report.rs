//! Medians, and what they are compared with.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// One thing that a program measures, once a round. Cells are listed in their order.
pub trait Cell: Copy + Ord + 'static {
    /// Returns its name in the table.
    fn text(self) -> &'static str;

    /// Returns what its figures count.
    fn unit(self) -> &'static str;
}

/// A comparison of two cells.
#[derive(Clone, Copy, Debug)]
pub struct Ratio<C> {
    /// Its name, in snake case.
    pub name: &'static str,
    /// The cell above the line.
    pub over: C,
    /// The cell below the line.
    pub under: C,
    /// What the project wants it to be.
    pub target: Target,
}

/// What a ratio should be. It is printed beside the ratio; missing it is no error, because machines differ.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(target) => write!(f, "at least {target:.1}"),
            Self::AtMost(target) => write!(f, "at most {target:.1}"),
        }
    }
}

/// The figures of all rounds.
#[derive(Debug)]
pub struct Report<C: 'static> {
    heading: String,
    ratios: &'static [Ratio<C>],
    figures: BTreeMap<C, Vec<f64>>,
}

impl<C: Cell> Report<C> {
    /// Makes an empty one; `heading` says under which settings it was measured.
    pub fn new(heading: impl Into<String>, ratios: &'static [Ratio<C>]) -> Self {
        Self { heading: heading.into(), ratios, figures: BTreeMap::new() }
    }

    /// Adds the figure of a round.
    pub fn add(&mut self, cell: C, figure: f64) {
        self.figures.entry(cell).or_default().push(figure);
    }

    /// Returns everything as one JSON object.
    pub fn json(&self) -> Value {
        let cells: BTreeMap<&str, Value> = self
            .figures
            .iter()
            .map(|(cell, figures)| {
                let Spread { min, median, max } = spread(figures.clone());
                (cell.text().trim(), json!({ "unit": cell.unit(), "min": min, "median": median, "max": max }))
            })
            .collect();
        let ratios: BTreeMap<&str, Value> = self
            .ratios
            .iter()
            .map(|ratio| {
                let median = self.ratio(ratio).median;
                (ratio.name, json!({ "ratio": median, "target": ratio.target.to_string() }))
            })
            .collect();
        json!({ "settings": self.heading, "cells": cells, "ratios": ratios })
    }

    /// The ratio of each round, of which the median is quoted: rounds drift together.
    fn ratio(&self, ratio: &Ratio<C>) -> Spread {
        let of = |cell| self.figures.get(&cell).into_iter().flatten();
        spread(of(ratio.over).zip(of(ratio.under)).map(|(over, under)| over / under).collect())
    }
}

impl<C: Cell> fmt::Display for Report<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cells = table([&self.heading, "", "min", "median", "max"]);
        for (cell, figures) in &self.figures {
            let Spread { min, median, max } = spread(figures.clone());
            cells.add_row([
                cell.text().to_owned(),
                cell.unit().to_owned(),
                format!("{min:.0}"),
                format!("{median:.0}"),
                format!("{max:.0}"),
            ]);
        }
        let mut ratios = table(["ratio of each round", "min", "median", "max", "target"]);
        for ratio in self.ratios {
            let Spread { min, median, max } = self.ratio(ratio);
            ratios.add_row([
                ratio.name.replace('_', " "),
                format!("{min:.2}"),
                format!("{median:.2}"),
                format!("{max:.2}"),
                ratio.target.to_string(),
            ]);
        }
        for table in [&mut cells, &mut ratios] {
            for column in table.column_iter_mut().skip(1) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        write!(f, "{cells}\n{ratios}")
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    table
}

struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

fn spread(mut figures: Vec<f64>) -> Spread {
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
    Spread { min: at(0), median: at(figures.len() / 2), max: at(figures.len().saturating_sub(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Lap {
        Ours,
        Hand,
    }

    impl Cell for Lap {
        fn text(self) -> &'static str {
            match self {
                Self::Ours => "ours",
                Self::Hand => "  by hand",
            }
        }

        fn unit(self) -> &'static str {
            "laps/s"
        }
    }

    const RATIOS: [Ratio<Lap>; 1] =
        [Ratio { name: "ours_over_hand", over: Lap::Ours, under: Lap::Hand, target: Target::AtLeast(0.5) }];

    fn report(rounds: impl IntoIterator<Item = (f64, f64)>) -> Report<Lap> {
        let mut report = Report::new("on a track", &RATIOS);
        for (ours, hand) in rounds {
            report.add(Lap::Ours, ours);
            report.add(Lap::Hand, hand);
        }
        report
    }

    /// The medians of the cells would say 1: a round in which everything was slow must not.
    #[test]
    fn ratio_is_the_median_of_the_ratios_of_each_round() {
        let ratio = report([(10.0, 20.0), (20.0, 40.0), (90.0, 10.0)]).ratio(&RATIOS[0]);
        assert_eq!((ratio.min, ratio.median, ratio.max), (0.5, 0.5, 9.0));
    }

    #[test]
    fn json_says_what_the_table_says() {
        let report = report([(3.0, 2.0), (1.0, 2.0), (2.0, 4.0)]);
        let wanted = json!({
            "settings": "on a track",
            "cells": {
                "ours": { "unit": "laps/s", "min": 1.0, "median": 2.0, "max": 3.0 },
                "by hand": { "unit": "laps/s", "min": 2.0, "median": 2.0, "max": 4.0 },
            },
            "ratios": { "ours_over_hand": { "ratio": 0.5, "target": "at least 0.5" } },
        });
        assert_eq!(report.json(), wanted);
        let table = report.to_string();
        for shown in ["on a track", "by hand", "laps/s", "ours over hand", "0.50", "at least 0.5"] {
            assert!(table.contains(shown), "{shown:?} is not in\n{table}");
        }
    }
}
