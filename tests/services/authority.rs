//! A certificate authority of a test, and listeners with its certificates.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use messagekit_testkit::unique;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Signs certificates. Its own is in a PEM file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The file.
    pub file: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority with its file in a folder.
    ///
    /// # Panics
    /// Panics if the file cannot be written.
    pub fn new(folder: &tempfile::TempDir) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is no wrong one");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = params.self_signed(&key).expect("a key signs itself");
        let file = folder.path().join(unique("ca"));
        std::fs::write(&file, certificate.pem()).expect("the folder is there");
        Self { issuer: Issuer::new(params, key), file }
    }

    /// Listens with a certificate for a host, and forwards every byte to an address.
    ///
    /// # Panics
    /// Panics if it cannot listen.
    pub async fn listener(&self, host: &str, expired: bool, target: String) -> SocketAddr {
        let acceptor = TlsAcceptor::from(Arc::new(self.server(host, expired)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, target) = (acceptor.clone(), target.clone());
                tokio::spawn(async move {
                    // A client that does not trust this certificate disconnects.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(target).await.expect("the server is there");
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        address
    }

    fn server(&self, host: &str, expired: bool) -> ServerConfig {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("it is a name of a host");
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority signs");
        let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .expect("the key belongs to the certificate")
    }
}
