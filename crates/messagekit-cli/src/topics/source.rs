//! `messagekit topics source`.

use messagekit::log::{Change, Changes, KnownSource, OnSourceFailure, RowPayload};
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{AddedSource, TableSources};
use messagekit_topics::Topics;
use serde_json::json;

use super::file::{self, Work};
use crate::database::Database;
use crate::output::{print, printable, table};

/// Tables whose changes become events, whatever program makes them.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the changes of a table events of a topic, from now on
    Add(Add),
    /// Make them events no longer; those that were made stay
    Drop(Drop),
    /// All sources, with what is wrong with them; exit code 1 if anything is
    List(List),
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    database: Database,
    /// The topic; one that the database does not keep goes to the broker
    topic: String,
    /// The table, as SQL names it
    table: String,
    /// Which changes, separated by commas [default: all]
    #[arg(long, value_name = "CHANGES", value_delimiter = ',')]
    on: Vec<On>,
    /// Only rows for which this expression is true, like "OLD.status <> 'paid' AND NEW.status = 'paid'"
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    filter: Option<String>,
    /// What an event holds of a row
    #[arg(long, default_value = "full")]
    payload: Payload,
    /// The expression whose value is the key of an event [default: the primary key]
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    partition_by: Option<String>,
    /// What becomes of a write whose event cannot be written
    #[arg(long, default_value = "fail")]
    on_failure: OnFailure,
    /// Rows that logical replication applies to the table are events, too
    #[arg(long)]
    replicated: bool,
    /// Replace a source that has other rules
    #[arg(long)]
    replace: bool,
    /// One JSON document instead of a line for people
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum On {
    Insert,
    Update,
    Delete,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Payload {
    /// The primary key
    Key,
    /// The whole row
    Full,
    /// Of an update what differs, with the values before and after
    Diff,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnFailure {
    /// The write fails
    Fail,
    /// The row becomes a failed message, and the write goes on
    SetAside,
}

#[derive(Debug, clap::Args)]
struct Drop {
    #[command(flatten)]
    database: Database,
    /// The topic
    topic: String,
    /// The table
    table: String,
    /// One JSON document instead of a line for people
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    database: Database,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl Source {
    pub(super) async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Add(add) => file::work(&add.database, &add).await,
            Command::Drop(drop) => file::work(&drop.database, &drop).await,
            Command::List(list) => file::work(&list.database, &list).await,
        }
    }
}

impl Work for Add {
    async fn run<S: TableSources>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let mut source = topics.source(self.table.as_str()).payload(match self.payload {
            Payload::Key => RowPayload::Key,
            Payload::Full => RowPayload::Full,
            Payload::Diff => RowPayload::Diff,
        });
        source = source.on_failure(match self.on_failure {
            OnFailure::Fail => OnSourceFailure::Fail,
            OnFailure::SetAside => OnSourceFailure::SetAside,
        });
        let change = |on: &On| match on {
            On::Insert => Changes::from(Change::Insert),
            On::Update => Changes::from(Change::Update),
            On::Delete => Changes::from(Change::Delete),
        };
        if let Some(changes) = self.on.iter().map(change).reduce(|all, one| all | one) {
            source = source.on(changes);
        }
        if let Some(filter) = &self.filter {
            source = source.filter(filter);
        }
        if let Some(key) = &self.partition_by {
            source = source.partition_by(key);
        }
        let source = if self.replicated { source.replicated() } else { source };
        let source = if self.replace { source.replace() } else { source };
        let (word, text) = match source.add(self.topic.as_str()).await? {
            AddedSource::Added => ("added", "is a source of"),
            AddedSource::Same => ("same", "is this source already of"),
            AddedSource::Replaced => ("replaced", "has new rules as a source of"),
        };
        if self.json {
            return print(json!({ "topic": self.topic, "table": self.table, "outcome": word }));
        }
        print(format_args!("table {} {text} topic {}", printable(&self.table), printable(&self.topic)))
    }
}

impl Work for Drop {
    async fn run<S: TableSources>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let dropped = topics.drop_source(&self.topic, &self.table).await?;
        if self.json {
            return print(json!({ "topic": self.topic, "table": self.table, "dropped": dropped }));
        }
        let (table, topic) = (printable(&self.table), printable(&self.topic));
        if dropped {
            print(format_args!("table {table} is no source of topic {topic} any more"))
        } else {
            print(format_args!("table {table} was no source of topic {topic}"))
        }
    }
}

impl Work for List {
    async fn run<S: TableSources>(&self, topics: &Topics<S>) -> Result<(), Error> {
        let sources = topics.sources().await?;
        if self.json {
            print(json!({ "sources": sources }))?;
        } else if sources.is_empty() {
            print("no table is a source")?;
        } else {
            let mut rows =
                table(&["topic", "table", "on", "payload", "filter", "key", "on failure", "fault"]);
            for source in &sources {
                rows.add_row(row(source));
            }
            print(rows)?;
        }
        let faulty = sources.iter().filter(|source| source.fault.is_some()).count();
        if faulty == 0 {
            return Ok(());
        }
        let text = "some sources are faulty: add them again with --replace, or drop them";
        Err(Error::new(ErrorKind::WrongState, text).with("faulty", faulty))
    }
}

fn row(source: &KnownSource) -> [String; 8] {
    let replicated = source.replicated.then_some("replicated rows");
    let names: Vec<&str> = source.changes.names().chain(replicated).collect();
    let fault = source.shown_fault().unwrap_or_default();
    [
        printable(&source.topic),
        printable(&source.table),
        names.join(", "),
        source.payload.as_str().to_owned(),
        printable(source.filter.as_deref().unwrap_or("")),
        printable(source.key.as_deref().unwrap_or("primary key")),
        source.on_failure.as_str().to_owned(),
        printable(&fault),
    ]
}
