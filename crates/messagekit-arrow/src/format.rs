//! The forms in which batches are written.

/// A form in which batches are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line of JSON for each row. Bytes are what they are as JSON or as text, else base64 under a name that ends in `_base64`.
    Ndjson,
    /// A line of names, then a line for each row. Bytes are text if they are UTF-8, else base64; a column of the same name with `_encoding`
    /// behind it says which.
    Csv,
    /// A stream of Arrow IPC, uncompressed.
    Arrow,
    /// A Parquet file, compressed with zstd. It can be read once it is finished.
    Parquet,
}

messagekit::adapter::words! {
    Format {
        Ndjson: "ndjson",
        Csv: "csv",
        Arrow: "arrow",
        Parquet: "parquet",
    }
}

impl Format {
    /// Returns whether it is nothing that a terminal can show.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}
