//! Both suites over the in-memory adapters.

use messagekit_testkit::fixtures::{MemoryStoreFixture, MemoryTransport};

mod transport {
    messagekit_testkit::transport_cases!(super::MemoryTransport::new());
}

mod store {
    messagekit_testkit::store_cases!(super::MemoryStoreFixture::new());
}
