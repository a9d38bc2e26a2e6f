"""`python examples/16_arrow_into_polars.py`: what sales have brought, at the prices of their time, from two topics as Arrow in Polars.

Needs `pip install polars`, and the program `messagekit` on the path (`cargo install --path crates/messagekit-cli`). It makes a SQLite file in
a temporary folder.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import polars as pl

PRICE = pl.Struct({"item": pl.String, "pence": pl.Int64})
SALE = pl.Struct({"item": pl.String, "pieces": pl.Int64})

# In the order in which it happened: each sale counts at the price that its item had then.
HAPPENED = [
    ("prices", {"item": "teapot", "pence": 1000}),
    ("prices", {"item": "clock", "pence": 4000}),
    ("sales", {"item": "teapot", "pieces": 2}),
    ("prices", {"item": "teapot", "pence": 1500}),
    ("sales", {"item": "clock", "pieces": 1}),
    ("sales", {"item": "teapot", "pieces": 1}),
    ("prices", {"item": "clock", "pence": 3500}),
]


def messagekit(*arguments: str) -> None:
    subprocess.run(["messagekit", *arguments], check=True, capture_output=True)


def shop(url: str) -> None:
    for topic in ("prices", "sales"):
        messagekit("topics", "create", topic, "--database", url)
    for topic, record in HAPPENED:
        messagekit("topics", "append", topic, json.dumps(record), "--database", url)


def in_order(url: str, *topics: str) -> pl.DataFrame:
    """Read all of the past of several topics, in the order of their time, through a pipe."""
    sources = [argument for topic in topics for argument in ("--source", f"{topic}:earliest")]
    command = ["messagekit", "replay", "read", *sources, "--database", url, "--format", "arrow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reading:
        records = pl.read_ipc_stream(reading.stdout)
    # A record that is late for its partition has its own time, and counts at the time of its place.
    records = records.with_columns(pl.col("timestamp").cum_max())
    if reading.returncode != 0:
        raise RuntimeError(f"messagekit ended with {reading.returncode}: what it wrote is not all")
    return records


def of(records: pl.DataFrame, topic: str, value: pl.Struct) -> pl.DataFrame:
    """The records of a topic, with a column for each field of their JSON."""
    decoded = pl.col("value").cast(pl.String).str.json_decode(value).alias("value")
    return records.filter(pl.col("topic") == topic).select("timestamp", decoded).unnest("value")


def main(folder: Path) -> None:
    url = f"sqlite:{folder / 'shop.db'}"
    shop(url)
    records = in_order(url, "prices", "sales")
    prices, sales = of(records, "prices", PRICE), of(records, "sales", SALE)

    # An as-of join needs both sides in the order of their time, and they are: nothing is sorted here.
    sold = sales.join_asof(prices, on="timestamp", by="item", check_sortedness=False)
    for item, pieces, pence in sold.select("item", "pieces", "pence").iter_rows():
        print(f"{pieces} x {item:<6} at {pence} pence")
    print("revenue:", sold.select(pl.col("pieces").dot("pence")).item(), "pence")

    latest = prices.group_by("item").last()
    wrong = sales.join(latest, on="item").select(pl.col("pieces").dot("pence")).item()
    print("at the latest prices it would be:", wrong, "pence")

    # The stream itself has the same answer: the last price in front of a sale is the one that counts.
    either = pl.col("value").cast(pl.String).str.json_decode(pl.Struct({**PRICE.to_schema(), "pieces": pl.Int64}))
    stream = records.select(either).unnest("value").with_columns(pl.col("pence").forward_fill().over("item"))
    print("in one pass:", stream.select((pl.col("pieces") * pl.col("pence")).sum()).item(), "pence")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
