//! What a database knows of its topics without the program that runs its pipelines.

use messagekit_topics::Strategy;
use serde_json::{Value, json};

use super::home;
use super::lineage::{open, run};

#[tokio::test]
async fn the_graph_of_a_database_is_what_its_records_tell() {
    let topics = home::topics().await;
    let (a, b, c) = (open(&topics, "a").await, open(&topics, "b").await, open(&topics, "c").await);
    open(&topics, "lone.end").await;
    a.extend(&[json!({"n": 1}), json!({"n": 2}), json!({"n": 3})]).await.unwrap();
    let fails = async |number: Value| {
        if number["n"] == 2 { Err("no two") } else { Ok(number) }
    };
    let pipeline = a.pipe(fails).to(&b);
    pipeline.strategy(Strategy::BestEffort).run().await.unwrap_err();
    run(&b.named("sums"), &c).await;
    let graph = topics.plot().await.unwrap();
    assert_eq!(
        graph,
        [
            "graph TD",
            r#"    a["a<br/>default: new 1, failed 1, handled 2, dead 0"] --> b["b<br/>sums: new 0, failed 0, handled 2, dead 0"]"#,
            r#"    b --> c["c<br/>default: new 2, failed 0, handled 0, dead 0"]"#,
            r#"    lone.end["lone.end<br/>default: new 0, failed 0, handled 0, dead 0"]"#,
        ]
        .join("\n")
    );
}

#[tokio::test]
async fn the_first_and_the_last_record_tell_their_times() {
    let topics = home::topics().await;
    let (a, b) = (open(&topics, "a").await, open(&topics, "b").await);
    assert_eq!(topics.ends("a").await.unwrap(), None);
    for n in 0..30 {
        a.append(&json!({ "n": n })).await.unwrap();
        b.append(&json!({ "n": n })).await.unwrap();
    }
    let ends = topics.ends("a").await.unwrap().unwrap();
    let (first, last) = (a.get(1).await.unwrap(), a.get(59).await.unwrap());
    assert_eq!(
        (Some(ends.first), Some(ends.last)),
        (first.map(|r| r.created_at), last.map(|r| r.created_at))
    );
    assert_eq!(topics.ends("nothing").await.unwrap_err().kind(), messagekit::ErrorKind::NotFound);
}
