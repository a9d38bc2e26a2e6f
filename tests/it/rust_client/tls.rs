//! Servers at `https://`, behind a proxy that speaks TLS.

use std::path::Path;
use std::time::Duration;

use messagekit::{ErrorKind, Shutdown, chain};
use messagekit_client::{Client, Consumer, Error, Message};
use messagekit_tests::Authority;
use serde_json::json;

use super::shop::{GROUP, ORDERS, Shop, end_of};

/// Returns the URL of a proxy with a certificate for a host.
async fn proxy(shop: &Shop, authority: &Authority, host: &str, expired: bool) -> String {
    let server = shop.served.url().trim_start_matches("http://").to_owned();
    format!("https://localhost:{}", authority.listener(host, expired, server).await.port())
}

async fn answer(client: Client) -> Result<(), Error> {
    client.append(ORDERS, &json!({"n": 7}), false).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_trusts_an_authority_of_a_file() {
    let (shop, folder) = (Shop::with(3).await, tempfile::tempdir().unwrap());
    let authority = Authority::new(&folder);
    let url = proxy(&shop, &authority, "localhost", false).await;
    let consumer = Consumer::new(&url, shop.served.token(), ORDERS, GROUP).unwrap();
    let consumer = consumer.ca_file(&authority.file).unwrap().wait(Duration::from_secs(1));
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let handle = move |message: Message| {
        if message.offset() == 2 {
            stop.request();
        }
        std::future::ready(Ok::<(), Error>(()))
    };
    end_of(consumer.run(handle, shutdown)).await.unwrap();
    assert_eq!(shop.lag(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_named() {
    let (shop, folder) = (Shop::with(0).await, tempfile::tempdir().unwrap());
    let (authority, other) = (Authority::new(&folder), Authority::new(&folder));
    let good = proxy(&shop, &authority, "localhost", false).await;
    let elsewhere = proxy(&shop, &authority, "elsewhere.example", false).await;
    let expired = proxy(&shop, &authority, "localhost", true).await;
    let cases: [(&str, Option<&Path>, &[&str]); 4] = [
        (&good, None, &["UnknownIssuer"]),
        (&good, Some(&other.file), &["UnknownIssuer", "BadSignature"]),
        (&elsewhere, Some(&authority.file), &["not valid for name"]),
        (&expired, Some(&authority.file), &["xpired"]),
    ];
    for (url, file, said) in cases {
        let client = Client::new(url, shop.served.token()).unwrap();
        let client = if let Some(file) = file { client.ca_file(file).unwrap() } else { client };
        let error = answer(client).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", chain(&error));
        assert!(said.iter().any(|text| chain(&error).contains(text)), "{}", chain(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_an_authority_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    let secure = || Client::new("https://localhost", "t").unwrap();
    for (client, file) in [
        (secure(), empty.clone()),
        (secure(), folder.path().join("missing.pem")),
        (Client::new("http://localhost", "t").unwrap(), empty),
    ] {
        let Err(error) = client.ca_file(&file) else { panic!("{} is refused", file.display()) };
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{error}");
    }
}
