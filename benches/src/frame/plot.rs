//! A cell as a plot: one bar per contender, a whisker from its slowest to its fastest round.

use svg::Document;
use svg::node::element::{Line, Rectangle, Text};

use super::results::shown;
use super::{Better, CellResults, Role, Spread};

const LEFT: f64 = 370.0;
const WIDTH: f64 = 900.0;
const BAR: f64 = 18.0;
const ROW: f64 = 26.0;
/// Space for the number behind the longest bar.
const FIGURE: f64 = 120.0;

/// Draws the plot. A contender without a result has no bar.
pub(crate) fn plot(cell: &CellResults) -> Document {
    let spreads: Vec<Option<Spread>> = cell.scores.iter().map(|score| score.spread(cell.figure)).collect();
    let most = spreads.iter().flatten().map(|spread| spread.max).fold(0.0, f64::max);
    let scale = if most > 0.0 { (WIDTH - LEFT - FIGURE) / most } else { 0.0 };
    let groups = cell.scores.iter().map(|score| &score.group).collect::<Vec<_>>();
    let starts: Vec<bool> = (0..groups.len())
        .map(|index| !groups[index].is_empty() && (index == 0 || groups[index] != groups[index - 1]))
        .collect();
    let heads = starts.iter().filter(|starts| **starts).count();
    let height = 46.0 + ROW * (cell.scores.len() + heads) as f64;
    let way = if cell.better == Better::Higher { "more is better" } else { "less is better" };
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, height))
        .set("font-family", "sans-serif")
        .set("font-size", 13)
        .add(Rectangle::new().set("width", WIDTH).set("height", height).set("fill", "white"))
        .add(text(10.0, 24.0, &format!("{}: {}", cell.id, cell.title)).set("font-weight", "bold"))
        .add(text(WIDTH - 10.0, 24.0, &format!("{}, {way}", cell.figure)).set("text-anchor", "end"));
    let mut y = 40.0;
    for ((score, spread), starts) in cell.scores.iter().zip(spreads).zip(starts) {
        if starts {
            document = document.add(text(10.0, y + BAR - 4.0, &score.group).set("fill", "#555"));
            y += ROW;
        }
        document = document.add(text(LEFT - 8.0, y + BAR - 4.0, &score.name).set("text-anchor", "end"));
        if let Some(Spread { min, median, max }) = spread {
            let fill = match score.role {
                Role::Limit => "#b8b8b8",
                Role::Ours => "#2f6db5",
                Role::Peer => "#d9933d",
            };
            let bar = Rectangle::new().set("x", LEFT).set("y", y).set("height", BAR).set("fill", fill);
            let middle = y + BAR / 2.0;
            let whisker = Line::new().set("x1", LEFT + min * scale).set("x2", LEFT + max * scale);
            document = document
                .add(bar.set("width", median * scale))
                .add(whisker.set("y1", middle).set("y2", middle).set("stroke", "black"))
                .add(text(LEFT + max * scale + 6.0, y + BAR - 4.0, &shown(median)));
        }
        if score.reason.is_some() {
            let fault = if spread.is_some() { "failed" } else { "not measured" };
            let end = spread.map_or(0.0, |spread| spread.max * scale + 70.0);
            document = document.add(text(LEFT + end + 6.0, y + BAR - 4.0, fault).set("fill", "#b00020"));
        }
        y += ROW;
    }
    document
}

fn text(x: f64, y: f64, content: &str) -> Text {
    Text::new(content).set("x", x).set("y", y)
}
