//! The result tables as Markdown.

use std::fmt::Write;

use super::results::shown;
use super::{CellResults, Role, Spread};

/// Returns a cell as a section: its plot, its table, and its goals.
pub(crate) fn markdown(cell: &CellResults) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = section(&mut text, cell);
    text
}

fn section(text: &mut String, cell: &CellResults) -> std::fmt::Result {
    writeln!(
        text,
        "### {}: {}\n\n{}\n\n![{}]({}.svg)\n",
        cell.id, cell.title, cell.sizes, cell.title, cell.id
    )?;
    let mut others: Vec<&str> = cell.scores.iter().flat_map(|score| score.figures.keys().copied()).collect();
    others.sort_unstable();
    others.dedup();
    others.retain(|name| *name != cell.figure);
    let other =
        |mark: &str| others.iter().map(|name| format!(" {} |", mark.replace('%', name))).collect::<String>();
    writeln!(text, "| | | {} (min–max) |{}", cell.figure, other("%"))?;
    writeln!(text, "|---|---|---|{}", other("---"))?;
    for score in &cell.scores {
        let name = if score.role == Role::Ours { format!("**{}**", score.name) } else { score.name.clone() };
        let main = score.spread(cell.figure).map_or_else(String::new, |Spread { min, median, max }| {
            format!("{} ({}–{})", shown(median), shown(min), shown(max))
        });
        let fault = match &score.reason {
            Some(reason) if score.figures.is_empty() => reason.clone(),
            Some(reason) => format!(" failed: {reason}"),
            None => String::new(),
        };
        write!(text, "| {} | {name} | {main}{fault} |", score.group)?;
        for other in &others {
            write!(
                text,
                " {} |",
                score.spread(other).map_or_else(String::new, |spread| shown(spread.median))
            )?;
        }
        writeln!(text)?;
    }
    let goals: Vec<_> = cell.goals.iter().filter_map(|goal| Some((goal, cell.reached(goal)?))).collect();
    if !goals.is_empty() {
        writeln!(text, "\n| | wanted | reached (min–max) | |\n|---|---|---|---|")?;
    }
    for (goal, Spread { min, median, max }) in goals {
        let over = goal.under.map_or_else(String::new, |under| format!(" {} {under}", goal.target.sign()));
        let verdict = if goal.target.is_reached(median) { "yes" } else { "**no**" };
        writeln!(
            text,
            "| {} | {}{over}, {}: {} | {} ({}–{}) | {verdict} |",
            goal.group,
            goal.over,
            goal.figure,
            goal.target,
            shown(median),
            shown(min),
            shown(max)
        )?;
    }
    Ok(())
}
