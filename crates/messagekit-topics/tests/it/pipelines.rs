//! Pipelines between topics, as a program sees them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use messagekit::ErrorKind;
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_topics::{Error, Pipeline, RecordCounts, Strategy, Topic, Topics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::home::{self, Db};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Number {
    n: i64,
}

type Numbers = Topic<Number, Db>;

struct Shop {
    topics: Topics<Db>,
    a: Numbers,
    b: Numbers,
    c: Numbers,
}

impl Shop {
    /// Opens three topics, the first with these numbers.
    async fn with(numbers: impl IntoIterator<Item = i64>) -> Self {
        let topics = home::topics().await;
        let open = async |name: &str| topics.topic::<Number>(name.to_owned()).open().await.unwrap();
        let (a, b, c) = (open("a").await, open("b").await, open("c").await);
        a.extend(&numbers.into_iter().map(|n| Number { n }).collect::<Vec<_>>()).await.unwrap();
        Self { topics, a, b, c }
    }

    fn full(&self, pipelines: impl IntoIterator<Item = Pipeline<Db>>) -> Pipeline<Db> {
        self.topics.full_pipeline(pipelines).unwrap()
    }
}

async fn all(topic: &Numbers) -> Vec<i64> {
    topic.iter_all().map_ok(|record| record.data.n).try_collect().await.unwrap()
}

async fn new(topic: &Numbers) -> Vec<i64> {
    topic.iter_new().map_ok(|record| record.data.n).try_collect().await.unwrap()
}

async fn counts(topic: &Numbers) -> (u64, u64, u64) {
    let RecordCounts { new, handled, dead, .. } = topic.count().await.unwrap();
    (new, handled, dead)
}

fn double(from: &Numbers, to: &Numbers) -> Pipeline<Db> {
    from.pipe(async |number: Number| Ok::<_, Error>(Number { n: number.n * 2 })).to(to)
}

/// Fails on one number as often as the counter says, and counts its calls.
#[derive(Clone)]
struct Flaky {
    on: i64,
    left: Arc<AtomicU32>,
    calls: Arc<Mutex<Vec<i64>>>,
}

impl Flaky {
    fn new(on: i64, times: u32) -> Self {
        Self { on, left: Arc::new(times.into()), calls: Arc::default() }
    }

    fn call(&self, number: Number) -> Result<Number, String> {
        self.calls.lock().unwrap().push(number.n);
        let fails = number.n == self.on
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(format!("no {}", self.on)) } else { Ok(number) }
    }

    fn calls(&self) -> Vec<i64> {
        self.calls.lock().unwrap().drain(..).collect()
    }

    fn pipe(&self, from: &Numbers, to: &Numbers) -> Pipeline<Db> {
        let own = self.clone();
        from.pipe(move |number| {
            let own = own.clone();
            async move { own.call(number) }
        })
        .to(to)
    }
}

#[tokio::test]
async fn a_run_handles_what_is_new_and_a_second_run_does_nothing() {
    let shop = Shop::with(1..=3).await;
    let run = double(&shop.a, &shop.b).run().await.unwrap();
    assert_eq!((run.offered, run.handled, run.appended), (3, 3, 3));
    assert_eq!((all(&shop.b).await, counts(&shop.a).await), (vec![2, 4, 6], (0, 3, 0)));
    let again = double(&shop.a, &shop.b).run().await.unwrap();
    assert_eq!((again.offered, all(&shop.b).await.len()), (0, 3));
}

#[tokio::test]
async fn an_arm_may_make_none_or_many_outputs() {
    let shop = Shop::with(1..=4).await;
    let even =
        shop.a.filter_map(async |number: Number| Ok::<_, Error>((number.n % 2 == 0).then_some(number)));
    even.to(&shop.b).run().await.unwrap();
    assert_eq!((all(&shop.b).await, counts(&shop.a).await), (vec![2, 4], (0, 4, 0)));
    let times = async |number: Number| Ok::<_, Error>(vec![number.clone(); number.n as usize]);
    shop.b.flat_map(times).to(&shop.c).run().await.unwrap();
    assert_eq!(all(&shop.c).await, [2, 2, 4, 4, 4, 4]);
}

#[tokio::test]
async fn a_function_without_a_target_handles_its_records() {
    let shop = Shop::with(1..=2).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = seen.clone();
    let pipe = shop.a.pipe(move |number: Number| {
        sees.lock().unwrap().push(number.n);
        async { Ok::<_, Error>(()) }
    });
    pipe.to_nothing().run().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
    assert_eq!(counts(&shop.a).await, (0, 2, 0));
}

