//! The native part of the Python package `messagekit_rs`: topics and pipelines of one file, with records as JSON text, and records of any
//! log in the order of their time, as Arrow.
//!
//! Models, exceptions and generators are Python's own, in `python/messagekit_rs`.

mod calls;
mod errors;
mod function;
mod pipeline;
mod records;
mod replay;
mod retention;
mod schema;
mod source;
mod topic;

use pyo3::prelude::*;

/// Topics and pipelines in one SQLite file, with records as JSON text, and records in the order of their time.
#[pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use crate::errors::NativeError;
    #[pymodule_export]
    use crate::pipeline::Arm;
    #[pymodule_export]
    use crate::records::Records;
    #[pymodule_export]
    use crate::replay::Replay;
    #[pymodule_export]
    use crate::replay::is_time_zone;
    #[pymodule_export]
    use crate::replay::message_schema;
    #[pymodule_export]
    use crate::replay::partition_state_schema;
    #[pymodule_export]
    use crate::source::Source;
    #[pymodule_export]
    use crate::topic::Topic;
}
