//! Billing alone: its database and its processes, which share the partitions of the orders.

use std::time::Duration;

use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::{Database, Program, services};
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use crate::broker;
use crate::names::Names;
use crate::process::launch;

/// The number of billing processes. They keep their instance ids: a process without one would hold its partitions until its
/// session ends.
pub(crate) const MEMBERS: usize = 2;
/// The time that the services have for all remaining work: the long form has tens of thousands of orders, and a machine
/// may be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);

/// The running processes of billing.
pub(crate) struct Billing {
    members: Vec<Program>,
    pub(crate) database: Database,
    pub(crate) names: Names,
    look: Mutex<Option<PgConnection>>,
}

impl Billing {
    /// Starts billing with an empty database and empty topics, and waits until every process has partitions.
    pub(crate) async fn open() -> Self {
        let database = Database::fresh().await;
        Self::open_on(database, Names::make().await).await
    }

    /// Starts billing, and waits until every process has partitions.
    pub(crate) async fn open_on(database: Database, names: Names) -> Self {
        let before = broker::working_members(&names.billing);
        let members = (0..MEMBERS).map(|member| start_member(&database, &names, member)).collect();
        let billing = Self { members, database, names, look: Mutex::default() };
        for member in 0..MEMBERS {
            billing.until_works(member, &before).await;
        }
        billing
    }

    /// Returns the processes.
    pub(crate) fn members(&self) -> &[Program] {
        &self.members
    }

    /// Kills a process.
    pub(crate) fn kill(&mut self, member: usize) {
        self.members[member].kill();
    }

    /// Restarts a killed process under its name, and waits until it has its partitions back.
    pub(crate) async fn start_again(&mut self, member: usize) {
        let before = broker::working_members(&self.names.billing);
        self.members[member] = start_member(&self.database, &self.names, member);
        self.until_works(member, &before).await;
    }

    /// Asserts that no process has exited.
    pub(crate) fn are_alive(&mut self) {
        self.members.iter_mut().for_each(Program::is_alive_still);
    }

    /// Returns the number of bills, or `None` while the database does not answer.
    pub(crate) async fn bills(&self) -> Option<usize> {
        // The connection is kept: a login takes longer than a batch of bills.
        let mut look = self.look.lock().await;
        let mut connection = match look.take() {
            Some(connection) => connection,
            None => PgConnection::connect(self.database.url()).await.ok()?,
        };
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM bills").fetch_one(&mut connection).await.ok()?;
        *look = Some(connection);
        Some(count as usize)
    }

    /// Waits until there are `count` bills.
    pub(crate) async fn until_bills(&self, count: usize) {
        let mut last = None;
        eventually(&format!("{count} bills"), PATIENCE, async || {
            last = self.bills().await.or(last);
            last >= Some(count)
        })
        .await;
    }

    /// Waits until every record of the topic is settled, late copies included.
    pub(crate) async fn until_read(&self) {
        eventually("every record is dealt with", PATIENCE, async || {
            let Some(ends) = broker::ends(&self.names.orders) else { return false };
            let Some(next) = self.next_offsets().await else { return false };
            ends.iter().enumerate().all(|(partition, end)| {
                *end == 0 || next.iter().any(|(known, next)| *known as usize == partition && next >= end)
            })
        })
        .await;
    }

    async fn next_offsets(&self) -> Option<Vec<(i32, i64)>> {
        let mut connection = PgConnection::connect(self.database.url()).await.ok()?;
        let sql = "SELECT partition, max(next) FROM messagekit.consumer_offsets
            WHERE consumer = $1 AND topic = $2 GROUP BY 1";
        let next = sqlx::query_as(sql).bind(&self.names.billing).bind(&self.names.orders);
        next.fetch_all(&mut connection).await.ok()
    }

    async fn until_works(&self, member: usize, before: &[String]) {
        let name = instance(member);
        let is_new = |id: &String| id.starts_with(&name) && !before.contains(id);
        eventually("billing has its partitions", 2 * DEADLINE, async || {
            broker::working_members(&self.names.billing).iter().any(is_new)
        })
        .await;
    }
}

fn instance(member: usize) -> String {
    format!("billing-{member}")
}

/// Starts a process of billing.
pub(crate) fn start_member(database: &Database, names: &Names, member: usize) -> Program {
    let settings = member_settings(database, names, Some(instance(member)));
    launch("messagekit-billing", &[]).variables(settings).start()
}

/// Returns the variables of a process of billing, with or without an instance id.
pub(crate) fn member_settings(
    database: &Database,
    names: &Names,
    instance: Option<String>,
) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("MESSAGEKIT_DATABASE__0__URL", database.url().to_owned()),
        ("MESSAGEKIT_KAFKA__BROKERS", services::kafka()),
        ("MESSAGEKIT_BILLING__NAME_PREFIX", names.prefix.clone()),
        ("MESSAGEKIT_BILLING__LISTEN", "127.0.0.1:0".to_owned()),
    ];
    settings.extend(instance.map(|instance| ("MESSAGEKIT_BILLING__INSTANCE", instance)));
    settings
}

/// Returns the result of a count, or `None` while the database does not answer.
pub(crate) async fn number(database: &Database, sql: &'static str) -> Option<usize> {
    let mut connection = PgConnection::connect(database.url()).await.ok()?;
    let number: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.ok()?;
    Some(number as usize)
}