#[tokio::test]
async fn a_failed_record_stays_new_and_ends_the_run() {
    let shop = Shop::with(1..=3).await;
    let flaky = Flaky::new(2, 1);
    let failed = flaky.pipe(&shop.a, &shop.b).run().await.unwrap_err();
    let [failure] = failed.failures() else { panic!("one failure: {failed}") };
    assert_eq!((failure.record, &*failure.source, failure.target.as_deref()), (2, "a", Some("b")));
    assert_eq!(failure.error.to_string(), "no 2");
    assert_eq!((all(&shop.b).await, new(&shop.a).await), (vec![1], vec![2, 3]));
    assert_eq!(flaky.calls(), [1, 2]);
    flaky.pipe(&shop.a, &shop.b).run().await.unwrap();
    assert_eq!((all(&shop.b).await, counts(&shop.a).await), (vec![1, 2, 3], (0, 3, 0)));
    assert_eq!(flaky.calls(), [2, 3], "what was handled is not called again");
}

#[tokio::test]
async fn a_record_that_fails_too_often_is_dead_and_passed_over() {
    let shop = Shop::with(1..=3).await;
    let flaky = Flaky::new(1, u32::MAX);
    let pipeline = || flaky.pipe(&shop.a, &shop.b).attempts(3);
    for wanted in [(3, 0, 0), (3, 0, 0), (2, 0, 1)] {
        assert_eq!(pipeline().run().await.unwrap_err().failures().len(), 1);
        assert_eq!(counts(&shop.a).await, wanted);
    }
    pipeline().run().await.unwrap();
    assert_eq!((all(&shop.b).await, counts(&shop.a).await), (vec![2, 3], (0, 2, 1)));
}

#[tokio::test]
async fn a_panic_is_a_failure_of_its_record() {
    let shop = Shop::with(1..=2).await;
    let pipeline = shop
        .a
        .pipe(async |number: Number| {
            assert!(number.n != 2, "cannot go on");
            Ok::<_, Error>(number)
        })
        .to(&shop.b);
    let failed = pipeline.run().await.unwrap_err();
    assert!(failed.failures()[0].to_string().contains("function panicked: cannot go on"), "{failed:?}");
    assert_eq!((all(&shop.b).await, new(&shop.a).await), (vec![1], vec![2]));
}

#[tokio::test]
async fn an_outage_costs_no_attempt() {
    let shop = Shop::with(1..=2).await;
    let down = Arc::new(AtomicU32::new(5));
    let pipeline = || {
        let down = down.clone();
        let call = move |number: Number| {
            let is_down =
                down.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            async move {
                match is_down {
                    true => Err(messagekit::Error::new(ErrorKind::Unavailable, "model does not answer")),
                    false => Ok(number),
                }
            }
        };
        shop.a.pipe(call).to(&shop.b).attempts(1)
    };
    for _ in 0..5 {
        let outage = pipeline().run().await.unwrap_err();
        assert_eq!((outage.kind(), outage.failures().len()), (ErrorKind::Unavailable, 0), "{outage}");
    }
    pipeline().run().await.unwrap();
    assert_eq!((all(&shop.b).await, counts(&shop.a).await), (vec![1, 2], (0, 2, 0)));
}

#[tokio::test]
async fn a_dry_run_moves_nothing() {
    let shop = Shop::with(1..=3).await;
    let flaky = Flaky::new(2, 1);
    let failed = flaky.pipe(&shop.a, &shop.b).dry_run().await.unwrap_err();
    assert_eq!(failed.failures().len(), 1);
    let run = flaky.pipe(&shop.a, &shop.b).dry_run().await.unwrap();
    assert_eq!((run.offered, run.appended, run.handled), (3, 3, 0));
    assert_eq!((all(&shop.b).await.len(), counts(&shop.a).await), (0, (3, 0, 0)));
}

#[tokio::test]
async fn a_graph_runs_from_its_sources_to_its_ends() {
    let shop = Shop::with(1..=3).await;
    let full = shop.full([double(&shop.b, &shop.c), double(&shop.a, &shop.b)]);
    let run = full.run().await.unwrap();
    assert_eq!((run.offered, run.appended), (6, 6));
    assert_eq!((all(&shop.b).await, all(&shop.c).await), (vec![2, 4, 6], vec![4, 8, 12]));
    assert_eq!(full.plot(), "graph TD\n    b --> c\n    a --> b");
    let counted = full.plot_with_counts().await.unwrap();
    assert_eq!(
        counted,
        "graph TD\n    b[\"b<br/>new 0, handled 3, dead 0\"] --> c[\"c<br/>new 3, handled 0, dead 0\"]\n    \
         a[\"a<br/>new 0, handled 3, dead 0\"] --> b"
    );
}

