//! `messagekit migrate`.

mod publishing_mode;

use std::path::Path;
use std::time::Duration;

use messagekit::adapter::MigrationStatus;
use messagekit::{Error, ErrorKind};
use messagekit_postgres::SchemaName;
use messagekit_postgres::{cdc, partitioning};

use self::publishing_mode::WayOut;
use serde_json::json;

use crate::database::{Database, Kind, failed};
use crate::output::print;

/// How long open transactions may delay the partitioning of the tables.
const WAIT: Duration = Duration::from_secs(60);

/// Apply schema migrations, or print them.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    publishing_mode: WayOut,
    /// Partition events and markers by the day of their ids, so that a cleanup removes a day at once
    #[arg(long, conflicts_with_all = ["status", "dry_run"])]
    by_day: bool,
    /// Print the statements instead of running them
    #[arg(long)]
    dry_run: bool,
    /// Print the schema version, and change nothing
    #[arg(long, conflicts_with = "dry_run")]
    status: bool,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

/// What was made beside the tables, in words.
#[derive(Default)]
struct Done {
    made: Vec<String>,
    divided: Vec<String>,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let (kind, name) = (self.database.kind()?, self.database.name()?);
        match kind {
            Kind::Sqlite(path) => self.check_file(path)?,
            Kind::Postgres(_) => {}
        }
        let before = status(kind).await?;
        if self.dry_run {
            return self.show(kind, &name, &before).await;
        }
        let done = if self.status { Done::default() } else { self.apply(kind).await? };
        let after = if self.status { None } else { Some(status(kind).await?) };
        let after = after.as_ref().unwrap_or(&before);
        if self.json {
            self.print_json(&before, after, done)
        } else {
            self.print_line(&name, &before, after, &done)
        }
    }

    async fn apply(&self, kind: Kind<'_>) -> Result<Done, Error> {
        let Kind::Postgres(url) = kind else {
            migrate(kind).await?;
            return Ok(Done::default());
        };
        // All or nothing: tables without capture would accept events that are never published.
        self.publishing_mode.may_be_made(url).await?;
        migrate(kind).await?;
        let made = self.publishing_mode.make(url).await?;
        let divided = if self.by_day {
            partitioning::divide(url, &SchemaName::default(), WAIT).await.map_err(failed)?
        } else {
            Vec::new()
        };
        Ok(Done { made, divided })
    }

    fn print_json(&self, before: &MigrationStatus, after: &MigrationStatus, done: Done) -> Result<(), Error> {
        let MigrationStatus { current, lowest_program, latest, pending } = after;
        let mut answer = json!({
            "before": before.current, "current": current, "lowest_program": lowest_program, "latest": latest, "pending": pending,
        });
        if self.publishing_mode.is_wanted() || self.by_day {
            answer["made"] = json!([done.made, done.divided].concat());
        }
        print(answer)
    }

    fn print_line(
        &self,
        name: &str,
        before: &MigrationStatus,
        after: &MigrationStatus,
        done: &Done,
    ) -> Result<(), Error> {
        let mut ready = self.publishing_mode.in_words(&done.made);
        if self.by_day {
            ready.push_str("; ");
            ready.push_str(
                done.divided.first().map_or("events and markers are divided by day already", String::as_str),
            );
        }
        if after.current != before.current {
            print(format_args!("{name}: version {} → {}{ready}", before.current, after.current))
        } else if after.current > after.latest {
            print(format_args!(
                "{name}: version {}, newer than this program ({}) and usable by it{ready}",
                after.current, after.latest
            ))
        } else if after.pending.is_empty() {
            print(format_args!("{name}: version {}, up to date{ready}", after.current))
        } else {
            let to_come = after.pending.join(", ");
            print(format_args!("{name}: version {} of {}, to come: {to_come}", after.current, after.latest))
        }
    }

    fn check_file(&self, path: &Path) -> Result<(), Error> {
        if self.by_day {
            let text = "a SQLite file is cleaned row by row: leave --by-day out";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        if let Some(option) = self.publishing_mode.option() {
            let text = format!(
                "topics leave a SQLite file where it is opened (`SqliteOptions::relayed_topics`), and only by a relay: leave {option} out"
            );
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        // A missing file can be created, but not a missing folder: status and dry run must not promise more.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if (self.status || self.dry_run) && folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(Error::new(ErrorKind::NotFound, "folder does not exist: create it first")
                .with("path", path.display()));
        }
        Ok(())
    }

    async fn show(&self, kind: Kind<'_>, name: &str, before: &MigrationStatus) -> Result<(), Error> {
        let sql = match kind {
            Kind::Sqlite(path) => messagekit_sqlite::migrations::pending_sql(path)?,
            Kind::Postgres(url) => {
                let mut sql = messagekit_postgres::migrations::pending_sql(url).await.map_err(failed)?;
                if self.publishing_mode.captures() {
                    let more = cdc::set_up_sql(url, &SchemaName::default()).await.map_err(failed)?;
                    let apart = if sql.is_empty() || more.is_empty() { "" } else { "\n\n" };
                    sql = format!("{sql}{apart}{more}");
                }
                sql
            }
        };
        if self.json {
            print(json!({ "current": before.current, "latest": before.latest, "sql": sql }))
        } else if sql.is_empty() {
            print(format_args!("nothing to do: {name} is at version {}", before.current))
        } else {
            print(sql)
        }
    }
}

async fn status(kind: Kind<'_>) -> Result<MigrationStatus, Error> {
    match kind {
        Kind::Sqlite(path) => Ok(messagekit_sqlite::migrations::status(path)?),
        Kind::Postgres(url) => messagekit_postgres::migrations::status(url).await.map_err(failed),
    }
}

async fn migrate(kind: Kind<'_>) -> Result<(), Error> {
    match kind {
        Kind::Sqlite(path) => {
            messagekit_sqlite::migrations::migrate(path)?;
        }
        Kind::Postgres(url) => {
            messagekit_postgres::migrations::migrate(url).await.map_err(failed)?;
        }
    }
    Ok(())
}
