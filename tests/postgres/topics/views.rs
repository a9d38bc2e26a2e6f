//! The views over topics, as a store and a role that may read nothing else see them.

#[path = "../../it/topic_views/scene.rs"]
mod scene;

use std::process::Command;

use messagekit::log::OnSourceFailure;
use messagekit_testkit::{block_on, unique};
use messagekit_topic_store::{TopicDefinitions, TopicView};
use serde_json::{Value, json};

use super::sources::Shop;

const VIEWS: &str = "messagekit.system_topics, messagekit.system_topic_offsets, messagekit.system_routes";

/// A role that may use the schema and read the views.
struct Reader<'a> {
    shop: &'a Shop,
    role: String,
}

impl<'a> Reader<'a> {
    async fn of(shop: &'a mut Shop) -> Self {
        let role = unique("reader").replace(['.', '-'], "_");
        shop.run(&format!(
            "CREATE ROLE {role}; GRANT USAGE ON SCHEMA messagekit TO {role}; GRANT SELECT ON {VIEWS} TO {role}"
        ))
        .await;
        Self { shop, role }
    }

    /// Runs a query in psql; `Err` with the complaint.
    fn psql(&self, query: &str) -> Result<String, String> {
        let role = format!("SET ROLE {}", self.role);
        let mut psql = Command::new("psql");
        psql.args([self.shop.database.url(), "-qAt", "-v", "ON_ERROR_STOP=1", "-c", &role, "-c", query]);
        let done = psql.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stderr)) }
    }

    fn rows(&self, view: TopicView) -> Vec<Vec<Value>> {
        let name = view.name().replacen("system.", "messagekit.system_", 1);
        let lines =
            self.psql(&format!("SELECT row_to_json(v) FROM (SELECT * FROM {name} ORDER BY 1, 2, 3) v"));
        scene::read_elsewhere(view, &lines.unwrap())
    }
}

#[test]
fn views_are_the_same_for_a_role_that_may_read_only_them() {
    block_on(async {
        let mut shop = Shop::with(scene::TABLES).await;
        scene::set(&shop.topics).await;
        let topics = shop.topics.clone();
        let reader = Reader::of(&mut shop).await;
        for view in TopicView::ALL {
            let rows = topics.store().view_rows(view).await.unwrap();
            let expected = scene::expected(view, ["public.\"Returns\"", "public.orders"]);
            assert_eq!(scene::without_times(view, &rows), expected, "{}", view.name());
            assert_eq!(reader.rows(view), rows, "{}", view.name());
        }
        for table in ["topics", "table_sources", "consumer_cursors", "topic_records"] {
            let refused = reader.psql(&format!("SELECT * FROM messagekit.{table}")).unwrap_err();
            assert!(refused.contains("permission denied"), "{refused}");
        }
    });
}

#[test]
fn routes_say_what_becomes_of_failing_rows() {
    block_on(async {
        let mut shop = Shop::with(scene::TABLES).await;
        // The events of such a topic go to a broker.
        let source = shop.topics.source("orders").on(messagekit::log::Change::Insert);
        source.on_failure(OnSourceFailure::SetAside).add("shop.elsewhere").await.unwrap();
        let row = json!(["shop.elsewhere", "public.orders", "insert", "full", null, null, "set-aside"]);
        let topics = shop.topics.clone();
        let rows = topics.store().view_rows(TopicView::Routes).await.unwrap();
        assert_eq!(json!(rows), json!([row]));
        assert_eq!(Reader::of(&mut shop).await.rows(TopicView::Routes), rows);
    });
}