#[tokio::test]
async fn a_circle_is_refused_when_it_is_built() {
    let shop = Shop::with([]).await;
    let circle = [double(&shop.a, &shop.b), double(&shop.b, &shop.c), double(&shop.c, &shop.a)];
    let refused = shop.topics.full_pipeline(circle).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.context("topics")),
        (ErrorKind::InvalidConfiguration, Some("a, b, c"))
    );
    let own = double(&shop.a, &shop.a).run().await.unwrap_err();
    assert_eq!(own.kind(), ErrorKind::InvalidConfiguration);
}

#[tokio::test]
async fn topics_of_two_files_make_no_pipeline() {
    let (shop, other) = (Shop::with(1..=2).await, Shop::with([]).await);
    let refused = double(&shop.a, &other.b).run().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
    let foreign = other.topics.full_pipeline([double(&shop.a, &shop.b)]).unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::InvalidConfiguration);
    assert_eq!((counts(&shop.a).await, all(&other.b).await.len()), ((2, 0, 0), 0));
}

#[tokio::test]
async fn strict_arms_of_a_record_are_kept_together() {
    let shop = Shop::with(1..=3).await;
    let flaky = Flaky::new(2, 1);
    let full = shop.full([double(&shop.a, &shop.b), flaky.pipe(&shop.a, &shop.c)]);
    full.run().await.unwrap_err();
    assert_eq!((all(&shop.b).await, all(&shop.c).await, new(&shop.a).await), (vec![2], vec![1], vec![2, 3]));
    full.run().await.unwrap();
    assert_eq!((all(&shop.b).await, all(&shop.c).await), (vec![2, 4, 6], vec![1, 2, 3]));
}

#[tokio::test]
async fn best_effort_keeps_the_arms_that_succeed() {
    let shop = Shop::with(1..=3).await;
    let (sound, flaky) = (Flaky::new(0, 0), Flaky::new(2, 2));
    let full = shop
        .full([sound.pipe(&shop.a, &shop.b), flaky.pipe(&shop.a, &shop.c)])
        .strategy(Strategy::BestEffort);
    for _ in 0..2 {
        let failed = full.run().await.unwrap_err();
        assert_eq!(failed.failures().len(), 1);
        assert_eq!((all(&shop.b).await, all(&shop.c).await), (vec![1, 2, 3], vec![1, 3]));
        assert_eq!((new(&shop.a).await, counts(&shop.a).await), (vec![2], (1, 2, 0)));
    }
    full.run().await.unwrap();
    assert_eq!((all(&shop.b).await, all(&shop.c).await), (vec![1, 2, 3], vec![1, 3, 2]));
    assert_eq!((sound.calls(), flaky.calls()), (vec![1, 2, 3], vec![1, 2, 3, 2, 2]));
    assert_eq!(counts(&shop.a).await, (0, 3, 0));
}

#[tokio::test]
async fn a_strict_run_also_calls_only_the_arms_that_failed() {
    let shop = Shop::with(1..=2).await;
    let (sound, flaky) = (Flaky::new(0, 0), Flaky::new(1, 1));
    let arms = || shop.full([sound.pipe(&shop.a, &shop.b), flaky.pipe(&shop.a, &shop.c)]);
    arms().strategy(Strategy::BestEffort).run().await.unwrap_err();
    arms().run().await.unwrap();
    assert_eq!((sound.calls(), flaky.calls()), (vec![1, 2], vec![1, 2, 1]));
    assert_eq!((all(&shop.b).await, all(&shop.c).await), (vec![1, 2], vec![2, 1]));
}

async fn unique_target(shop: &Shop) -> Numbers {
    let target = shop.topics.topic::<Number>("unique").dedup(["n"]).open().await.unwrap();
    target.append(&Number { n: 2 }).await.unwrap();
    target
}

#[tokio::test]
async fn a_duplicate_in_the_target_fails_a_strict_run() {
    let shop = Shop::with(1..=3).await;
    let target = unique_target(&shop).await;
    let same = || shop.a.pipe(async |number: Number| Ok::<_, Error>(number)).to(&target);
    let failed = same().run().await.unwrap_err();
    let duplicate = failed.failures()[0].error.downcast_ref::<Error>().unwrap().clone();
    assert_eq!((failed.failures()[0].record, duplicate.duplicate().unwrap().existing), (2, 4));
    assert_eq!((all(&target).await, new(&shop.a).await), (vec![2, 1], vec![2, 3]));
}

