//! Runs the contenders of a cell in turn.

use super::results::{CellResults, Score, shown};
use super::{Cell, Plan, Role};

/// Runs every contender once per round. Each round begins with another one, which rotates their order.
pub(crate) async fn run(cell: &Cell, plan: &Plan, rounds: u32) -> CellResults {
    let mut results = CellResults::of(cell, plan);
    let count = plan.contenders.len();
    for round in 0..rounds as usize {
        for index in (0..count).map(|index| (index + round * 3) % count) {
            let (contender, score) = (&plan.contenders[index], &mut results.scores[index]);
            if score.reason.is_some() && score.figures.is_empty() && contender.role == Role::Peer {
                // It cannot run here: one attempt is enough.
                continue;
            }
            tell(cell, round, rounds, score);
            match (contender.run)().await {
                Ok(measured) => {
                    score.ledger.add(measured.ledger);
                    if let Some(fault) = measured.fault() {
                        score.reason.get_or_insert(fault);
                    }
                    for (name, figure) in measured.figures {
                        say(&format!("    {name}: {}", shown(figure)));
                        score.figures.entry(name).or_default().push(figure);
                    }
                }
                Err(error) => drop(score.reason.get_or_insert(error.to_string())),
            }
            if let Some(reason) = &score.reason {
                say(&format!("    {}: {reason}", score.name));
            }
        }
    }
    results
}

fn tell(cell: &Cell, round: usize, rounds: u32, score: &Score) {
    say(&format!("{} round {} of {rounds}: {} {}", cell.id, round + 1, score.group, score.name));
}

#[allow(clippy::print_stderr, reason = "progress of a program that measures for minutes")]
fn say(line: &str) {
    eprintln!("{line}");
}
