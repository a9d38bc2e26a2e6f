//! Records as Arrow: what an [`OrderedReader`](messagekit::log::OrderedReader) returns becomes a batch of columns, and batches become a
//! stream of Arrow IPC, a Parquet file, CSV or lines of JSON.
//!
//! ```
//! use messagekit::log::Record;
//! use messagekit::{Message, Position};
//! use messagekit_arrow::{BatchWriter, Columns, Format, batch};
//!
//! let position = Position { topic: "orders".into(), partition: 0, offset: 7 };
//! let message = Message::new("orders", r#"{"pence":1250}"#).with_key("o-1");
//! let record = Record { message, position, timestamp: None, is_tombstone: false };
//! let columns = Columns::default();
//! let batch = batch(&[record], columns)?;
//! assert_eq!((batch.num_rows(), batch.num_columns()), (1, 6));
//!
//! let folder = tempfile::tempdir().unwrap();
//! let file = folder.path().join("orders.parquet");
//! let mut writer = BatchWriter::create(Format::Parquet, &columns.schema(), &file)?;
//! writer.write(&batch)?;
//! assert!(!file.exists(), "a file that is not whole has no name yet");
//! writer.finish()?;
//! assert!(file.exists());
//! # Ok::<(), messagekit::Error>(())
//! ```

mod batch;
mod cells;
mod columns;
mod csv_rows;
mod format;
mod json_rows;
mod new_file;
mod partition_states;
mod sizes;
mod target;
mod time;
mod writer;

pub use arrow_array::RecordBatch;
pub use arrow_schema::{Schema, SchemaRef};
pub use batch::{batch, batches};
pub use columns::{Columns, MESSAGE_SCHEMA, PARTITION_STATE_SCHEMA};
pub use format::Format;
pub use new_file::NewFile;
pub use partition_states::partition_state_batch;
pub use target::Reader;
pub use writer::BatchWriter;
