//! The suites over the in-memory adapters.

use messagekit_testkit::fixtures::{MemoryStoreFixture, MemoryTransport};

mod transport {
    messagekit_testkit::transport_cases!(super::MemoryTransport::new());
}

mod log {
    messagekit_testkit::log_cases!(super::MemoryStoreFixture::new());
}

mod store {
    messagekit_testkit::store_cases!(super::MemoryStoreFixture::new());
}
