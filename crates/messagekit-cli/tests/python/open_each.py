"""Opens what `messagekit replay read` has written, with pyarrow, Polars and DuckDB, and compares the rows."""

import base64
import csv
import sys
from datetime import timezone
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

folder = Path(sys.argv[1])
arrow, parquet, table_of_text = (folder / f"all.{form}" for form in ("arrow", "parquet", "csv"))

SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("topic", pa.utf8(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.timestamp("ms", tz="UTC"), nullable=False),
    ]
)
HEADER = pa.struct([pa.field("name", pa.utf8(), nullable=False), pa.field("value", pa.binary(), nullable=False)])
WANTED = [
    (b"o-1", b'{"n":1}', "orders", 0, 0),
    (None, b'{"n":2}', "bills", 0, 0),
    (b"\xff", b"\xfe\x01", "orders", 0, 1),
]


def rows(of):
    return [tuple(row[:5]) for row in of]


def by_pyarrow():
    with pyarrow.ipc.open_stream(arrow) as stream:
        table = stream.read_all()
    assert table.schema.field("headers").type == pa.list_(pa.field("item", HEADER, nullable=False))
    assert table.schema.field("event_id").type == pa.utf8()
    assert pa.schema(list(table.schema)[:6]) == SCHEMA, table.schema
    again = pyarrow.parquet.read_table(parquet)
    assert again.schema == table.schema and again.equals(table)
    assert rows(zip(*table.to_pydict().values())) == WANTED
    assert table["headers"].to_pylist()[2][0] == {"name": "tenant", "value": b"\xff"}
    return table


def by_polars():
    for frame in (pl.read_ipc_stream(arrow), pl.read_parquet(parquet)):
        assert rows(frame.rows()) == WANTED
        assert frame.schema["timestamp"] == pl.Datetime("ms", "UTC"), frame.schema
        assert frame["timestamp"].is_sorted()
        assert frame["headers"].to_list()[2][0] == {"name": "tenant", "value": b"\xff"}
    frame = pl.read_csv(table_of_text)
    assert frame["value"].to_list()[:2] == ['{"n":1}', '{"n":2}']
    assert frame["topic"].to_list() == ["orders", "bills", "orders"]


def by_duckdb(table):
    database = duckdb.connect()
    database.register("from_arrow", table)
    columns = "key, value, topic, partition, \"offset\", epoch_ms(timestamp)"
    wanted = [epoch.replace(tzinfo=timezone.utc).timestamp() for epoch in table["timestamp"].to_pylist()]
    for source in ("from_arrow", f"'{parquet}'"):
        found = database.sql(f"SELECT {columns} FROM {source}").fetchall()
        assert rows(found) == WANTED, found
        assert [row[5] / 1000 for row in found] == wanted
        ((value,),) = database.sql(f"SELECT headers[1].value FROM {source} WHERE \"offset\" = 1").fetchall()
        assert value == b"\xff"
    found = database.sql(f"SELECT topic, timestamp FROM read_csv('{table_of_text}')")
    assert [str(of) for of in found.types][1].startswith("TIMESTAMP"), found.types
    assert [topic for topic, _ in found.fetchall()] == ["orders", "bills", "orders"]


def by_csv():
    decoded = {"": lambda _: None, "utf8": str.encode, "base64": base64.b64decode}
    with table_of_text.open(newline="") as file:
        found = [
            (decoded[row["key_encoding"]](row["key"]), decoded[row["value_encoding"]](row["value"]))
            for row in csv.DictReader(file)
        ]
    assert found == [row[:2] for row in WANTED], found


table = by_pyarrow()
by_polars()
by_duckdb(table)
by_csv()
print("pyarrow, Polars, DuckDB")
