//! The progress of each partition, read from the table.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgPool;

use crate::group::PARTITIONS;

/// A time of the database's clock, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatabaseTime(f64);

impl DatabaseTime {
    pub(crate) async fn now(pool: &PgPool) -> Self {
        let now = "SELECT extract(epoch FROM clock_timestamp())::float8";
        Self(sqlx::query_scalar(now).fetch_one(pool).await.unwrap())
    }

    /// Returns which member applied the last record of each partition.
    pub(crate) async fn owners(pool: &PgPool) -> BTreeMap<i32, String> {
        let last = "SELECT DISTINCT ON (partition) partition, member FROM applied ORDER BY partition, n DESC";
        sqlx::query_as(last).fetch_all(pool).await.unwrap().into_iter().collect()
    }

    /// Returns whether each partition had a record applied since.
    pub(crate) async fn all_have_gone_on(self, pool: &PgPool) -> bool {
        let partitions = "SELECT count(DISTINCT partition) FROM applied WHERE at > to_timestamp($1)";
        let count: i64 = sqlx::query_scalar(partitions).bind(self.0).fetch_one(pool).await.unwrap();
        count == i64::from(PARTITIONS)
    }

    /// Returns the longest stall of each partition, between two records of which the second was applied since.
    pub(crate) async fn longest_stands(self, pool: &PgPool) -> BTreeMap<i32, Duration> {
        let gaps = "SELECT partition, max(extract(epoch FROM next - at))::float8 FROM (
                SELECT partition, at, coalesce(lead(at) OVER (PARTITION BY partition ORDER BY at), clock_timestamp()) AS next
                FROM applied) AS steps
            WHERE next > to_timestamp($1) GROUP BY partition";
        let rows: Vec<(i32, f64)> = sqlx::query_as(gaps).bind(self.0).fetch_all(pool).await.unwrap();
        rows.into_iter().map(|(partition, gap)| (partition, Duration::from_secs_f64(gap))).collect()
    }
}
