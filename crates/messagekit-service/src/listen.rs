//! The port of a service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use messagekit::{Error, ErrorKind};
use messagekit_config::Section;
use tokio::net::TcpListener;

/// The address without a setting.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Where a service listens.
pub(crate) struct Listen {
    address: SocketAddr,
    /// What sets the address, for errors.
    setting: String,
}

impl Listen {
    /// Reads `listen` of the section of a service.
    pub(crate) fn of(section: &Section<'_>) -> Self {
        match section.optional("listen") {
            Some(address) => Self { address, setting: section.written_at("listen") },
            None => Self { address: USUAL, setting: section.variable("listen") },
        }
    }

    /// Opens the port, and returns the actual address too: port 0 takes any free port.
    pub(crate) async fn open(&self) -> Result<(TcpListener, SocketAddr), Error> {
        let refused = |error: std::io::Error| {
            let text =
                format!("cannot listen: end what has this address, or set another in {}", self.setting);
            Error::new(ErrorKind::Unavailable, text).with("address", self.address).caused_by(error)
        };
        let listener = TcpListener::bind(self.address).await.map_err(refused)?;
        let actual = listener.local_addr().map_err(refused)?;
        Ok((listener, actual))
    }
}
