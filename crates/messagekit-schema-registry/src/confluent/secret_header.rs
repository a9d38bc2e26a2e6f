//! The header that gives the right to use a server, kept out of every log.
//!
//! The HTTP client logs the bytes of each request at level trace, whatever its headers are marked as. So it gets a stand-in of the same
//! length, and the value takes its place below it, on the way to the connection.

use std::fmt;
use std::sync::Arc;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// The value of the header `authorization`.
#[derive(Clone)]
pub(super) struct SecretHeader(Arc<str>);

impl SecretHeader {
    pub(super) fn new(value: String) -> Self {
        Self(value.into())
    }

    /// Returns what the client may see.
    pub(super) fn stand_in(&self) -> String {
        "*".repeat(self.0.len())
    }

    /// Puts the value into a request.
    fn reveal(&self, request: &mut [u8]) {
        let line = format!("authorization: {}\r\n", self.stand_in());
        if let Some(begin) = request.windows(line.len()).position(|found| found == line.as_bytes()) {
            let value = begin + line.len() - 2 - self.0.len();
            request[value..value + self.0.len()].copy_from_slice(self.0.as_bytes());
        }
    }
}

impl fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHeader")
    }
}

impl<In: Transport> Connector<In> for SecretHeader {
    type Out = Revealing<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Revealing<In>>, Error> {
        Ok(chained.map(|inner| Revealing { inner, header: self.clone() }))
    }
}

/// A connection whose requests get the value.
#[derive(Debug)]
pub(super) struct Revealing<In> {
    inner: In,
    header: SecretHeader,
}

impl<In: Transport> Transport for Revealing<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if let Some(request) = self.inner.buffers().output().get_mut(..amount) {
            self.header.reveal(request);
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
