//! Rows as CSV and as lines of JSON.

use std::sync::Arc;

use arrow_array::TimestampMillisecondArray;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messagekit_arrow::{BatchWriter, Columns, Format, MESSAGE_SCHEMA, RecordBatch};
use serde_json::{Value, json};

use crate::kept::{Kept, written};
use crate::records::{all, batch_of_kinds, kinds};

fn lines(columns: Columns) -> Vec<String> {
    let bytes = written(Format::Ndjson, &[batch_of_kinds(columns)]);
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_row_is_one_line_of_json() {
    let lines = lines(Columns::default());
    assert_eq!(
        lines[0],
        r#"{"key":"o-1","value":{"pence": 12345678901234567890.10, "to": "Zoë, \"north\""},"topic":"orders","partition":2,"offset":7,"timestamp":"2026-01-31T12:00:00.007Z"}"#,
        "no digit of a number is lost, and no line is broken"
    );
    let rows: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), &rows[1]["value"]), (4, &Value::Null));
    assert_eq!((&rows[2]["key_base64"], &rows[2]["value_base64"]), (&json!("/w=="), &json!("/gE=")));
    assert_eq!((rows[2].get("key"), rows[2].get("value")), (None, None));
    assert_eq!((&rows[3]["key"], &rows[3]["value_base64"]), (&Value::Null, &json!("")));
    assert_eq!(rows[3]["timestamp"], "1970-01-01T00:00:00Z");
}

#[test]
fn headers_are_a_list_in_json() {
    let lines = lines(all());
    let row: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        row["headers"],
        json!([{"name": "id", "value": "m-1"}, {"name": "tenant", "value_base64": "/wA="}])
    );
    assert_eq!(row["event_id"], "m-1");
    assert!(lines[1].ends_with(r#""headers":[],"event_id":null}"#), "{}", lines[1]);
}

#[test]
fn csv_gives_every_byte_back() {
    let bytes = written(Format::Csv, &[batch_of_kinds(all()), batch_of_kinds(all())]);
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let names = "key,key_encoding,value,value_encoding,topic,partition,offset,timestamp,headers,event_id";
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(","), names);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let cell = |text: &str, encoding: &str| match encoding {
        "" => None,
        "utf8" => Some(text.as_bytes().to_vec()),
        "base64" => Some(STANDARD.decode(text).unwrap()),
        _ => panic!("{encoding}"),
    };
    let twice = [kinds(), kinds()].concat();
    assert_eq!(rows.len(), twice.len());
    for (row, record) in rows.iter().zip(&twice) {
        assert_eq!(cell(&row[0], &row[1]), record.message.key.as_ref().map(|key| key.to_vec()));
        let value = (!record.is_tombstone).then(|| record.message.payload.to_vec());
        assert_eq!(cell(&row[2], &row[3]), value);
        let (topic, offset) = (&row[4], row[6].parse().unwrap());
        assert_eq!((topic, &row[5], record.position.offset), ("orders", "2", offset));
    }
    assert_eq!((&rows[0][7], &rows[1][9]), ("2026-01-31T12:00:00.007Z", ""));
    let headers: Value = serde_json::from_str(&rows[0][8]).unwrap();
    assert_eq!(headers[1], json!({"name": "tenant", "value_base64": "/wA="}));
}

#[test]
fn a_time_behind_the_calendar_is_in_every_form() {
    let batch = batch_of_kinds(Columns::default());
    let mut columns = batch.columns().to_vec();
    let times = TimestampMillisecondArray::from(vec![i64::MAX, i64::MIN, 253_402_300_800_000, 0]);
    columns[5] = Arc::new(times.with_timezone("UTC"));
    let batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let expected = [
        "+292278994-08-17T07:12:55.807Z",
        "-292275055-05-16T16:47:04.192Z",
        "+010000-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ];
    let lines = String::from_utf8(written(Format::Ndjson, std::slice::from_ref(&batch))).unwrap();
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(rows.map(|row| row["timestamp"].clone()).collect::<Vec<_>>(), expected);
    let csv = written(Format::Csv, &[batch]);
    let rows = csv::Reader::from_reader(&csv[..]).into_records().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(rows.iter().map(|row| &row[7]).collect::<Vec<_>>(), expected);
}

#[test]
fn csv_without_rows_has_its_names() {
    let kept = Kept::default();
    let _ = BatchWriter::new(Format::Csv, &MESSAGE_SCHEMA, kept.clone()).unwrap().finish().unwrap();
    let names = "key,key_encoding,value,value_encoding,topic,partition,offset,timestamp\n";
    assert_eq!(String::from_utf8(kept.bytes()).unwrap(), names);
}
