//! `messagekit migrate`.

use std::path::Path;

use messagekit::{Error, ErrorKind};
use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc::{self, PASSWORD_VARIABLE};
use serde_json::json;

use crate::database::{Database, Kind, failed};
use crate::output::print;

/// Bring a database to this program's schema, or say what that would do.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    database: Database,
    /// Make what change data capture needs too: publication, slot, and the role messagekit_cdc with the password in MESSAGEKIT_CDC_PASSWORD
    #[arg(long, conflicts_with = "status")]
    cdc: bool,
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

/// How far the tables of a database are.
struct Stand {
    current: i64,
    latest: i64,
    pending: Vec<&'static str>,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let (kind, name) = (self.database.kind()?, self.database.name()?);
        match kind {
            Kind::Sqlite(path) => self.check_file(path)?,
            Kind::Postgres(_) => {}
        }
        let before = stand(kind).await?;
        if self.dry_run {
            return self.show(kind, &name, &before).await;
        }
        let mut made = Vec::new();
        if !self.status {
            let captured = match kind {
                Kind::Postgres(url) if self.cdc => Some(url),
                _ => None,
            };
            // All of it or nothing: tables without their capture would take events that never leave.
            if let Some(url) = captured {
                let password = std::env::var(PASSWORD_VARIABLE).ok();
                let schema = SchemaName::default();
                cdc::may_set_up(url, &schema, password.as_deref()).await.map_err(failed)?;
            }
            migrate(kind).await?;
            if let Some(url) = captured {
                made = prepare_capture(url).await?;
            }
        }
        let after = if self.status { None } else { Some(stand(kind).await?) };
        let after = after.as_ref().unwrap_or(&before);
        if self.json {
            let (current, pending) = (after.current, &after.pending);
            let mut answer = json!({ "before": before.current, "current": current, "latest": after.latest, "pending": pending });
            if self.cdc {
                answer["made"] = json!(made);
            }
            return print(answer);
        }
        let capture = match (self.cdc, made.is_empty()) {
            (false, _) => String::new(),
            (true, true) => "; change data capture is ready".to_owned(),
            (true, false) => format!("; made {}", made.join(", ")),
        };
        if after.current != before.current {
            print(format_args!("{name}: version {} → {}{capture}", before.current, after.current))
        } else if after.pending.is_empty() {
            print(format_args!("{name}: version {}, up to date{capture}", after.current))
        } else {
            let to_come = after.pending.join(", ");
            print(format_args!("{name}: version {} of {}, to come: {to_come}", after.current, after.latest))
        }
    }

    fn check_file(&self, path: &Path) -> Result<(), Error> {
        if self.cdc {
            let text = "a SQLite file needs no change data capture: leave --cdc out";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        // A file that is not there can be made, but only in a folder; looking must not promise more.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if (self.status || self.dry_run) && folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(Error::new(ErrorKind::NotFound, "folder does not exist: create it first")
                .with("path", path.display()));
        }
        Ok(())
    }

    async fn show(&self, kind: Kind<'_>, name: &str, before: &Stand) -> Result<(), Error> {
        let sql = match kind {
            Kind::Sqlite(path) => messagekit_sqlite::migrations::pending_sql(path)?,
            Kind::Postgres(url) => {
                let mut sql = messagekit_postgres::migrations::pending_sql(url).await.map_err(failed)?;
                if self.cdc {
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

async fn stand(kind: Kind<'_>) -> Result<Stand, Error> {
    match kind {
        Kind::Sqlite(path) => {
            let status = messagekit_sqlite::migrations::status(path)?;
            let (current, latest) = (status.current.into(), status.latest.into());
            Ok(Stand { current, latest, pending: status.pending })
        }
        Kind::Postgres(url) => {
            let status = messagekit_postgres::migrations::status(url).await.map_err(failed)?;
            let (current, latest) = (status.current.into(), status.latest.into());
            Ok(Stand { current, latest, pending: status.pending })
        }
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

/// Makes what is missing, and does not call ready what cannot work.
async fn prepare_capture(url: &str) -> Result<Vec<String>, Error> {
    let schema = SchemaName::default();
    let password = std::env::var(PASSWORD_VARIABLE).ok();
    let made = cdc::set_up(url, &schema, password.as_deref()).await.map_err(failed)?;
    let found = cdc::findings(url, &schema).await.map_err(failed)?;
    match found.into_iter().find(|found| found.subject != cdc::Subject::Reader) {
        Some(found) => Err(Error::new(ErrorKind::WrongState, format!("change data capture: {found}"))),
        None => Ok(made),
    }
}