#[tokio::test]
async fn a_duplicate_in_the_target_is_success_in_best_effort() {
    let shop = Shop::with(1..=3).await;
    let target = unique_target(&shop).await;
    let same = shop.a.pipe(async |number: Number| Ok::<_, Error>(number)).to(&target);
    same.strategy(Strategy::BestEffort).run().await.unwrap();
    assert_eq!((all(&target).await, counts(&shop.a).await), (vec![2, 1, 3], (0, 3, 0)));
}

#[tokio::test]
async fn a_batch_that_is_atomic_is_kept_whole_or_not() {
    let shop = Shop::with(1..=7).await;
    let flaky = Flaky::new(5, 1);
    let pipeline = || flaky.pipe(&shop.a, &shop.b).atomic_batch(3);
    pipeline().run().await.unwrap_err();
    assert_eq!((all(&shop.b).await, new(&shop.a).await), (vec![1, 2, 3], vec![4, 5, 6, 7]));
    pipeline().run().await.unwrap();
    assert_eq!((all(&shop.b).await, counts(&shop.a).await), ((1..=7).collect(), (0, 7, 0)));
    let loose = pipeline().strategy(Strategy::BestEffort).run().await.unwrap_err();
    assert_eq!(loose.kind(), ErrorKind::InvalidConfiguration);
}

#[tokio::test]
async fn a_duplicate_undoes_its_atomic_batch() {
    let shop = Shop::with(1..=4).await;
    let target = unique_target(&shop).await;
    let same = shop.a.pipe(async |number: Number| Ok::<_, Error>(number)).to(&target);
    let failed = same.atomic_batch(4).run().await.unwrap_err();
    assert_eq!(failed.failures()[0].record, 2);
    assert_eq!((all(&target).await, new(&shop.a).await), (vec![2], vec![1, 2, 3, 4]));
}

#[tokio::test]
async fn named_consumers_read_the_same_records_apart() {
    let shop = Shop::with(1..=2).await;
    let other = shop.a.named("other");
    let full = shop.full([double(&shop.a, &shop.b), double(&other, &shop.c)]);
    full.run().await.unwrap();
    assert_eq!((all(&shop.b).await, all(&shop.c).await), (vec![2, 4], vec![2, 4]));
    assert_eq!((counts(&shop.a).await, counts(&other).await), ((0, 2, 0), (0, 2, 0)));
}

#[tokio::test]
async fn what_others_append_meanwhile_belongs_to_the_next_run() {
    let shop = Shop::with(1..=2).await;
    let grows = shop.a.clone();
    let pipeline = shop.a.pipe(move |number: Number| {
        let grows = grows.clone();
        async move {
            grows.append(&Number { n: number.n + 10 }).await?;
            Ok::<_, Error>(number)
        }
    });
    let pipeline = pipeline.to(&shop.b);
    assert_eq!(pipeline.run().await.unwrap().offered, 2);
    assert_eq!(new(&shop.a).await, [11, 12]);
}

#[tokio::test]
async fn an_acknowledged_record_is_not_offered() {
    let shop = Shop::with(1..=3).await;
    shop.a.set_handled(2).await.unwrap();
    double(&shop.a, &shop.b).run().await.unwrap();
    assert_eq!(all(&shop.b).await, [2, 6]);
}

