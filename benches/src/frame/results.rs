//! Results for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::{Better, Cell, Goal, Ledger, Machine, Plan, Role, Spread};

/// The results of one cell.
#[derive(Debug)]
pub(crate) struct CellResults {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) better: Better,
    pub(crate) sizes: String,
    pub(crate) scores: Vec<Score>,
    pub(crate) goals: Vec<Goal>,
}

/// The results of one contender.
#[derive(Debug)]
pub(crate) struct Score {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// One value per round.
    pub(crate) figures: BTreeMap<&'static str, Vec<f64>>,
    /// The ledger of all rounds together.
    pub(crate) ledger: Ledger,
    /// The reason why it failed or could not run.
    pub(crate) reason: Option<String>,
}

impl Score {
    pub(crate) fn spread(&self, figure: &str) -> Option<Spread> {
        let figures = self.figures.get(figure)?;
        Some(Spread::of(figures.iter().copied()))
    }
}

impl CellResults {
    pub(crate) fn of(cell: &Cell, plan: &Plan) -> Self {
        let score = |contender: &super::Contender| Score {
            group: contender.group.clone(),
            name: contender.name.clone(),
            role: contender.role,
            figures: BTreeMap::new(),
            ledger: Ledger::default(),
            reason: None,
        };
        Self {
            id: cell.id,
            title: cell.title,
            figure: cell.figure,
            better: cell.better,
            sizes: plan.sizes.clone(),
            scores: plan.contenders.iter().map(score).collect(),
            goals: plan.goals.clone(),
        }
    }

    /// Returns whether every contender except peers ran without a fault.
    pub(crate) fn is_sound(&self) -> bool {
        self.scores.iter().all(|score| score.role == Role::Peer || score.reason.is_none())
    }

    /// Returns the spread of a goal over the rounds, because rounds drift together. Returns `None` when a side is missing.
    pub(crate) fn reached(&self, goal: &Goal) -> Option<Spread> {
        let of = |name| {
            let score = self.scores.iter().find(|score| score.group == goal.group && score.name == name)?;
            score.figures.get(goal.figure)
        };
        let over = of(goal.over)?.iter().copied();
        match goal.under {
            None => Some(Spread::of(over)),
            Some(under) => {
                Some(Spread::of(over.zip(of(under)?).map(|(over, under)| goal.target.of(over, *under))))
            }
        }
    }

    fn json(&self) -> Value {
        let spread =
            |Spread { min, median, max }: Spread| json!({ "min": min, "median": median, "max": max });
        let scores = self.scores.iter().map(|score| {
            let figures: BTreeMap<&str, Value> = score
                .figures
                .iter()
                .map(|(name, rounds)| (*name, spread(Spread::of(rounds.iter().copied()))))
                .collect();
            let Ledger { lost, doubled, out_of_order } = score.ledger;
            json!({ "group": score.group, "name": score.name, "role": format!("{:?}", score.role).to_lowercase(),
                "figures": figures, "lost": lost, "doubled": doubled, "out_of_order": out_of_order,
                "failed": score.reason })
        });
        let goals = self.goals.iter().map(|goal| {
            let reached = self.reached(goal);
            json!({ "group": goal.group, "figure": goal.figure, "over": goal.over, "under": goal.under,
                "target": goal.target.to_string(), "reached": reached.map(spread),
                "is_reached": reached.map(|reached| goal.target.is_reached(reached.median)) })
        });
        json!({ "id": self.id, "title": self.title, "figure": self.figure, "sizes": self.sizes,
            "contenders": scores.collect::<Vec<_>>(), "goals": goals.collect::<Vec<_>>() })
    }
}

/// Returns a whole run as one JSON object.
pub(crate) fn json(machine: &Machine, rounds: u32, cells: &[CellResults]) -> Value {
    let cells: Vec<Value> = cells.iter().map(CellResults::json).collect();
    json!({ "machine": machine.json(), "rounds": rounds, "cells": cells })
}

