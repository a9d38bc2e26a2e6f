//! One database and one login role per service. The test runs the script that the compose file mounts, on a real server
//! with unique names, and connects each role to each database.

use std::path::Path;
use std::process::{Command, Output};

use messagekit_postgres::{SchemaName, cdc, migrations};
use messagekit_testkit::{block_on, unique};
use messagekit_tests::services::postgres_url;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

const SERVICES: [&str; 4] = ["orders", "billing", "shipping", "bookkeeper"];
const CDC: &str = "messagekit_cdc";

/// The objects that the script creates, with a prefix that is unique on the server.
struct Server {
    prefix: String,
    superuser: String,
    password: String,
    address: String,
    database: String,
}

impl Server {
    fn new() -> Self {
        let url = postgres_url();
        let (credentials, place) = url
            .strip_prefix("postgres://")
            .and_then(|url| url.rsplit_once('@'))
            .expect("the URL names a user");
        let (superuser, password) = credentials.split_once(':').expect("the URL has a password");
        let (address, database) = place.split_once('/').expect("the URL names a database");
        let prefix = format!("{}_", unique("own").replace(['.', '-'], "_"));
        let [superuser, password, address, database] =
            [superuser, password, address, database].map(str::to_owned);
        Self { prefix, superuser, password, address, database }
    }

    /// Runs the script as the image of PostgreSQL does, with these passwords.
    fn run(&self, passwords: &[(&str, &str)]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/postgres/init.sh");
        let (host, port) = self.address.split_once(':').expect("the URL names a port");
        let server = [
            ("PGHOST", host),
            ("PGPORT", port),
            ("POSTGRES_USER", &self.superuser),
            ("POSTGRES_DB", &self.database),
            ("PGPASSWORD", &self.password),
            ("MESSAGEKIT_PREFIX", &self.prefix),
        ];
        let kept = std::env::var_os("PATH").map(|path| ("PATH", path));
        let mut command = Command::new(script);
        command.env_clear().envs(kept).envs(server).envs(passwords.iter().copied());
        command.output().expect("the script starts")
    }

    /// Runs it with a different password for each role.
    fn set_up(&self) {
        let output = self.run(&[
            ("ORDERS_PASSWORD", "password of orders"),
            ("BILLING_PASSWORD", "password of billing"),
            ("SHIPPING_PASSWORD", "password of shipping"),
            ("BOOKKEEPER_PASSWORD", "password of bookkeeper"),
            ("MESSAGEKIT_CDC_PASSWORD", "it's $(another) \\ \"password\""),
        ]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    }

    fn url(&self, role: &str, database: &str) -> String {
        let password = match role {
            CDC => "it%27s%20%24(another)%20%5C%20%22password%22".to_owned(),
            role => format!("password%20of%20{role}"),
        };
        let Self { prefix, address, .. } = self;
        format!("postgres://{prefix}{role}:{password}@{address}/{prefix}{database}")
    }

    fn superuser_url(&self, database: &str) -> String {
        let Self { prefix, superuser, password, address, .. } = self;
        format!("postgres://{superuser}:{password}@{address}/{prefix}{database}")
    }

    async fn connect(&self, role: &str, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url(role, database)).await
    }

