"""`python examples/14_worker_over_http.py`: a worker in Python ships the orders of a shop, over HTTP, without its database.

Needs `pip install ./crates/messagekit-python`, and the program `messagekit` on the path (`cargo install --path crates/messagekit-cli`). It
makes a SQLite file and a server in a temporary folder, and ends both.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from messagekit_rs.client import Consumer, Message


def messagekit(*arguments: str) -> str:
    return subprocess.run(["messagekit", *arguments], check=True, capture_output=True, text=True).stdout


def shop(file: Path) -> None:
    """A table that knows nothing of messagekit, and a source: paid orders are events of the topic shop.orders."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, status TEXT NOT NULL)")
    url = f"sqlite:{file}"
    messagekit("migrate", "--database", url)
    messagekit("topics", "create", "shop.orders", "--database", url)
    paid = ("--on", "insert,update", "--filter", "NEW.status = 'paid'")
    messagekit("topics", "source", "add", "shop.orders", "orders", *paid, "--database", url)


def sells(file: Path) -> None:
    """What the shop does all day."""
    with closing(sqlite3.connect(file)) as database, database:
        database.executemany(
            "INSERT INTO orders (item, status) VALUES (?, ?)",
            [("teapot", "paid"), ("lantern", "new"), ("vase", "paid"), ("clock", "paid")],
        )
        database.execute("UPDATE orders SET status = 'paid' WHERE item = 'lantern'")


@contextmanager
def server(folder: Path, file: Path) -> Iterator[tuple[str, str]]:
    """Serve the topics of the shop, and yield the address and a token for workers."""
    made = json.loads(messagekit("admin", "token", "--name", "shipping", "--role", "service", "--json"))
    tokens = folder / "tokens"
    tokens.write_text(made["line"])
    command = ["messagekit", "admin", "--listen", "127.0.0.1:0", "--database", f"shop=sqlite:{file}", "--tokens", tokens]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().removeprefix("listening on ").strip(), made["token"]
        finally:
            process.terminate()


class Shipping:
    """The worker's own database. An event may come twice, and is shipped once: its id is the key of the shipment."""

    def __init__(self, file: Path):
        self._database = sqlite3.connect(file)
        self._database.execute("CREATE TABLE shipments (event_id TEXT PRIMARY KEY, item TEXT NOT NULL)")

    def ship(self, message: Message) -> None:
        item = message.data["row"]["item"]
        if item == "vase":
            raise RuntimeError("it is broken")
        with self._database:
            self._database.execute("INSERT OR IGNORE INTO shipments VALUES (?, ?)", (message.event_id, item))
        print(f"shipped {item}, of order {message.key} ({message.op.lower()})")

    def count(self) -> int:
        return self._database.execute("SELECT count(*) FROM shipments").fetchone()[0]

    def close(self) -> None:
        self._database.close()


def main(folder: Path) -> None:
    file = folder / "shop.db"
    shop(file)
    sells(file)
    with server(folder, file) as (url, token), closing(Shipping(folder / "shipping.db")) as shipping:
        settings = {
            "topic": "shop.orders",
            "group": "shipping",
            "backoff": (0.01, 0.1, 2.0),
            "on_retry": lambda message, error, attempt, pause: print(f"attempt {attempt} failed: {error}"),
            "on_failed": lambda message, error: print(f"order {message.key} is for a person to look at: {error}"),
        }
        # A worker of a service has no end: it would stop by a signal.
        with Consumer(url, token, **settings, stop=lambda: shipping.count() == 3) as consumer:
            handled = consumer.run(shipping.ship)
        print(f"{handled} events handled, {shipping.count()} shipments")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
