//! TLS: trusted and untrusted certificates.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::Publisher;
use messagekit::chain;
use messagekit_rabbitmq::RabbitMq;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::services;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::broker::{holds, message, queue};
use crate::hostile::{between_good_ones, hostile};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &tempfile::TempDir) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = folder.path().join(unique("ca"));
        std::fs::write(&file, certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// Listens with a certificate for a host and forwards every byte to the broker.
    async fn listener(&self, host: &str, expired: bool) -> SocketAddr {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = services::amqp_url();
        let broker = url.split_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, broker) = (acceptor.clone(), broker.clone());
                tokio::spawn(async move {
                    // A client that does not trust this certificate disconnects.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut broker = TcpStream::connect(broker).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut broker).await;
                });
            }
        });
        address
    }
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
        let port = authority.listener("localhost", false).await.port();
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
        let port = authority.listener("localhost", false).await.port();
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
        let port = authority.listener("localhost", false).await.port();
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
        let port = authority.listener("elsewhere.example", false).await.port();
        is_refused(&over_tls(port).ca_file(&authority.file).unwrap(), &["not valid for name"]).await;
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(&folder);
        let port = authority.listener("localhost", true).await.port();
        is_refused(&over_tls(port).ca_file(&authority.file).unwrap(), &["xpired"]).await;
    });
}
