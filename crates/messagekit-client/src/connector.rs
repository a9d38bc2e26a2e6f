//! Opens connections to a server, with TLS or without.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
#[cfg(feature = "tls")]
pub(crate) use tls::{Connector, connector};

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

#[cfg(not(feature = "tls"))]
pub(crate) type Connector = HttpConnector;

fn plain() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    connector
}

#[cfg(not(feature = "tls"))]
pub(crate) fn connector(_: &crate::address::Address) -> Result<Connector, messagekit::Error> {
    Ok(plain())
}

#[cfg(feature = "tls")]
mod tls {
    use std::path::Path;
    use std::sync::Arc;

    use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
    use hyper_util::client::legacy::connect::HttpConnector;
    use messagekit::{Error, ErrorKind};
    use rustls::crypto::ring;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, RootCertStore};

    use super::plain;
    use crate::address::Address;

    pub(crate) type Connector = HttpsConnector<HttpConnector>;

    /// Returns what opens connections to a server.
    ///
    /// # Errors
    /// As [`trusting`].
    pub(crate) fn connector(address: &Address) -> Result<Connector, Error> {
        // The system's certificates are read from files, which an address without TLS does not need.
        trusting(address.is_secure(), None)
    }

    /// Returns what trusts the authorities of the system, if `system`, and those of a PEM file.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a file that cannot be read or has no certificate.
    pub(crate) fn trusting(system: bool, file: Option<&Path>) -> Result<Connector, Error> {
        let mut roots = RootCertStore::empty();
        if system {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if let Some(path) = file {
            add(&mut roots, path)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(ErrorKind::Other, "tls cannot be set up").caused_by(error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut plain = plain();
        plain.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        Ok(connector.enable_http1().wrap_connector(plain))
    }

    fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
        let refused = |text: &'static str| {
            Error::new(ErrorKind::InvalidConfiguration, text).with("path", path.display())
        };
        let before = roots.len();
        let found = CertificateDer::pem_file_iter(path)
            .map_err(|error| refused("certificates cannot be read").caused_by(error))?;
        for certificate in found {
            let certificate =
                certificate.map_err(|error| refused("file is not in PEM form").caused_by(error))?;
            roots.add(certificate).map_err(|error| refused("certificate cannot be used").caused_by(error))?;
        }
        if roots.len() == before { Err(refused("file holds no certificate in PEM form")) } else { Ok(()) }
    }
}

#[cfg(feature = "tls")]
pub(crate) use tls::trusting;
