//! `messagekit replay read`.

mod copying;
mod logs;
mod source;
mod until;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::{OrderedReader, OrderedReaderBuilder};
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_arrow::{Columns, Format};

use self::copying::Copying;
use self::logs::{Logs, Open};
use self::source::{Source, source};
use self::until::{Until, until};
use crate::input::{moment, span};
use crate::rows::{self, Form};

#[derive(Debug, clap::Args)]
pub(super) struct Read {
    #[command(flatten)]
    logs: Logs,
    /// A topic, and where to begin: earliest, latest, offset=7, ago=1h, at=TIME, start-of-day=Europe/Berlin or committed=CONSUMER; may be
    /// given several times
    #[arg(long = "source", value_name = "TOPIC:START", required = true, value_parser = source)]
    sources: Vec<Source>,
    /// When to end: live, behind the records that are there now; never, with Ctrl-C; or in front of a time
    #[arg(long, value_name = "live|never|TIME", default_value = "live", value_parser = until)]
    until: Until,
    /// Hold records later than this time back until every partition has reached it
    #[arg(long, value_name = "TIME", value_parser = moment)]
    cutoff: Option<Timestamp>,
    /// How many records are written at a time [default: 10000]
    #[arg(long, value_name = "N", value_parser = records)]
    batch_size: Option<usize>,
    /// How many records may wait for those of other partitions [default: five batches]
    #[arg(long, value_name = "N", value_parser = records)]
    max_held: Option<usize>,
    /// Do not wait longer than this for a partition that brings nothing [default: until it ends]
    #[arg(long, value_name = "TIME", value_parser = span)]
    idle_timeout: Option<Duration>,
    /// The form of the records
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Form,
    /// A new file instead of standard output; it gets its name when it is whole
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Further columns
    #[arg(long, value_enum, value_delimiter = ',')]
    columns: Vec<Further>,
}

/// A column that is not there unless it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Further {
    /// Names and values of the headers
    Headers,
    /// The id of the event
    EventId,
}

impl Read {
    pub(super) async fn run(self) -> Result<(), Error> {
        rows::check(self.format.into(), self.output.as_deref())?;
        self.check_cutoff(Timestamp::now())?;
        // Before anything is read: a signal ends the command cleanly from here on.
        let interrupted = Shutdown::on_signal()?;
        let logs = self.logs.open().await?;
        let copied = self.copy(&logs, &interrupted).await;
        logs.close().await?;
        copied
    }

    /// Refuses a cutoff behind which there may be records that the end would leave out: the reader is live at the cutoff.
    fn check_cutoff(&self, now: Timestamp) -> Result<(), Error> {
        match self.cutoff.filter(|cutoff| *cutoff <= now && self.until != Until::Never) {
            Some(cutoff) => {
                let text = "records behind a cutoff of the past come freely, so there is no end that leaves none out: add --until never, or leave the cutoff out";
                Err(Error::new(ErrorKind::InvalidConfiguration, text).with("cutoff", cutoff))
            }
            None => Ok(()),
        }
    }

    async fn copy(&self, logs: &Open, interrupted: &Shutdown) -> Result<(), Error> {
        let reader = self.builder(logs).open().await?;
        let (format, columns) = (Format::from(self.format), self.columns());
        let writer = rows::writer(format, &columns.schema(), self.output.as_deref())?;
        let draws = self.output.is_some() || !std::io::IsTerminal::is_terminal(&std::io::stdout());
        Copying::new(reader, writer, columns, &self.until, draws).run(interrupted).await
    }

    fn builder(&self, logs: &Open) -> OrderedReaderBuilder {
        let mut builder = OrderedReader::builder();
        for Source { topic, start } in &self.sources {
            builder = builder.source(logs.log(topic), topic.clone(), start.clone());
        }
        if let Some(cutoff) = self.cutoff {
            builder = builder.cutoff(cutoff);
        }
        if let Some(records) = self.batch_size {
            builder = builder.batch_size(records);
        }
        if let Some(records) = self.max_held {
            builder = builder.max_held(records);
        }
        match self.idle_timeout {
            Some(time) => builder.idle_timeout(time),
            None => builder,
        }
    }

    fn columns(&self) -> Columns {
        self.columns.iter().fold(Columns::default(), |columns, further| match further {
            Further::Headers => columns.with_headers(),
            Further::EventId => columns.with_event_id(),
        })
    }
}

/// Parses a number of records.
fn records(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=10_000_000).contains(number));
    number.ok_or_else(|| "write a number from 1 to 10000000".to_owned())
}
