//! `messagekit topics`.

mod append;
mod backup;
mod claims;
mod consume;
mod create;
mod drop;
mod export;
pub(crate) mod file;
mod import;
mod input;
mod lines;
mod list;
mod minikafka;
mod plot;
mod retention;
mod show;
mod source;

use messagekit::Error;

/// Manage and use the typed topics of a database.
#[derive(Debug, clap::Args)]
pub(crate) struct Topics {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The topics with their rules and the numbers of their records
    List(list::List),
    /// One topic with its schema
    Show(show::Show),
    /// Make a topic, and the file if it is missing; a topic that has these rules already is left as it is
    Create(create::Create),
    /// Set how long a topic keeps its records, and delete what it no longer keeps; without an option, it keeps all
    Retention(retention::Retention),
    /// Drop a topic with its records, and what consumers have handled of it
    Drop(drop::Drop),
    /// Append records: the arguments, or one JSON object per line of standard input
    Append(append::Append),
    /// Print new records, one JSON object per line, and acknowledge each after it was printed
    Consume(consume::Consume),
    /// Print whole records, one JSON object per line, and acknowledge none
    Export(export::Export),
    /// Append the records of an export, or all topics of a minikafka file
    Import(import::Import),
    /// Draw the topics as a Mermaid diagram: what their records tell of pipelines, and the numbers of each consumer
    Plot(plot::Plot),
    /// Tables whose changes become events of a topic
    Source(source::Source),
    /// Copy the file as of now, while others go on writing
    Backup(backup::Backup),
}

impl Topics {
    pub(crate) async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Create(create) => create.run().await,
            Command::Retention(retention) => retention.run().await,
            Command::Drop(drop) => drop.run().await,
            Command::Append(append) => append.run().await,
            Command::Consume(consume) => consume.run().await,
            Command::Export(export) => export.run().await,
            Command::Import(import) => import.run().await,
            Command::Plot(plot) => plot.run().await,
            Command::Source(source) => source.run().await,
            Command::Backup(backup) => backup.run().await,
        }
    }
}
