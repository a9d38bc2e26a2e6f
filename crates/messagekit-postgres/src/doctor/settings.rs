//! Settings of the database: its encoding and how its commits reach the disk.

use messagekit::Error;
use messagekit::operations::{Diagnosis, Repair};
use sqlx::PgConnection;

use super::checks::{COMMIT_NOT_SYNCHRONOUS, ENCODING};
use super::target::Target;
use crate::migrations::connection::fault;
use crate::quoting::quoted;

const LOOK: &str = "
SELECT current_setting('server_encoding'), s.setting, s.source, current_user::text
FROM pg_settings s WHERE s.name = 'synchronous_commit'";

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    let select = sqlx::query_as(LOOK).persistent(false);
    let (encoding, commit, source, user): (String, String, String, String) =
        select.fetch_one(conn).await.map_err(fault)?;
    if encoding != "UTF8" {
        let text = format!("database {} has the encoding {encoding}", target.name);
        diagnosis.found(&ENCODING, &target.name, text, target.copy_command(&format!("{}_utf8", target.name)));
    }
    if commit == "off" {
        let text = format!("synchronous_commit is off, set by: {source}");
        let repair = on_again(&source, &quoted(&target.name), &quoted(&user));
        diagnosis.found(&COMMIT_NOT_SYNCHRONOUS, &target.name, text, repair);
    }
    Ok(())
}

/// Returns the repair at the place where the setting is made.
fn on_again(source: &str, database: &str, user: &str) -> Vec<Repair> {
    let sql = |text: String| Repair::Sql(text);
    match source {
        "database" => vec![sql(format!("ALTER DATABASE {database} RESET synchronous_commit"))],
        "user" => vec![sql(format!("ALTER ROLE {user} RESET synchronous_commit"))],
        "database user" => {
            vec![sql(format!("ALTER ROLE {user} IN DATABASE {database} RESET synchronous_commit"))]
        }
        "client" | "environment variable" => {
            let text = "leave synchronous_commit out of the URL and of PGOPTIONS";
            vec![Repair::Manual(text.to_owned())]
        }
        _ => vec![
            sql("ALTER SYSTEM SET synchronous_commit = 'on'".to_owned()),
            sql("SELECT pg_reload_conf()".to_owned()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_repaired_where_it_is_made() {
        let repair = |source| on_again(source, "\"shop\"", "\"app\"")[0].text().to_owned();
        assert_eq!(repair("user"), "ALTER ROLE \"app\" RESET synchronous_commit");
        assert_eq!(
            repair("database user"),
            "ALTER ROLE \"app\" IN DATABASE \"shop\" RESET synchronous_commit"
        );
        assert_eq!(repair("configuration file"), "ALTER SYSTEM SET synchronous_commit = 'on'");
        assert!(repair("client").contains("URL"));
    }
}
