//! What the server refuses ends a run at once, with an error that says why.

use std::io;

use messagekit_client::wire::Start;
use messagekit_client::{Client, Consumer, Error, ErrorKind, Message};

use super::shop::{GROUP, ORDERS, Order, Shop, end_of};

async fn never(_: Message) -> Result<(), io::Error> {
    unreachable!("nothing is claimed")
}

/// Returns the error with which a run ends by itself.
async fn refused(shop: &Shop, token: &str, topic: &str) -> Error {
    let consumer = Consumer::new(&shop.served.url(), token, topic, GROUP).unwrap();
    end_of(consumer.run(never, std::future::pending())).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_or_topic_ends_a_run_at_once() {
    let shop = Shop::with(1).await;
    let token = shop.served.token();
    for (token, topic, kind, code) in [
        (shop.served.viewer(), ORDERS, ErrorKind::Unauthorized, "FORBIDDEN"),
        ("mk_unknown", ORDERS, ErrorKind::Unauthorized, "UNAUTHORIZED"),
        (token, "shop.unknown", ErrorKind::NotFound, "NOT_FOUND"),
    ] {
        let error = refused(&shop, token, topic).await;
        assert_eq!((error.kind(), error.context("code")), (kind, Some(code)), "{error}");
        assert!(!error.is_transient() && !error.to_string().contains(token), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_not_there_is_refused_with_the_range() {
    let shop = Shop::with(3).await;
    let consumer = shop.consumer().start(Start::Offset(7));
    let error = end_of(consumer.run(never, std::future::pending())).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::OutOfRange, false));
    let [earliest, next] = ["earliest", "next"].map(|name| error.context(name));
    assert_eq!((earliest, next), (Some("0"), Some("3")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn single_requests_say_what_became_of_records() {
    let shop = Shop::with(2).await;
    let client = shop.client();
    let known = client.append(ORDERS, &Order { n: 1 }, true).await.unwrap();
    assert!(known.duplicate);
    let error = client.append(ORDERS, &Order { n: 1 }, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    assert_eq!(error.context("existing_id"), Some(&*known.id.to_string()));
    let ends = client.latest_offsets(ORDERS, &[0, 7]).await.unwrap();
    assert_eq!(ends.iter().map(|end| end.next_offset).collect::<Vec<_>>(), [2, 0]);
    let elsewhere = Client::new(&shop.served.url(), shop.served.token()).unwrap().database("a b&c");
    assert_eq!(elsewhere.latest_offsets(ORDERS, &[0]).await.unwrap_err().kind(), ErrorKind::NotFound);
    let wrong = client.append(ORDERS, &[1, 2], false).await.unwrap_err();
    assert!(!wrong.is_transient(), "{wrong}");
}
