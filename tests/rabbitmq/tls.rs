//! TLS: trusted and untrusted certificates.

use std::time::Duration;

use messagekit::adapter::Publisher;
use messagekit::chain;
use messagekit_rabbitmq::RabbitMq;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::{Authority, services};

use crate::broker::{holds, message, queue};
use crate::hostile::{between_good_ones, hostile};

async fn listener(authority: &Authority, host: &str, expired: bool) -> u16 {
    let url = services::amqp_url();
    let broker = url.split_once('@').unwrap().1.split('/').next().unwrap();
    authority.listener(host, expired, broker.to_owned()).await.port()
}

fn over_tls(port: u16) -> RabbitMq {
    let url = services::amqp_url();
    let (_, rest) = url.split_once("://").unwrap();
    let (login, rest) = rest.split_once('@').unwrap();
    let vhost = rest.split_once('/').map_or("", |(_, vhost)| vhost);
    let rabbit = RabbitMq::new(&format!("amqps://{login}@localhost:{port}/{vhost}")).unwrap();
    rabbit.confirm_deadline(Duration::from_secs(3))
}

/// Publishes until the refusal contains one of these texts: on a busy machine the deadline may come first.
async fn is_refused(rabbit: &RabbitMq, says: &[&str]) {
    let said = async || {
        let error = rabbit.publisher().publish(&[message("q", None, "m")]).await.remove(0);
        let said = chain(&error.expect_err("the connection is refused"));
        says.iter().any(|text| said.contains(text))
    };
    eventually(&format!("the refusal says one of {says:?}"), DEADLINE, said).await;
}

#[test]
fn an_authority_of_our_own_is_trusted() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(&folder);
        let port = listener(&authority, "localhost", false).await;
        let queue = queue().await;
        let rabbit =
            over_tls(port).confirm_deadline(Duration::from_secs(30)).ca_file(&authority.file).unwrap();
        rabbit.publisher().publish(&[message(&queue, None, "m")]).await.remove(0).unwrap();
        holds(&queue, 1).await;
    });
}

#[test]
fn over_tls_too_what_cannot_be_read_is_set_aside() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(&folder);
        let port = listener(&authority, "localhost", false).await;
        let rabbit = over_tls(port).allow_lossy_queues().ca_file(&authority.file).unwrap();
        let (_, properties) = hostile("bad").remove(0);
        assert_eq!(&*between_good_ones(&rabbit, &properties).await.kind, "unreadable");
    });
}

#[test]
fn an_unknown_authority_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (authority, other) = (Authority::new(&folder), Authority::new(&folder));
        let port = listener(&authority, "localhost", false).await;
        for rabbit in [over_tls(port), over_tls(port).ca_file(&other.file).unwrap()] {
            is_refused(&rabbit, &["UnknownIssuer", "BadSignature"]).await;
        }
    });
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(&folder);
        let port = listener(&authority, "elsewhere.example", false).await;
        is_refused(&over_tls(port).ca_file(&authority.file).unwrap(), &["not valid for name"]).await;
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(&folder);
        let port = listener(&authority, "localhost", true).await;
        is_refused(&over_tls(port).ca_file(&authority.file).unwrap(), &["xpired"]).await;
    });
}
