"""Appends events to a SQLite table with one commit per event: what a careful program without this project does.

Usage: python3 append.py DATABASE EVENTS wal|delete
Prints one JSON object: {"events": N, "seconds": S, "journal": "wal"}.
"""

import json
import sqlite3
import sys
import time
import uuid


def main() -> None:
    path, events, journal = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, event_type TEXT NOT NULL,"
        " key TEXT, created_at INTEGER NOT NULL, payload BLOB NOT NULL)"
    )
    payload = b"x" * 1024
    started = time.perf_counter()
    for number in range(events):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO events (event_id, event_type, key, created_at, payload) VALUES (?, ?, ?, ?, ?)",
            (str(uuid.uuid4()), "bench.event.made", f"key-{number % 1000}", time.time_ns() // 1000, payload),
        )
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    stored = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    if stored != events:
        sys.exit(f"stored {stored} of {events} events")
    print(json.dumps({"events": events, "seconds": seconds, "journal": journal}))


if __name__ == "__main__":
    main()
