//! Functions of Python.

use messagekit_topics::{Error, parse_json};
use pyo3::prelude::*;
use serde_json::value::RawValue;

/// What a function of Python has answered.
pub(crate) enum Answer {
    Outputs(Vec<Box<RawValue>>),
    Failed(String),
    Stopped(String),
}

/// Calls a function of Python for a record, on this thread.
pub(crate) fn call(function: &Py<PyAny>, id: i64, data: &RawValue) -> Answer {
    let text = data.get();
    let answered = Python::attach(|py| {
        function.call1(py, (id, text)).and_then(|answer| answer.extract::<(String, Vec<String>)>(py))
    });
    match answered {
        Err(error) => Answer::Stopped(error.to_string()),
        Ok((word, texts)) => match &*word {
            "outputs" => match texts.iter().map(|text| parse_json(text)).collect() {
                Ok(outputs) => Answer::Outputs(outputs),
                Err(error) => Answer::Failed(Error::to_string(&error)),
            },
            "failed" => Answer::Failed(texts.concat()),
            _ => Answer::Stopped(texts.concat()),
        },
    }
}
