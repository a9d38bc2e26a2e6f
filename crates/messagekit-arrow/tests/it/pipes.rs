//! Outputs that take nothing more.

use std::io::{self, Write};

use messagekit::{ErrorKind, chain};
use messagekit_arrow::{BatchWriter, Columns, Format, MESSAGE_SCHEMA, Reader};

use crate::records::batch_of_kinds;

/// Takes some bytes, and then fails.
struct Short {
    left: usize,
    then: io::ErrorKind,
}

impl Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(self.then.into());
        }
        let taken = bytes.len().min(self.left);
        self.left -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes two batches, and returns the last answer.
fn write(format: Format, output: Short) -> Result<Reader, messagekit::Error> {
    let mut writer = BatchWriter::new(format, &MESSAGE_SCHEMA, output)?;
    for _ in 0..2 {
        if writer.write(&batch_of_kinds(Columns::default()))? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    writer.finish()
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    for format in Format::ALL {
        for left in [0, 1, 10, 200] {
            let reader = write(format, Short { left, then: io::ErrorKind::BrokenPipe });
            assert_eq!(reader.unwrap(), Reader::Gone, "{format} after {left} bytes");
        }
    }
}

#[test]
fn an_output_that_fails_is_one() {
    for format in Format::ALL {
        let error = write(format, Short { left: 10, then: io::ErrorKind::StorageFull }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{format}");
        let text = chain(&error);
        assert!(text.starts_with("rows cannot be written: "), "{text}");
    }
}
