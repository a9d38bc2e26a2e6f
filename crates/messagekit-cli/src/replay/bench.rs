//! `messagekit replay bench`.

mod axis;
mod measuring;
#[cfg(test)]
mod measuring_tests;
mod order;
#[cfg(test)]
mod order_tests;
mod plot;
mod report;
mod trace;
mod violation;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use messagekit::log::MergeSettings;
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_arrow::NewFile;
use serde_json::json;

use self::measuring::{Measuring, latest};
use self::order::{PastEnd, Rules};
use self::plot::{Labels, plot};
use self::report::Report;
use self::trace::Trace;
use super::ordered::{Open, Ordered, Polling, unless_interrupted};
use crate::output::{number, print};
use crate::progress;

#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    #[command(flatten)]
    ordered: Ordered,
    /// A new file for a plot of the released times, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// One JSON document instead of a table for people
    #[arg(long)]
    json: bool,
}

/// A run that has come to an end.
struct Measured {
    report: Report,
    trace: Option<Trace>,
    /// Why it ended before its end.
    failed: Option<Error>,
}

impl Bench {
    pub(super) async fn run(self) -> Result<(), Error> {
        // Before anything is made or read: a signal ends the command cleanly from here on.
        let interrupted = Shutdown::on_signal()?;
        let logs = self.ordered.open_logs(&interrupted).await?;
        let done = self.read(&logs, &interrupted).await;
        logs.close().await?;
        done
    }

    async fn read(&self, logs: &Open, interrupted: &Shutdown) -> Result<(), Error> {
        let past = unless_interrupted(interrupted, self.past(logs)).await?;
        let start = Instant::now();
        let polling = self.ordered.open(logs, interrupted).await?;
        let opening = start.elapsed();
        let file = self.plot.as_deref().map(NewFile::create).transpose()?;
        let measured = self.measure(&past, polling, opening, interrupted).await;
        if self.json {
            print(json!(measured.report))?;
        } else {
            print(measured.report.table())?;
        }
        measured.finish(file)
    }

    /// Polls until the end. Times begin before the reader was opened, which took this long.
    async fn measure(
        &self,
        past: &[PastEnd],
        mut polling: Polling,
        opening: Duration,
        interrupted: &Shutdown,
    ) -> Measured {
        let rules = Rules {
            batch_size: self.ordered.batch_size(),
            latest: latest(Timestamp::now(), MergeSettings::default().max_ahead),
            cutoff: self.ordered.cutoff(),
            waits_for_all: !self.ordered.has_idle_timeout(),
        };
        let trace = self.plot.as_ref().map(|_| Trace::default());
        let mut measuring = Measuring::new(rules, past, trace);
        let (progress, start) = (progress::rate(), Instant::now());
        measuring.polled(&[], opening, polling.reader().is_live());
        let failed = loop {
            let mut records = match polling.next(interrupted).await {
                Ok(Some(records)) => records,
                Ok(None) if polling.ends_when_interrupted() => break None,
                Ok(None) => break Some(not_whole()),
                Err(error) => break Some(error),
            };
            let after = opening + start.elapsed();
            measuring.polled(&records, after, polling.reader().is_live());
            let has_ended = polling.cut(&mut records);
            measuring.kept(&records, after);
            progress.inc(records.len() as u64);
            if has_ended {
                break None;
            }
        };
        let took = opening + start.elapsed();
        progress.finish_and_clear();
        let reader = polling.reader();
        let (report, trace) = measuring.end(took, reader.counts().ahead, reader.deleted());
        Measured { report, trace, failed }
    }

    /// Asks the logs themselves where the past ends, before the reader does.
    async fn past(&self, logs: &Open) -> Result<Vec<PastEnd>, Error> {
        let mut past = Vec::new();
        for topic in self.ordered.topics() {
            for bounds in logs.log(topic).bounds(topic).await? {
                past.push(PastEnd { topic: topic.into(), partition: bounds.partition, end: bounds.end });
            }
        }
        Ok(past)
    }
}

impl Measured {
    /// Keeps the plot of a whole run, and refuses one that ended early, or in which something was broken.
    fn finish(self, file: Option<NewFile>) -> Result<(), Error> {
        let Self { report, trace, failed } = self;
        if let Some(error) = failed {
            return Err(error);
        }
        if let (Some(mut file), Some(trace)) = (file, trace) {
            file.write(&drawn(&report, &trace))?;
            file.keep()?;
        }
        report.verdict()
    }
}

fn not_whole() -> Error {
    let text = "reading was interrupted before its end: the report is of what was read, and no plot is kept";
    Error::new(ErrorKind::WrongState, text)
}

fn drawn(report: &Report, trace: &Trace) -> String {
    let summary =
        format!("{} records, {}, {}", number(report.records), report.rate(), report.violations.in_words());
    let labels = Labels { summary: &summary, seconds: report.seconds, live: report.seconds_to_live };
    format!("{}\n", plot(trace, labels))
}
