//! The native part of two Python packages. `messagekit_rs` has topics and pipelines of one file, with records as JSON text, and their
//! records in the order of their time, as Arrow; `messagekit_rs_kafka` has records of Kafka in that order, with librdkafka and OpenSSL, which
//! are as large as all the rest.
//!
//! Models, exceptions and generators are Python's own, in `python/messagekit_rs`.

#[cfg(not(any(feature = "file", feature = "kafka")))]
compile_error!("a wheel has the feature `file` or `kafka`");

mod calls;
mod errors;
mod replay;
#[cfg(feature = "file")]
mod topics;

use pyo3::prelude::*;

/// What a package does not do in Python itself.
#[pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use crate::errors::NativeError;
    #[pymodule_export]
    use crate::replay::Replay;
    #[cfg(feature = "file")]
    #[pymodule_export]
    use crate::replay::is_time_zone;
    #[cfg(feature = "file")]
    #[pymodule_export]
    use crate::replay::message_schema;
    #[cfg(feature = "file")]
    #[pymodule_export]
    use crate::replay::partition_state_schema;
    #[cfg(feature = "file")]
    #[pymodule_export]
    use crate::topics::Arm;
    #[cfg(feature = "file")]
    #[pymodule_export]
    use crate::topics::Records;
    #[cfg(feature = "file")]
    #[pymodule_export]
    use crate::topics::Source;
    #[cfg(feature = "file")]
    #[pymodule_export]
    use crate::topics::Topic;
}