/// Formats a number with few digits: more would exceed the precision of a run.
pub(crate) fn shown(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

impl fmt::Display for CellResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} ({})", self.id, self.title, self.sizes)?;
        let mut others: Vec<&str> =
            self.scores.iter().flat_map(|score| score.figures.keys().copied()).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|name| *name != self.figure);
        let mut table = framed();
        let mut header = vec!["", "", self.figure, "min", "max"];
        header.extend(&others);
        header.push("faults");
        table.set_header(header);
        for score in &self.scores {
            let mut row = vec![score.group.clone(), score.name.clone()];
            let main = score.spread(self.figure);
            for pick in [|s: Spread| s.median, |s: Spread| s.min, |s: Spread| s.max] {
                row.push(main.map_or_else(String::new, |spread| shown(pick(spread))));
            }
            for name in &others {
                row.push(score.spread(name).map_or_else(String::new, |spread| shown(spread.median)));
            }
            row.push(score.reason.clone().unwrap_or_default());
            table.add_row(row);
        }
        let last = 4 + others.len();
        for (index, column) in table.column_iter_mut().enumerate() {
            if (2..=last).contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        write!(f, "{table}")?;
        let mut goals = framed();
        goals.set_header(["", "wanted", "reached", "min", "max", "target", ""]);
        for goal in &self.goals {
            let what = match goal.under {
                Some(under) => format!("{} {} {under}, {}", goal.over, goal.target.sign(), goal.figure),
                None => format!("{}, {}", goal.over, goal.figure),
            };
            let Some(Spread { min, median, max }) = self.reached(goal) else { continue };
            let verdict = if goal.target.is_reached(median) { "reached" } else { "missed" };
            let figures = [median, min, max].map(shown);
            let [median, min, max] = figures;
            goals.add_row([
                goal.group.clone(),
                what,
                median,
                min,
                max,
                goal.target.to_string(),
                verdict.to_owned(),
            ]);
        }
        if goals.is_empty() { Ok(()) } else { write!(f, "\n{goals}") }
    }
}

fn framed() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    fn score(name: &str, role: Role, rounds: &[f64]) -> Score {
        Score {
            group: "g".to_owned(),
            name: name.to_owned(),
            role,
            figures: BTreeMap::from([("laps/s", rounds.to_vec())]),
            ledger: Ledger::default(),
            reason: None,
        }
    }

    fn results(ours: &[f64], hand: &[f64]) -> CellResults {
        let goal = Goal {
            group: "g".to_owned(),
            figure: "laps/s",
            over: "ours",
            under: Some("hand"),
            target: Target::AtLeast(0.5),
        };
        CellResults {
            id: "T1",
            title: "on a track",
            figure: "laps/s",
            better: Better::Higher,
            sizes: "3 laps".to_owned(),
            scores: vec![score("ours", Role::Ours, ours), score("hand", Role::Limit, hand)],
            goals: vec![goal],
        }
    }

    /// The medians of the contenders would give 1: a round in which everything was slow must not.
    #[test]
    fn ratio_is_the_median_of_the_ratios_of_each_round() {
        let results = results(&[10.0, 20.0, 90.0], &[20.0, 40.0, 10.0]);
        let reached = results.reached(&results.goals[0]).unwrap();
        assert_eq!((reached.min, reached.median, reached.max), (0.5, 0.5, 9.0));
    }

    #[test]
    fn difference_is_taken_inside_each_round() {
        let mut results = results(&[10.0, 20.0, 90.0], &[9.0, 17.0, 85.0]);
        results.goals[0].target = Target::Within(4.0);
        let reached = results.reached(&results.goals[0]).unwrap();
        assert_eq!((reached.min, reached.median, reached.max), (1.0, 3.0, 5.0));
        assert!(results.goals[0].target.is_reached(reached.median));
        assert!(!results.goals[0].target.is_reached(reached.max));
    }

    #[test]
    fn peer_fault_is_reported_and_fails_no_run() {
        let mut results = results(&[1.0], &[2.0]);
        assert!(results.is_sound());
        results.scores.push(score("peer", Role::Peer, &[]));
        results.scores[2].reason = Some("lost 3".to_owned());
        assert!(results.is_sound() && results.to_string().contains("lost 3"));
        results.scores[0].reason = Some("lost 1".to_owned());
        assert!(!results.is_sound());
    }

    #[test]
    fn json_says_what_the_table_says() {
        let results = results(&[3.0, 1.0, 2.0], &[2.0, 2.0, 4.0]);
        let json = results.json();
        assert_eq!(
            json["contenders"][0]["figures"]["laps/s"],
            json!({ "min": 1.0, "median": 2.0, "max": 3.0 })
        );
        assert_eq!(json["goals"][0]["reached"]["median"], json!(0.5));
        let table = results.to_string();
        for shown in ["T1 on a track (3 laps)", "ours", "2.00", "0.50", "at least 0.5", "reached"] {
            assert!(table.contains(shown), "{shown:?} is not in\n{table}");
        }
    }
}
