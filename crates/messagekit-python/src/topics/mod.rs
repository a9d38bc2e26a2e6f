//! Topics and pipelines in one SQLite file, with records as JSON text.

mod errors;
mod function;
mod pipeline;
mod records;
mod retention;
mod schema;
mod source;
mod topic;

use messagekit_topics::Error;
use pyo3::prelude::*;

pub(crate) use self::pipeline::Arm;
pub(crate) use self::records::Records;
pub(crate) use self::source::Source;
pub(crate) use self::topic::Topic;
use crate::calls::answer;

/// Awaits a call on the file, as [`answer`] does.
fn wait<T: Send>(py: Python<'_>, call: impl Future<Output = Result<T, Error>> + Send) -> PyResult<T> {
    answer(py, call)?.map_err(errors::to_python)
}
