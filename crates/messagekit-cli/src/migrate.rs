//! `messagekit migrate`.

use messagekit::Error;
use messagekit_sqlite::migrations;
use serde_json::json;

use crate::database::Database;

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
        let path = self.database.path().to_owned();
        let before = migrations::status(&path)?;
        if self.dry_run {
            let sql = migrations::pending_sql(&path)?;
            if self.json {
                println!("{}", json!({ "current": before.current, "latest": before.latest, "sql": sql }));
            } else if sql.is_empty() {
                println!("nothing to do: {} is at version {}", path.display(), before.current);
            } else {
                println!("{sql}");
            }
            return Ok(());
        }
        if !self.status {
            migrations::migrate(&path)?;
        }
        let after = if self.status { before.clone() } else { migrations::status(&path)? };
        if self.json {
            println!(
                "{}",
                json!({ "before": before.current, "current": after.current, "latest": after.latest, "pending": after.pending })
            );
        } else if after.current != before.current {
            println!("{}: version {} → {}", path.display(), before.current, after.current);
        } else if after.pending.is_empty() {
            println!("{}: version {}, up to date", path.display(), after.current);
        } else {
            println!(
                "{}: version {} of {}, to come: {}",
                path.display(),
                after.current,
                after.latest,
                after.pending.join(", ")
            );
        }
        Ok(())
    }
}
