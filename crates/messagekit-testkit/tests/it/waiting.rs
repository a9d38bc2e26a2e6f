//! `eventually`.

use std::time::Duration;

use messagekit_testkit::{eventually, unique};

#[tokio::test(start_paused = true)]
async fn it_ends_as_soon_as_the_condition_holds() {
    let mut asked = 0;
    let third = async || {
        asked += 1;
        asked == 3
    };
    eventually("three", Duration::from_secs(5), third).await;
    assert_eq!(asked, 3);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "not within 5s: the moon is blue")]
async fn it_names_what_did_not_happen() {
    eventually("the moon is blue", Duration::from_secs(5), async || false).await;
}

#[test]
fn unique_names_are_topics_and_differ() {
    let (a, b) = (unique("topic"), unique("topic"));
    assert_ne!(a, b);
    messagekit::adapter::check_topic(&a).unwrap();
}
