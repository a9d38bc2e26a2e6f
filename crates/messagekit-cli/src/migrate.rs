//! `messagekit migrate`.

use messagekit::{Error, ErrorKind};
use messagekit_sqlite::migrations;
use serde_json::json;

use crate::database::Database;
use crate::output::print;

/// Bring a database to this program's schema, or say what that would do.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    database: Database,
    /// Print the statements instead of running them
    #[arg(long)]
    dry_run: bool,
    /// Say where the database stands, and change nothing
    #[arg(long, conflicts_with = "dry_run")]
    status: bool,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(crate) fn run(self) -> Result<(), Error> {
        let path = self.database.path()?.to_owned();
        // A file that is not there can be made, but only in a folder; looking must not promise more.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if (self.status || self.dry_run) && folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(Error::new(ErrorKind::NotFound, "folder does not exist: create it first")
                .with("path", path.display()));
        }
        let before = migrations::status(&path)?;
        if self.dry_run {
            let sql = migrations::pending_sql(&path)?;
            return if self.json {
                print(json!({ "current": before.current, "latest": before.latest, "sql": sql }))
            } else if sql.is_empty() {
                print(format_args!("nothing to do: {} is at version {}", path.display(), before.current))
            } else {
                print(sql)
            };
        }
        if !self.status {
            migrations::migrate(&path)?;
        }
        let after = if self.status { before.clone() } else { migrations::status(&path)? };
        let file = path.display();
        if self.json {
            let (current, pending) = (after.current, &after.pending);
            print(
                json!({ "before": before.current, "current": current, "latest": after.latest, "pending": pending }),
            )
        } else if after.current != before.current {
            print(format_args!("{file}: version {} → {}", before.current, after.current))
        } else if after.pending.is_empty() {
            print(format_args!("{file}: version {}, up to date", after.current))
        } else {
            let to_come = after.pending.join(", ");
            print(format_args!("{file}: version {} of {}, to come: {to_come}", after.current, after.latest))
        }
    }
}
