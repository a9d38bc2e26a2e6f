"""Several processes and threads share a file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from conftest import Item, Short, item

from messagekit_rs.topics import Source

WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from conftest import Item, Short, item
from messagekit_rs.topics import Source

first, path = int(sys.argv[1]), sys.argv[2]
with Source(path) as source:
    items = source.topic("items", Item, dedup=("url",))
    for number in range(first, first + 100):
        items.append_if_new(item(number))
        items.append_if_new(item(0))
"""

FOLLOWER = """
import sys
sys.path.insert(0, sys.argv[3])
from conftest import Item
from messagekit_rs.topics import Source

wanted, path = int(sys.argv[1]), sys.argv[2]
with Source(path) as source:
    items = source.topic("items", Item, dedup=("url",)).named("follower")
    for record in items.follow(records=True):
        print(record.data.url, flush=True)
        record.ack()
        wanted -= 1
        if wanted == 0:
            break
"""


HOLDER = """
import sys
sys.path.insert(0, sys.argv[3])
from conftest import Item, Short
from messagekit_rs.topics import Source

def waits(value):
    print("holds", flush=True)
    sys.stdin.readline()

with Source(sys.argv[2]) as source:
    items = source.topic("items", Item, dedup=("url",))
    items.pipe(waits).to(source.topic("short", Short, dedup=None)).run()
"""


def started(script: str, number: int, path) -> subprocess.Popen:
    folder = str(__file__).rsplit("/", 1)[0]
    command = [sys.executable, "-c", script, str(number), str(path), folder]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_writers_and_a_follower_lose_and_double_nothing(path):
    source = Source(path)
    items = source.topic("items", Item, dedup=("url",))
    follower = started(FOLLOWER, 301, path)
    writers = [started(WRITER, 1 + 100 * writer, path) for writer in range(3)]
    for writer in writers:
        writer.communicate(timeout=300)
        assert writer.returncode == 0
    output, _ = follower.communicate(timeout=300)
    assert follower.returncode == 0
    wanted = sorted(item(number).url for number in range(301))
    assert sorted(output.split()) == wanted
    assert sorted(value.url for value in items.iter_new()) == wanted
    assert items.named("follower").count("handled") == 301


def test_threads_share_a_source(path):
    with Source(path) as source:
        items = source.topic("items", Item, dedup=("url",))

        def writes(first: int) -> None:
            for number in range(first, first + 50):
                items.append(item(number))

        threads = [threading.Thread(target=writes, args=(50 * writer,)) for writer in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert items.count() == 200


def test_other_threads_run_while_a_call_waits_for_a_lock(path):
    # Another process: the locks of two copies of SQLite in one process do not see each other.
    script = """
import sqlite3, sys
holder = sqlite3.connect(sys.argv[2], isolation_level=None)
holder.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
holder.execute("ROLLBACK")
"""
    with Source(path) as source:
        items = source.topic("items", Item, dedup=None)
        holder = started(script, 0, path)
        assert holder.stdout.readline() == "held\n"
        waits = threading.Thread(target=items.append, args=(item(1),))
        waits.start()
        # This thread goes on, and the lock ends only because it does.
        assert waits.is_alive()
        holder.communicate("\n", timeout=300)
        waits.join(timeout=300)
        assert not waits.is_alive() and items.count() == 1


def test_two_processes_run_a_pipeline_over_each_record_once(path):
    script = """
import sys
sys.path.insert(0, sys.argv[3])
from conftest import Item, Short
from messagekit_rs.topics import Source

with Source(sys.argv[2]) as source:
    items, short = source.topic("items", Item, dedup=None), source.topic("short", Short, dedup=None)
    for result in items.pipe(lambda value: print(value.url, flush=True) or Short(url=value.url)).to(short).run():
        pass
"""
    with Source(path) as source:
        items = source.topic("items", Item, dedup=None)
        items.extend(item(number) for number in range(500))
        runs = [started(script, 0, path) for _ in range(2)]
        calls = []
        for run in runs:
            output, _ = run.communicate(timeout=300)
            assert run.returncode == 0
            calls.extend(output.split())
        short = source.topic("short", Short, dedup=None)
        assert sorted(calls) == sorted(value.url for value in short.iter_new()) == sorted(item(n).url for n in range(500))


def test_a_run_that_waits_for_another_process_is_interrupted_and_ends_in_time(path):
    with Source(path) as source:
        items = source.topic("items", Item, dedup=("url",))
        items.append(item(1))
        pipeline = items.pipe(lambda value: None).to(source.topic("short", Short, dedup=None))
        holder = started(HOLDER, 0, path)
        assert holder.stdout.readline() == "holds\n"
        interrupt = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            pipeline.run()
        interrupt.join()
        with pytest.raises(sqlite3.OperationalError, match=f"process {holder.pid} runs the pipeline"):
            pipeline.run(timeout=0.1)
        with pytest.raises(ValueError, match="timeout"):
            pipeline.run(timeout=-1)
        assert holder.poll() is None, "it runs on"
        holder.communicate("\n", timeout=60)
        assert items.count("new") == 0
        assert pipeline.run(timeout=0.1) == []


def test_a_nested_run_of_another_file_waits_for_its_process(path, tmp_path):
    def pipeline(source, function):
        items = source.topic("items", Item, dedup=("url",))
        items.append(item(1))
        return items.pipe(function).to(source.topic("short", Short, dedup=None))

    with Source(path) as source, Source(tmp_path / "other.db") as other:
        inner = pipeline(other, lambda value: None)
        holder = started(HOLDER, 0, tmp_path / "other.db")
        assert holder.stdout.readline() == "holds\n"

        def nested(value):
            # Longer than a run waits before it looks whether it waits for itself.
            with pytest.raises(sqlite3.OperationalError, match=f"process {holder.pid} runs the pipeline"):
                inner.run(timeout=1.2)

        pipeline(source, nested).run()
        holder.communicate("\n", timeout=60)
