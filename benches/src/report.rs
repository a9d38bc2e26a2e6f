//! Medians, and what they are compared with.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    AppendEngine64,
    AppendGroup,
    AppendBare,
    AppendPythonWal,
    AppendPythonDelete,
    AppendEngine1,
    AppendBare1,
    ConsumeEngine,
    ConsumeBare,
    ConsumeOneByOne,
}

impl Cell {
    fn text(self) -> &'static str {
        match self {
            Self::AppendEngine64 => "append, engine, 64 writers",
            Self::AppendGroup => "  its events per commit",
            Self::AppendBare => "append, bare rusqlite, groups of that size",
            Self::AppendPythonWal => "append, Python sqlite3, WAL, a commit each",
            Self::AppendPythonDelete => "append, Python sqlite3, default journal, a commit each",
            Self::AppendEngine1 => "append, engine, 1 writer",
            Self::AppendBare1 => "append, bare rusqlite, a commit each",
            Self::ConsumeEngine => "consume, engine, batched",
            Self::ConsumeBare => "consume, bare rusqlite, batches of 200",
            Self::ConsumeOneByOne => "consume, engine, one event per transaction",
        }
    }
}

/// What a ratio must reach; the targets of the project.
const RATIOS: [(&str, Cell, Cell, f64); 6] = [
    ("append_64_over_bare", Cell::AppendEngine64, Cell::AppendBare, 0.6),
    ("append_64_over_python_wal", Cell::AppendEngine64, Cell::AppendPythonWal, 5.0),
    ("append_64_over_python_default", Cell::AppendEngine64, Cell::AppendPythonDelete, 5.0),
    ("append_1_over_bare", Cell::AppendEngine1, Cell::AppendBare1, 0.8),
    ("consume_over_bare", Cell::ConsumeEngine, Cell::ConsumeBare, 0.5),
    ("consume_batched_over_one_by_one", Cell::ConsumeEngine, Cell::ConsumeOneByOne, 5.0),
];

#[derive(Debug, Default)]
pub(crate) struct Report(BTreeMap<Cell, Vec<f64>>);

impl Report {
    pub(crate) fn add(&mut self, cell: Cell, figure: f64) {
        self.0.entry(cell).or_default().push(figure);
    }

    /// Smallest, median and largest figure of a cell.
    fn spread(&self, cell: Cell) -> (f64, f64, f64) {
        let mut figures = self.0.get(&cell).cloned().unwrap_or_default();
        figures.sort_by(f64::total_cmp);
        match figures.as_slice() {
            [] => (0.0, 0.0, 0.0),
            [first, .., last] => (*first, figures[figures.len() / 2], *last),
            [only] => (*only, *only, *only),
        }
    }

    /// The ratio of each round, of which the median is quoted: rounds drift together.
    fn ratio(&self, over: Cell, under: Cell) -> f64 {
        let pairs = self.0.get(&over).into_iter().flatten().zip(self.0.get(&under).into_iter().flatten());
        let mut ratios: Vec<f64> = pairs.map(|(over, under)| over / under).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        let cells: BTreeMap<&str, Value> = self
            .0
            .keys()
            .map(|cell| {
                let (min, median, max) = self.spread(*cell);
                (cell.text().trim(), json!({ "min": min, "median": median, "max": max }))
            })
            .collect();
        let ratios: BTreeMap<&str, Value> = RATIOS
            .iter()
            .map(|(name, over, under, target)| {
                (*name, json!({ "ratio": self.ratio(*over, *under), "target": target }))
            })
            .collect();
        json!({ "per_second": cells, "ratios": ratios })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cells = Table::new();
        cells.load_style(presets::UTF8_FULL_CONDENSED).set_header([
            "per second, synchronous=FULL",
            "min",
            "median",
            "max",
        ]);
        for cell in self.0.keys() {
            let (min, median, max) = self.spread(*cell);
            cells.add_row([
                cell.text().to_owned(),
                format!("{min:.0}"),
                format!("{median:.0}"),
                format!("{max:.0}"),
            ]);
        }
        let mut ratios = Table::new();
        ratios.load_style(presets::UTF8_FULL_CONDENSED).set_header([
            "ratio of each round, median",
            "",
            "target",
        ]);
        for (name, over, under, target) in RATIOS {
            ratios.add_row([
                name.replace('_', " "),
                format!("{:.2}", self.ratio(over, under)),
                format!("{target:.1}"),
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
