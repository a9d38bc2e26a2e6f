//! Roles that own nothing: the statements of the page on operating grant exactly the rights that a writer, a consumer
//! and a relay need.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::{
    Backoff, Consumer, Envelope, Event, HandlerError, Message, Outbox, Shutdown, Store, headers,
};
use messagekit_memory::MemoryLog;
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use sqlx::AssertSqlSafe;

use super::outbox::{Log, Relayed, relay};
use crate::shop::{OrderPlaced, run};

/// Returns the statements of the page with the roles of this test: roles belong to the whole server.
fn granted(roles: &[String; 3]) -> String {
    let page = include_str!("../../../docs/operating.md");
    let (_, behind) = page.split_once("## Roles that own nothing").unwrap();
    let (_, behind) = behind.split_once("```sql\n").unwrap();
    let (sql, _) = behind.split_once("```").unwrap();
    let names = ["shop_writer", "shop_consumer", "shop_relay"];
    let sql = sql.replace("shop_owner", "messagekit");
    names.into_iter().zip(roles).fold(sql, |sql, (name, role)| sql.replace(name, role))
}

/// Fails in its first run, which creates a failed message.
async fn bill(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    if order.delivery().is_some_and(|delivery| delivery.attempt == 1) && order.data.order_id == "o-1" {
        return Err(HandlerError::retryable("not yet"));
    }
    sqlx::query("INSERT INTO public.bills (id) VALUES ($1)")
        .bind(&order.data.order_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn refused(store: &PostgresStore, sql: &'static str) {
    let refused = sqlx::raw_sql(sql).execute(store.pool()).await.unwrap_err();
    let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("42501"), "{sql}: {refused}");
}

#[test]
fn roles_need_only_the_rights_that_the_page_lists() {
    block_on(async {
        let owner = Relayed::fresh().await;
        run(owner.store.pool(), "CREATE TABLE public.bills (id text NOT NULL)").await;
        let roles = ["writer", "consumer", "relay"].map(|role| unique(role).replace(['.', '-'], "_"));
        for role in &roles {
            let create = AssertSqlSafe(format!("CREATE ROLE {role} LOGIN PASSWORD 'own'"));
            sqlx::raw_sql(create).execute(owner.store.pool()).await.unwrap();
        }
        let [_, consumes, _] = &roles;
        let rights = format!("{}; GRANT INSERT ON public.bills TO {consumes}", granted(&roles));
        sqlx::raw_sql(AssertSqlSafe(rights)).execute(owner.store.pool()).await.unwrap();
        let [writer, consumer, relays] = roles.each_ref().map(|role| {
            let url = owner.database.url().replacen("messagekit:messagekit@", &format!("{role}:own@"), 1);
            async move { PostgresStore::connect(&url).await.unwrap() }
        });
        let (writer, consumer, relays) = (writer.await, consumer.await, relays.await);

        let outbox = Outbox::new(writer.clone(), "shop").unwrap();
        let mut tx = writer.begin().await.unwrap();
        outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
        outbox.commit(tx).await.unwrap();
        let publish = "SELECT messagekit.publish('orders.order', 'k', 'orders.order.placed', '{}', 'by-sql')";
        sqlx::raw_sql(publish).execute(writer.pool()).await.unwrap();
        refused(&writer, "SELECT FROM messagekit.outbox_events").await;
        refused(&writer, "SELECT FROM messagekit.failed_messages").await;

        let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
        let relaying = tokio::spawn(relay(&relays, &log).unwrap().run(shutdown.clone()));
        eventually("both are published", DEADLINE, async || log.ids().len() == 2).await;
        eventually("both are off the list", DEADLINE, async || owner.pending().await == 0).await;
        refused(&relays, "SELECT FROM messagekit.failed_messages").await;
        refused(&relays, "DELETE FROM messagekit.outbox_events").await;

        let orders = MemoryLog::new(1);
        let placed = ["o-1", "o-2"].map(|id| {
            let mut order = Envelope::new(OrderPlaced::new(id));
            order.aggregate_id = Some("c-1".to_owned());
            codec::encode(&order, "shop").unwrap()
        });
        orders.publish(&placed).await.into_iter().for_each(|published| published.unwrap());
        let cancelled =
            Message::new(OrderPlaced::TOPIC, "{}").with_header(headers::EVENT_TYPE, "orders.order.cancelled");
        orders.publish(&[cancelled]).await.into_iter().for_each(|published| published.unwrap());
        let billing = Consumer::builder(unique("billing"), consumer.clone())
            .from(orders.topics([OrderPlaced::TOPIC]))
            .backoff(Backoff::fixed(Duration::from_millis(5)))
            .dedup_window(Duration::from_secs(24 * 3_600))
            .on(bill)
            .build()
            .unwrap();
        let consuming = tokio::spawn(billing.run(shutdown.clone()));
        let billed = async || owner.count("SELECT count(*) FROM public.bills").await == 2;
        eventually("both are billed, one as a failed message", DEADLINE, billed).await;
        let failed_messages = "SELECT count(*) FROM messagekit.failed_messages WHERE state = 'resolved'";
        eventually("the failed message is settled", DEADLINE, async || {
            owner.count(failed_messages).await >= 1
        })
        .await;
        refused(&consumer, "SELECT FROM messagekit.outbox_events").await;
        shutdown.request();
        relaying.await.unwrap().unwrap();
        consuming.await.unwrap().unwrap();
        let unhandled = "SELECT sum(messages)::bigint FROM messagekit.unhandled_types";
        assert_eq!(owner.count(unhandled).await, 1, "a stop notes what was passed over");

        // A table that a later migration would add.
        run(owner.store.pool(), "CREATE TABLE messagekit.later (n int)").await;
        for store in [&consumer, &relays] {
            run(store.pool(), "INSERT INTO messagekit.later VALUES (1); DELETE FROM messagekit.later").await;
        }
        refused(&writer, "INSERT INTO messagekit.later VALUES (1)").await;
    });
}
