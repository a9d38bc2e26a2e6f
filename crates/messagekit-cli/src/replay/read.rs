//! `messagekit replay read`.

mod copying;

use std::path::PathBuf;

use messagekit::{Error, Shutdown};
use messagekit_arrow::{Columns, Format};

use self::copying::Copying;
use super::ordered::{Open, Ordered};
use crate::rows::{self, Form};

#[derive(Debug, clap::Args)]
pub(super) struct Read {
    #[command(flatten)]
    ordered: Ordered,
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
        // Before anything is read: a signal ends the command cleanly from here on.
        let interrupted = Shutdown::on_signal()?;
        let logs = self.ordered.open_logs(&interrupted).await?;
        let copied = self.copy(&logs, &interrupted).await;
        logs.close().await?;
        copied
    }

    async fn copy(&self, logs: &Open, interrupted: &Shutdown) -> Result<(), Error> {
        let polling = self.ordered.open(logs, interrupted).await?;
        let (format, columns) = (Format::from(self.format), self.columns());
        let writer = rows::writer(format, &columns.schema(), self.output.as_deref())?;
        let draws = self.output.is_some() || !std::io::IsTerminal::is_terminal(&std::io::stdout());
        Copying::new(polling, writer, columns, draws).run(interrupted).await
    }

    fn columns(&self) -> Columns {
        self.columns.iter().fold(Columns::default(), |columns, further| match further {
            Further::Headers => columns.with_headers(),
            Further::EventId => columns.with_event_id(),
        })
    }
}
