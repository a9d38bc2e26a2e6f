//! Arrow IPC and Parquet, and files that are whole or not there.

use std::fs;
use std::path::Path;

use arrow_ipc::reader::StreamReader;
use bytes::Bytes;
use messagekit::ErrorKind;
use messagekit_arrow::{
    BatchWriter, Columns, Format, MESSAGE_SCHEMA, RecordBatch, batch, partition_state_batch,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::kept::written;
use crate::records::{all, batch_of_kinds, record};

fn stream(bytes: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(bytes, None).unwrap().map(Result::unwrap).collect()
}

fn parquet(bytes: Vec<u8>) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_stream_of_arrow_gives_the_batches_back() {
    for columns in [Columns::default(), all()] {
        let batches = [batch_of_kinds(columns), batch_of_kinds(columns)];
        assert_eq!(stream(&written(Format::Arrow, &batches)), batches);
    }
    let states = partition_state_batch(&[]).unwrap();
    assert_eq!(stream(&written(Format::Arrow, std::slice::from_ref(&states))), [states]);
}

#[test]
fn parquet_gives_the_rows_and_the_schema_back() {
    for columns in [Columns::default(), all()] {
        let rows = batch_of_kinds(columns);
        assert_eq!(parquet(written(Format::Parquet, std::slice::from_ref(&rows))), [rows]);
    }
}

#[test]
fn a_large_parquet_file_has_several_row_groups() {
    // Not to be compressed, and no two alike.
    let mut random = 1_u64;
    let mut noise = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random ^ (random >> 29)).to_le_bytes()
    };
    let payload: Vec<u8> = (0..(1 << 20)).flat_map(|_| noise()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.parquet");
    let mut writer = BatchWriter::create(Format::Parquet, &MESSAGE_SCHEMA, &path).unwrap();
    for offset in 0..9_i64 {
        let mut payload = payload.clone();
        payload[..8].copy_from_slice(&offset.to_le_bytes());
        let record = record(offset, messagekit::Message::new("orders", payload));
        let _ = writer.write(&batch(&[record], Columns::default()).unwrap()).unwrap();
    }
    let _ = writer.finish().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    assert!(reader.metadata().num_row_groups() > 1, "72 MB are not held in memory");
    assert_eq!(reader.metadata().file_metadata().num_rows(), 9);
}

fn names(folder: &Path) -> Vec<String> {
    let name = |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
    fs::read_dir(folder).unwrap().map(name).collect()
}

#[test]
fn a_file_has_its_name_when_it_is_whole() {
    for format in Format::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders");
        let mut writer = BatchWriter::create(format, &MESSAGE_SCHEMA, &path).unwrap();
        let _ = writer.write(&batch_of_kinds(Columns::default())).unwrap();
        let [part] = &names(folder.path())[..] else { panic!("one file") };
        assert!(part.starts_with(".orders.") && part.ends_with(".part"), "{part}");
        let _ = writer.finish().unwrap();
        assert_eq!(names(folder.path()), ["orders"]);
        assert_eq!(fs::read(&path).unwrap(), written(format, &[batch_of_kinds(Columns::default())]));
    }
}

#[test]
fn a_file_that_was_not_finished_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.parquet");
    let mut writer = BatchWriter::create(Format::Parquet, &MESSAGE_SCHEMA, &path).unwrap();
    let _ = writer.write(&batch_of_kinds(Columns::default())).unwrap();
    drop(writer);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_file_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.csv");
    let create = || BatchWriter::create(Format::Csv, &MESSAGE_SCHEMA, &path);
    let late = create().unwrap();
    let _ = create().unwrap().finish().unwrap();
    let first = fs::read(&path).unwrap();
    for error in [create().unwrap_err(), late.finish().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::WrongState);
        assert!(error.to_string().contains("would replace a file"), "{error}");
    }
    assert_eq!((names(folder.path()), fs::read(&path).unwrap()), (vec!["orders.csv".to_owned()], first));
    let nowhere = BatchWriter::create(Format::Csv, &MESSAGE_SCHEMA, &folder.path().join("none/orders.csv"));
    assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::Unavailable);
}
