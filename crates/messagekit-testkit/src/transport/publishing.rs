//! The promise of a publisher's `Ok`.

use std::collections::BTreeSet;

use messagekit::Message;
use messagekit::adapter::PublishErrorKind;

use super::{Receiver, TransportFixture, message, publish, text};
use crate::unique;

/// A publisher that disappears right after its `Ok` loses nothing. Neither does a backend that restarts, if its messages
/// are persistent.
pub async fn publish_returns_only_when_durable<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    for number in 0..5 {
        let batch = [message(&topic, Some("k"), &format!("m{number}"))];
        let publisher = fixture.publisher();
        let results = publisher.publish(&batch).await;
        drop(publisher);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    if fixture.capabilities().persistent {
        fixture.reopen().await;
    }
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let received = receiver.take_distinct(5).await;
    receiver.settle(fixture, received).await;
}

/// Results are in input order, one for each message. An empty batch has none.
pub async fn answers_one_result_per_message<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let publisher = fixture.publisher();
    assert_eq!(publisher.publish(&[]).await.len(), 0);
    let mut batch: Vec<Message> =
        (0..20).map(|number| message(&topic, None, &format!("m{number}"))).collect();
    batch[13].payload = vec![b'x'; publisher.max_bytes() + 1].into();
    let results = publisher.publish(&batch).await;
    assert_eq!(results.len(), batch.len());
    let refused: Vec<usize> = (0..20).filter(|index| results[*index].is_err()).collect();
    assert_eq!(refused, [13], "{results:?}");
    let error = results[13].as_ref().expect_err("it is too large");
    assert_eq!(error.refusal, PublishErrorKind::Rejected, "a payload over the limit is never taken");
}

/// After a refusal nothing of the same key is published in that batch. Other keys are published.
pub async fn oks_of_a_key_are_a_prefix<F: TransportFixture>(fixture: &mut F) {
    let topic = fixture.topic().await;
    let publisher = fixture.publisher();
    let mut batch: Vec<Message> =
        (0..12).map(|number| message(&topic, Some(["a", "b"][number % 2]), &format!("m{number}"))).collect();
    batch[4].payload = vec![b'x'; publisher.max_bytes() + 1].into();
    let results = publisher.publish(&batch).await;
    let taken: BTreeSet<String> =
        (0..12).filter(|index| results[*index].is_ok()).map(|index| format!("m{index}")).collect();
    let expected: BTreeSet<String> = [0, 2, 1, 3, 5, 7, 9, 11].map(|number| format!("m{number}")).into();
    assert_eq!(taken, expected, "{results:?}");
    for behind in [6, 8, 10] {
        let error = results[behind].as_ref().expect_err("it is behind a refused message of its key");
        assert_eq!(error.refusal, PublishErrorKind::KeyBlocked, "m{behind}");
    }
    let ends = [message(&topic, Some("a"), "end-a"), message(&topic, Some("b"), "end-b")];
    publish(fixture, &ends).await;
    let mut receiver = Receiver::bind(fixture, &[topic], &unique("consumer")).await;
    let received = receiver.take_distinct(expected.len() + 2).await;
    let came: BTreeSet<String> = received.iter().map(text).filter(|text| !text.starts_with("end")).collect();
    assert_eq!(came, expected, "what was not Ok was published");
    receiver.settle(fixture, received).await;
}
