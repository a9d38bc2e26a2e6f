//! Records as JSON: any language's, checked against the schema of the file.

use futures_util::TryStreamExt;
use messagekit::ErrorKind;
use messagekit_topics::{Error, Topic, Topics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::home::{self, Db};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Item {
    #[schemars(length(max = 20))]
    url: String,
    score: f64,
    #[serde(default)]
    tags: Vec<String>,
}

async fn items(topics: &Topics<Db>) -> Topic<Item, Db> {
    topics.topic("rss.items").dedup(["url"]).key("url").open().await.unwrap()
}

async fn all(topic: &Topic<Value, Db>) -> Vec<Value> {
    topic.iter_all().map_ok(|record| record.data).try_collect().await.unwrap()
}

#[tokio::test]
async fn json_of_a_typed_topic_is_checked_against_its_schema() {
    let topics = home::topics().await;
    let items = items(&topics).await;
    assert_eq!(items.append_json(r#"{"url": "u", "score": 1}"#).await.unwrap(), 1);
    let refused = async |json: &str| items.append_json(json).await.unwrap_err();
    let field = |error: &Error| error.context("field").map(ToOwned::to_owned);
    for (json, wanted) in [
        (r#"{"url": "secret-value", "score": "high"}"#, "/score"),
        (r#"{"url": "v", "score": 1, "tags": [1]}"#, "/tags/0"),
        (r#"{"score": 1}"#, "/"),
        (r#"{"url": "longer than the schema allows", "score": 1}"#, "/url"),
        ("[1]", "/"),
    ] {
        let error = refused(json).await;
        assert_eq!(
            (error.kind(), field(&error).as_deref()),
            (ErrorKind::InvalidEvent, Some(wanted)),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(error.context("topic"), Some("rss.items"));
    }
    for json in ["", "{", "{\"url\": NaN}", "{} {}", "{\"url\": \"\u{1}\"}"] {
        let error = refused(json).await;
        assert_eq!((error.kind(), error.context("at").is_some()), (ErrorKind::InvalidEvent, true), "{error}");
    }
    let duplicate = refused(r#"{"score": 2, "url": "u"}"#).await;
    assert_eq!(duplicate.duplicate().unwrap().existing, 1);
    assert_eq!(items.count().await.unwrap().all, 1);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Counted {
    n: i64,
    small: Option<u8>,
}

/// One record that the type cannot read would end the reading of all behind it.
#[tokio::test]
async fn json_of_a_typed_topic_is_what_the_type_reads() {
    let topics = home::topics().await;
    let counted: Topic<Counted, Db> = topics.topic("rss.counted").dedup(["n"]).open().await.unwrap();
    for json in [
        r#"{"n": 1.0}"#,
        r#"{"n": -0.0}"#,
        r#"{"n": 1e300}"#,
        r#"{"n": 18446744073709551615}"#,
        r#"{"n": 99999999999999999999}"#,
        r#"{"n": 1, "small": 256}"#,
        r#"{"n": 1, "small": -1}"#,
        r#"{"n": 1, "small": 1.0}"#,
    ] {
        let error = counted.append_json(json).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidEvent, "{json}: {error}");
    }
    for json in [r#"{"n": 1}"#, r#"{"n": -9223372036854775808, "small": 255}"#, r#"{"n": 2, "small": null}"#]
    {
        counted.append_json(json).await.unwrap();
    }
    let read: Vec<i64> = counted.iter_new().map_ok(|record| record.data.n).try_collect().await.unwrap();
    assert_eq!(read, [1, i64::MIN, 2]);
}

#[tokio::test]
async fn a_topic_that_is_opened_without_a_type_keeps_its_rules() {
    let topics = home::topics().await;
    items(&topics).await;
    let any = topics.untyped("rss.items").open().await.unwrap();
    any.append(&json!({"url": "u", "score": 1.5})).await.unwrap();
    let again = any.append(&json!({"url": "u", "score": 2})).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Duplicate);
    let unfit = any.append(&json!({"url": "v"})).await.unwrap_err();
    assert_eq!(unfit.kind(), ErrorKind::InvalidEvent);
    assert_eq!(all(&any).await, [json!({"url": "u", "score": 1.5})]);
    let other = topics.untyped("rss.items").dedup(["score"]).open().await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn a_topic_without_a_schema_takes_any_object() {
    let topics = home::topics().await;
    let any = topics.untyped("rss.any").open().await.unwrap();
    any.append_json(r#"{"a": [null, {"b": 1e400}]}"#).await.unwrap_err();
    any.append_json(r#"{"a": [null, {"b": 1e30}], "big": 18446744073709551615}"#).await.unwrap();
    assert_eq!(any.append_json("[]").await.unwrap_err().kind(), ErrorKind::InvalidEvent);
    assert_eq!(all(&any).await, [json!({"a": [null, {"b": 1e30}], "big": u64::MAX})]);
}

#[tokio::test]
async fn an_object_with_a_key_twice_is_refused() {
    let topics = home::topics().await;
    let any = topics.untyped("rss.any").dedup(["a"]).open().await.unwrap();
    for (json, at) in [
        (r#"{"a":1,"a":2}"#, "byte 7"),
        (r#"{"a":1,"a":1}"#, "byte 7"),
        (r#" {"secret":{"b":1},"l":[{"b":1,"\u0062":2}]}"#, "byte 30"),
    ] {
        let error = any.append_json(json).await.unwrap_err();
        assert_eq!((error.kind(), error.context("at")), (ErrorKind::InvalidEvent, Some(at)), "{error}");
        assert!(error.to_string().contains("key twice") && !error.to_string().contains("secret"), "{error}");
    }
    any.append_json(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).await.unwrap();
    assert_eq!(any.count().await.unwrap().all, 1);
}

#[tokio::test]
async fn a_byte_order_mark_is_refused_by_its_name() {
    let topics = home::topics().await;
    let any = topics.untyped("rss.any").open().await.unwrap();
    let error = any.append_json("\u{feff}{\"a\":1}").await.unwrap_err();
    assert_eq!((error.kind(), error.context("at")), (ErrorKind::InvalidEvent, Some("byte 0")), "{error}");
    assert!(error.to_string().contains("byte order mark"), "{error}");
    any.append_json("{\"a\":\"\u{feff}\"}").await.unwrap();
}

#[tokio::test]
async fn a_described_topic_has_the_schema_of_an_equal_type() {
    let topics = home::topics().await;
    let schema = json!({"type": "object", "required": ["url", "score"], "properties": {
        "url": {"type": "string", "title": "Url"}, "score": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []}}});
    let described = topics.described("rss.items", schema).dedup(["url"]).key("url").open().await.unwrap();
    described.append(&json!({"url": "u", "score": 1, "tags": []})).await.unwrap();
    let items = items(&topics).await;
    let found: Vec<_> = items.iter_new().map_ok(|record| record.data).try_collect().await.unwrap();
    assert_eq!(found, [Item { url: "u".into(), score: 1.0, tags: Vec::new() }]);
    let narrower = json!({"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}});
    let refused = topics.described("rss.items", narrower).dedup(["url"]).key("url").open().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn programs_agree_on_the_key_of_a_topic() {
    let topics = home::topics().await;
    items(&topics).await;
    let refused = topics.topic::<Item>("rss.items").dedup(["url"]).open().await.unwrap_err();
    assert_eq!(refused.schema_mismatch().unwrap().key, Some((Some("url".to_owned()), None)));
    assert!(refused.to_string().contains("different key: url there and none here"), "{refused}");
}

#[tokio::test]
async fn records_of_a_typed_topic_can_be_read_as_json() {
    let topics = home::topics().await;
    let items = items(&topics).await;
    let item = Item { url: "u".into(), score: 0.5, tags: vec!["a".into()] };
    items.append(&item).await.unwrap();
    let as_json = items.named("summaries").as_json();
    assert_eq!(all(&as_json).await, [json!({"url": "u", "score": 0.5, "tags": ["a"]})]);
    as_json.set_handled(1).await.unwrap();
    assert_eq!((items.count().await.unwrap().new, as_json.count().await.unwrap().new), (1, 0));
}
