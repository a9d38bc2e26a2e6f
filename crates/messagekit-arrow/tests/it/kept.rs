//! An output that keeps what is written.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use messagekit_arrow::{BatchWriter, Format, Reader, RecordBatch};

#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what batches are in a form.
pub(crate) fn written(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
    let kept = Kept::default();
    let mut writer = BatchWriter::new(format, batches[0].schema_ref(), kept.clone()).unwrap();
    for batch in batches {
        assert_eq!(writer.write(batch).unwrap(), Reader::Reads);
    }
    assert_eq!(writer.finish().unwrap(), Reader::Reads);
    kept.bytes()
}
