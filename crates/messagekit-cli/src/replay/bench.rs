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
use std::time::Instant;

use jiff::Timestamp;
use messagekit::log::MergeSettings;
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_arrow::NewFile;
use serde_json::json;

use self::measuring::{Measuring, latest};
use self::order::{Order, PastEnd, Rules};
use self::plot::{Labels, plot};
use self::report::Report;
use self::trace::Trace;
use super::ordered::{Open, Ordered};
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
    trace: Trace,
    is_whole: bool,
}

impl Bench {
    pub(super) async fn run(self) -> Result<(), Error> {
        self.ordered.check()?;
        // Before anything is made or read: a signal ends the command cleanly from here on.
        let interrupted = Shutdown::on_signal()?;
        let file = self.plot.as_deref().map(NewFile::create).transpose()?;
        let logs = self.ordered.open_logs().await?;
        let measured = self.measure(&logs, &interrupted).await;
        logs.close().await?;
        let Measured { report, trace, is_whole } = measured?;
        if self.json {
            print(json!(report))?;
        } else {
            print(report.table())?;
        }
        if !is_whole {
            let text =
                "reading was interrupted before its end: the report is of what was read, and no plot is kept";
            return Err(Error::new(ErrorKind::WrongState, text));
        }
        if let Some(mut file) = file {
            file.write(&drawn(&report, &trace))?;
            file.keep()?;
        }
        report.verdict()
    }

    async fn measure(&self, logs: &Open, interrupted: &Shutdown) -> Result<Measured, Error> {
        let past = self.past(logs).await?;
        let rules = Rules {
            batch_size: self.ordered.batch_size(),
            latest: latest(Timestamp::now(), MergeSettings::default().max_ahead),
            cutoff: self.ordered.cutoff(),
            waits_for_all: !self.ordered.has_idle_timeout(),
        };
        let mut measuring = Measuring::new(rules.batch_size, Order::new(rules, &past), Trace::default());
        let progress = progress::rate();
        let start = Instant::now();
        let mut polling = self.ordered.open(logs).await?;
        let is_whole = loop {
            let Some(mut records) = polling.next(interrupted).await? else {
                break polling.ends_when_interrupted();
            };
            measuring.polled(&records, start.elapsed(), polling.reader().is_live());
            progress.inc(records.len() as u64);
            if polling.cut(&mut records) {
                break true;
            }
        };
        let took = start.elapsed();
        progress.finish_and_clear();
        let reader = polling.reader();
        let (report, trace) = measuring.end(took, reader.counts().ahead, reader.deleted());
        Ok(Measured { report, trace, is_whole })
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

fn drawn(report: &Report, trace: &Trace) -> String {
    let summary =
        format!("{} records, {}, {}", number(report.records), report.rate(), report.violations.in_words());
    let labels = Labels { summary: &summary, seconds: report.seconds, live: report.seconds_to_live };
    format!("{}\n", plot(trace, labels))
}
