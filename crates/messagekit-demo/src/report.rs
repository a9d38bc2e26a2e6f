//! The final output: a table, a line per promise and further commands; or one JSON object.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::presets::{NOTHING, UTF8_BORDERS_ONLY};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use serde::Serialize;

use crate::input::BadLine;
use crate::order_service::DATABASE;
use crate::promise::{Outcome, Promise};
use crate::statistics::Statistics;
use crate::text::{count, some};
use crate::verdict::Verdict;

/// A finished run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) seed: u64,
    pub(crate) elapsed: Duration,
    pub(crate) bad_lines: Vec<BadLine>,
    /// Billing was slowed down because there was little work.
    pub(crate) slowed: bool,
    /// The folder of the kept files.
    pub(crate) kept: Option<PathBuf>,
}

#[derive(Serialize)]
struct Json<'a> {
    verdict: Outcome,
    #[serde(flatten)]
    statistics: Statistics,
    events_per_second: u64,
    elapsed_ms: u64,
    slowed: bool,
    seed: u64,
    promises: &'a [Promise],
    bad_lines: &'a [BadLine],
    kept_in: Option<&'a Path>,
}

impl Report {
    /// Returns whether every promise held and every line was valid.
    pub(crate) fn is_good(&self) -> bool {
        self.verdict.outcome() == Outcome::Kept && self.bad_lines.is_empty()
    }

    fn events_per_second(&self) -> u64 {
        (self.verdict.statistics.published as f64 / self.elapsed.as_secs_f64().max(0.001)) as u64
    }

    pub(crate) fn print_json(&self) {
        let json = Json {
            verdict: self.verdict.outcome(),
            statistics: self.verdict.statistics,
            events_per_second: self.events_per_second(),
            elapsed_ms: u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            slowed: self.slowed,
            seed: self.seed,
            promises: &self.verdict.promises,
            bad_lines: &self.bad_lines,
            kept_in: self.kept.as_deref(),
        };
        say(&serde_json::to_string(&json).expect("names and numbers are JSON"));
    }

    /// Prints the report for people.
    pub(crate) fn print(&self, calls: &Calls) {
        let seconds = self.elapsed.as_secs_f64();
        let verdict = match self.verdict.outcome() {
            Outcome::Kept => format!("Every promise held, in {seconds:.1} s."),
            Outcome::Broken => format!("A promise was BROKEN, with seed {}.", self.seed),
            Outcome::Void => "The run is VOID: nothing was broken, and nothing is proven.".to_owned(),
        };
        let left_out = match self.bad_lines.len() as u64 {
            0 => String::new(),
            lines => format!("\n{} of the input left out, so the exit code is 1.", some(lines, "line")),
        };
        let (statistics, promises) = (self.statistics().trim_fmt(), self.promises().trim_fmt());
        let next = self.next(calls);
        say(&format!("{statistics}\n\n{promises}\n\n{verdict}{left_out}\n\nTry next:{next}"));
    }

    fn statistics(&self) -> Table {
        let statistics = &self.verdict.statistics;
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        let mut row = |name: &str, value: String, meaning: &str| {
            table.add_row([name, &value, meaning]);
        };
        row("written", count(statistics.written), "each with its event in one transaction");
        row("rolled back", count(statistics.rolled_back), "given up with both in them");
        row("published", count(statistics.published), "records in the topic, with duplicates");
        row("handled", count(statistics.handled), "messages with their effect");
        if statistics.ignored > 0 {
            row("ignored", count(statistics.ignored), "of types that billing does not know");
        }
        row("duplicates", count(statistics.duplicates_delivered), "records delivered twice on purpose");
        row(
            "duplicates suppressed",
            count(statistics.duplicates_suppressed),
            "of these, without a second effect",
        );
        row("dead letters", count(statistics.dead_letters), "messages that billing cannot handle");
        row("pence ordered", count(statistics.pence_ordered), "in committed orders");
        row("pence billed", count(statistics.pence_billed), "in bills");
        row("pence set aside", count(statistics.pence_set_aside), "in dead letters");
        row("kills", count(statistics.kills), "SIGKILLs with work unfinished");
        let speed =
            if self.slowed { "slowed down: a small run" } else { "from the first order to the last bill" };
        row("events per second", count(self.events_per_second()), speed);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn promises(&self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if std::env::var_os("NO_COLOR").is_some() {
            table.force_no_tty();
        }
        for Promise { promise, outcome, statistics, .. } in &self.verdict.promises {
            let (word, colour) = match outcome {
                Outcome::Kept => ("PASS", Color::Green),
                Outcome::Broken => ("BROKEN", Color::Red),
                Outcome::Void => ("VOID", Color::Yellow),
            };
            table.add_row([Cell::new(word).fg(colour), Cell::new(format!("{promise}\n{statistics}"))]);
        }
        table
    }

    /// Returns commands to copy, each with a line that explains it.
    fn next(&self, calls: &Calls) -> String {
        let Calls { demo, cli, folder } = calls;
        let mut next = String::new();
        let mut add = |meaning: &str, call: &str| next.push_str(&format!("\n  # {meaning}\n  {call}"));
        match &self.kept {
            Some(folder) => {
                let database = folder.join(DATABASE);
                let database = database.display();
                add("the dead letters", &format!("{cli} dlq list --database sqlite:{database}"));
                add("what is in the file", &format!("sqlite3 {database} .tables"));
            }
            None => add("keep the database and look into it", &format!("{demo} --keep {folder}")),
        }
        add("other rollbacks, duplicates and kills", &format!("{demo} --seed {}", self.seed.wrapping_add(1)));
        add(
            "a consumer with tables of its own, in 100 lines",
            "cargo run -q -p messagekit-examples --bin 02-consumer-on-sqlite",
        );
        next
    }
}

/// How the suggested commands call the programs.
#[derive(Debug)]
pub(crate) struct Calls {
    demo: &'static str,
    cli: &'static str,
    /// A folder for kept files.
    folder: &'static str,
}

impl Calls {
    /// From the project's folder, without an installation.
    pub(crate) const FROM_SOURCE: Self = Self {
        demo: "cargo run --release -p messagekit-demo --",
        cli: "cargo run -p messagekit-cli --",
        folder: "target/demo-run",
    };
    /// With the installed command line tool.
    pub(crate) const INSTALLED: Self =
        Self { demo: "messagekit demo", cli: "messagekit", folder: "demo-run" };
}

/// Writes to standard output. Ignores a closed stdout: the reader, such as `head`, may have exited.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