    /// Returns everything that the script has created, from the server's catalogue, with rights and password hashes.
    async fn catalogue(&self) -> Vec<String> {
        let mut admin = PgConnection::connect(&postgres_url()).await.unwrap();
        let rows = sqlx::query(
            "SELECT to_jsonb(r)::text FROM pg_authid r WHERE starts_with(rolname, $1)
             UNION ALL
             SELECT (to_jsonb(d) - 'datfrozenxid' - 'datminmxid')::text FROM pg_database d WHERE starts_with(datname, $1)
             ORDER BY 1",
        );
        let rows = rows.bind(&self.prefix).fetch_all(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Insufficient privilege, also for a role that may not connect.
const DENIED: &str = "42501";

#[test]
fn each_service_gets_into_its_own_database_and_into_no_other() {
    block_on(async {
        let server = Server::new();
        server.set_up();
        for role in SERVICES {
            for database in SERVICES {
                match server.connect(role, database).await {
                    Ok(mut own) => {
                        assert_eq!(role, database, "{role} was let into {database}");
                        own.execute("CREATE TABLE business (secret text)").await.unwrap();
                        own.execute("INSERT INTO business VALUES ('margin')").await.unwrap();
                    }
                    Err(error) => {
                        assert_ne!(role, database, "{role} was kept out: {error}");
                        assert_eq!(code(&error).as_deref(), Some(DENIED), "{role} in {database}: {error}");
                    }
                }
            }
        }
        let stolen = server.url("orders", "orders").replace("of%20orders", "of%20billing");
        let error = PgConnection::connect(&stolen).await.expect_err("another's password");
        assert_eq!(code(&error).as_deref(), Some("28P01"), "{error}");
    });
}

#[test]
fn the_debezium_role_reads_only_databases_with_an_outbox() {
    block_on(async {
        let server = Server::new();
        server.set_up();
        for service in ["orders", "billing"] {
            let mut own = server.connect(service, service).await.unwrap();
            own.execute("CREATE TABLE business (secret text)").await.unwrap();
            let mut reader = server.connect(CDC, service).await.unwrap();
            for sql in [
                "SELECT * FROM business",
                "INSERT INTO business VALUES ('mine')",
                "DROP TABLE business",
                "CREATE TABLE mine ()",
                "CREATE SCHEMA mine",
            ] {
                let error = reader.execute(sql).await.expect_err(sql);
                assert_eq!(code(&error).as_deref(), Some(DENIED), "{sql}: {error}");
            }
        }
        let error = server.connect(CDC, "shipping").await.expect_err("shipping publishes nothing");
        assert_eq!(code(&error).as_deref(), Some(DENIED), "{error}");
    });
}

#[test]
fn no_role_can_give_itself_more() {
    block_on(async {
        let server = Server::new();
        server.set_up();
        let mut admin = PgConnection::connect(&postgres_url()).await.unwrap();
        let rows = sqlx::query(
            "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls, rolreplication, rolcanlogin
             FROM pg_roles WHERE starts_with(rolname, $1)",
        );
        let rows = rows.bind(&server.prefix).fetch_all(&mut admin).await.unwrap();
        assert_eq!(rows.len(), 5);
        for row in rows {
            let (name, more, replication, login): (String, bool, bool, bool) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            let reads_the_log = name == format!("{}{CDC}", server.prefix);
            assert_eq!((more, replication, login), (false, reads_the_log, true), "{name}");
        }
    });
}

#[test]
fn running_the_script_again_changes_nothing() {
    block_on(async {
        let server = Server::new();
        server.set_up();
        let before = server.catalogue().await;
        assert_eq!(before.len(), 9, "five roles and four databases: {before:?}");
        server.set_up();
        assert_eq!(server.catalogue().await, before);

        let others = [
            "ORDERS_PASSWORD",
            "BILLING_PASSWORD",
            "SHIPPING_PASSWORD",
            "BOOKKEEPER_PASSWORD",
            cdc::PASSWORD_VARIABLE,
        ];
        let output = server.run(&others.map(|name| (name, "another")));
        assert!(output.status.success());
        assert_eq!(server.catalogue().await, before, "a role keeps its password");
    });
}

#[test]
fn a_missing_password_is_named_and_nothing_is_made() {
    block_on(async {
        let server = Server::new();
        let output = server.run(&[("ORDERS_PASSWORD", "o"), ("BILLING_PASSWORD", "b")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains("SHIPPING_PASSWORD: is not set"), "{said}");
        assert_eq!(server.catalogue().await, Vec::<String>::new());
    });
}

/// This is why compose runs `migrate --cdc` as the administrator, and `migrate` as the service.
#[test]
fn service_creates_its_tables_and_only_an_admin_the_slot() {
    block_on(async {
        let server = Server::new();
        server.set_up();
        let (own, admin) = (server.url("orders", "orders"), server.superuser_url("orders"));
        let schema = SchemaName::default();
        migrations::migrate(&own).await.unwrap();
        let refused =
            cdc::set_up(&own, &schema, Some("unused")).await.expect_err("a service may make no slot");
        assert!(
            messagekit::chain(&refused).contains("an administrator runs"),
            "{}",
            messagekit::chain(&refused)
        );

        let made = cdc::set_up(&admin, &schema, Some("messagekit-cdc")).await.unwrap();
        assert!(made.iter().any(|what| what.starts_with("slot ")), "{made:?}");
        // The service may read all of it, as `connector apply` does: only the reader is missing.
        let left = cdc::findings(&own, &schema).await.unwrap();
        assert!(left.iter().all(|found| found.subject == cdc::Subject::Reader), "{left:?}");
        // The service works as before: the objects of the administrator take no right from it.
        let mut orders = PgConnection::connect(&own).await.unwrap();
        let kept = orders.fetch_one("SELECT count(*) FROM messagekit.outbox_events").await.unwrap();
        assert_eq!(kept.get::<i64, _>(0), 0);
        cdc::drop_slot(&admin, &schema).await.unwrap();
        let slot = format!("messagekit_{}orders", server.prefix);
        let left =
            AssertSqlSafe(format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}'"));
        let left = orders.fetch_one(sqlx::raw_sql(left)).await.unwrap();
        assert_eq!(left.get::<i64, _>(0), 0, "a slot that nobody reads would keep the log");
    });
}