#[tokio::test]
async fn two_runs_at_once_call_each_record_once() {
    let shop = Shop::with(1..=200).await;
    let flaky = Flaky::new(0, 0);
    let (first, second) = (flaky.pipe(&shop.a, &shop.b), flaky.pipe(&shop.a, &shop.b));
    let (first, second) = tokio::join!(first.run(), second.run());
    assert_eq!(first.unwrap().handled + second.unwrap().handled, 200);
    assert_eq!(flaky.calls().len(), 200);
    assert_eq!(all(&shop.b).await.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

#[tokio::test]
async fn a_dropped_run_leaves_records_whole() {
    let shop = Shop::with(1..=50).await;
    let hangs = |number: Number| async move {
        if number.n == 30 {
            std::future::pending::<()>().await;
        }
        Ok::<_, Error>(number)
    };
    let pipeline = shop.a.pipe(hangs).to(&shop.b);
    tokio::select! {
        ended = pipeline.run() => panic!("a function hangs: {ended:?}"),
        () = eventually("what waits is committed", DEADLINE, async || all(&shop.b).await.len() == 29) => {}
    }
    drop(pipeline);
    assert_eq!(new(&shop.a).await, (30..=50).collect::<Vec<_>>());
    shop.a.pipe(async |number: Number| Ok::<_, Error>(number)).to(&shop.b).run().await.unwrap();
    assert_eq!(all(&shop.b).await, (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn serving_goes_on_after_failures_and_with_new_records() {
    let shop = Shop::with(1..=3).await;
    let pipeline = Flaky::new(2, 2).pipe(&shop.a, &shop.b);
    let serving = tokio::spawn(async move { pipeline.serve().await });
    eventually("the failure is cured", DEADLINE, async || all(&shop.b).await == [1, 2, 3]).await;
    shop.a.append(&Number { n: 4 }).await.unwrap();
    eventually("the new record went on", DEADLINE, async || all(&shop.b).await == [1, 2, 3, 4]).await;
    home::close(&shop.topics).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), serving).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Closed);
}

/// Does one thing to all failed messages of the shop, as an operator.
async fn act(shop: &Shop, action: messagekit::operations::Action) {
    use messagekit::operations::{FailedMessageFilter, FailedMessages, Operator};
    let store = shop.topics.store();
    let ids = store.ids(&FailedMessageFilter::default(), 10).await.unwrap();
    let results = store.act(action, &ids, &Operator::new("ada", "test")).await.unwrap();
    assert_eq!((ids.len(), results.len()), (1, 1));
}

#[tokio::test]
async fn a_failed_record_is_listed_from_its_first_failure() {
    use messagekit::operations::{FailedMessageFilter, FailedMessages};
    let shop = Shop::with(1..=2).await;
    Flaky::new(2, 1).pipe(&shop.a, &shop.b).run().await.unwrap_err();
    let store = shop.topics.store();
    let listed = store.list(&FailedMessageFilter::default(), 10).await.unwrap();
    let [head] = &*listed else { panic!("one is listed: {listed:?}") };
    assert_eq!((&*head.consumer, &*head.topic, head.attempts), ("default", "a", 1));
    let shown = store.show(head.id).await.unwrap();
    assert!(shown.head.error.contains("a record 2 into b: no 2"), "{}", shown.head.error);
    assert_eq!(&shown.received.message.payload[..], br#"{"n":2}"#);
}

#[tokio::test]
async fn a_discarded_record_is_not_offered_again() {
    use messagekit::operations::Action;
    let shop = Shop::with(1..=3).await;
    let flaky = Flaky::new(1, u32::MAX);
    flaky.pipe(&shop.a, &shop.b).run().await.unwrap_err();
    act(&shop, Action::Discard).await;
    flaky.pipe(&shop.a, &shop.b).run().await.unwrap();
    assert_eq!((all(&shop.b).await, counts(&shop.a).await), (vec![2, 3], (0, 2, 1)));
}

#[tokio::test]
async fn a_dead_record_that_an_operator_retries_runs_once_more() {
    use messagekit::operations::Action;
    let shop = Shop::with(1..=2).await;
    let flaky = Flaky::new(1, 2);
    let pipeline = || flaky.pipe(&shop.a, &shop.b).attempts(1);
    pipeline().run().await.unwrap_err();
    assert_eq!(counts(&shop.a).await, (1, 0, 1));
    act(&shop, Action::Retry).await;
    assert_eq!(counts(&shop.a).await, (2, 0, 0), "it is new again");
    pipeline().run().await.unwrap_err();
    assert_eq!(counts(&shop.a).await, (1, 0, 1), "the run that was asked for has failed");
    act(&shop, Action::Retry).await;
    pipeline().run().await.unwrap();
    assert_eq!((all(&shop.b).await, counts(&shop.a).await), (vec![1, 2], (0, 2, 0)));
    assert_eq!(flaky.calls(), [1, 1, 1, 2]);
}

#[tokio::test]
async fn a_record_may_have_many_outputs() {
    let shop = Shop::with(1..=5).await;
    let many =
        async |number: Number| Ok::<_, Error>((0..4_000).map(|n| Number { n: n * number.n }).collect());
    let run = shop.a.flat_map(many).to(&shop.b).run().await.unwrap();
    assert_eq!((run.handled, run.appended, shop.b.count().await.unwrap().all), (5, 20_000, 20_000));
}
