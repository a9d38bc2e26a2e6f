//! Names of tables, columns and schemas stay names, whatever they hold and whatever the writer's session has set.

use messagekit::log::{OnSourceFailure, RowPayload};
use messagekit_testkit::block_on;
use messagekit_tests::HOSTILE_NAMES;
use serde_json::json;

use super::sources::{Shop, TOPIC};

/// A function that a careless quotation calls, with the rights of the trigger's owner, and a table that it drops.
const CANARY: &str = "CREATE TABLE public.canary (stolen text);
    CREATE FUNCTION public.attack() RETURNS text LANGUAGE sql AS
      $$ INSERT INTO public.canary VALUES (current_user) RETURNING stolen $$";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn stolen(shop: &mut Shop) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM public.canary").fetch_one(&mut shop.connection).await.unwrap()
}

#[test]
fn hostile_names_are_names_in_every_session() {
    block_on(async {
        let mut shop = Shop::with(CANARY).await;
        for (number, name) in HOSTILE_NAMES.iter().enumerate() {
            let (schema, column) = (quoted(&format!("{name}{number}")), quoted(name));
            let table = format!("{schema}.{column}");
            let create = format!(
                "CREATE SCHEMA {schema}; CREATE TABLE {table} ({column} int PRIMARY KEY, other text)"
            );
            shop.run(&create).await;
            for (payload, on_failure) in
                [(RowPayload::Key, OnSourceFailure::Fail), (RowPayload::Diff, OnSourceFailure::SetAside)]
            {
                let source =
                    shop.topics.source(table.as_str()).payload(payload).on_failure(on_failure).replace();
                source.add(TOPIC).await.unwrap_or_else(|error| panic!("{name:?}: {error}"));
                // A session keeps a function as it first read it.
                for setting in ["off", "on"] {
                    shop.run(&format!("SET standard_conforming_strings = {setting}")).await;
                    shop.run(&format!(
                        "INSERT INTO {table} VALUES (1, 'a'); UPDATE {table} SET other = 'b'; DELETE FROM {table}"
                    ))
                    .await;
                    let kinds: Vec<_> = shop
                        .events()
                        .await
                        .into_iter()
                        .map(|(kind, key, held)| (kind, key.unwrap(), held["row"][name].clone()))
                        .collect();
                    let expected = ["inserted", "updated", "deleted"]
                        .map(|kind| (kind.to_owned(), "1".to_owned(), json!(1)));
                    assert_eq!(kinds, expected, "{name:?}, {payload:?}, {setting}");
                    assert_eq!(stolen(&mut shop).await, 0, "{name:?} ran code, {payload:?}, {setting}");
                }
            }
            assert!(shop.topics.drop_source(TOPIC, &table).await.unwrap());
        }
    });
}

/// A row that is set aside is described by other statements than an event.
#[test]
fn hostile_names_are_names_where_a_row_is_set_aside() {
    block_on(async {
        let mut shop = Shop::with(CANARY).await;
        for (number, name) in HOSTILE_NAMES.iter().enumerate() {
            let (schema, column) = (quoted(&format!("{name}{number}")), quoted(name));
            let table = format!("{schema}.{column}");
            shop.run(&format!(
                "CREATE SCHEMA {schema}; CREATE TABLE {table} ({column} int PRIMARY KEY, other int)"
            ))
            .await;
            let source = shop.topics.source(table.as_str()).on_failure(OnSourceFailure::SetAside);
            source.filter("1 / other > 0").add(TOPIC).await.unwrap();
            shop.run(&format!(
                "SET standard_conforming_strings = off; INSERT INTO {table} VALUES (1, 0), (2, 1)"
            ))
            .await;
            assert_eq!(shop.events().await.len(), 1, "{name:?}");
            let kept = sqlx::query_scalar("DELETE FROM messagekit.failed_messages RETURNING payload");
            let kept: Vec<Vec<u8>> = kept.fetch_all(&mut shop.connection).await.unwrap();
            assert_eq!(kept.len(), 1, "{name:?}");
            let payload: serde_json::Value = serde_json::from_slice(&kept[0]).unwrap();
            assert_eq!(payload["row"][name], json!(1), "{name:?}");
            assert_eq!(stolen(&mut shop).await, 0, "{name:?} ran code");
        }
    });
}
