"""Records of a file in the order of their time, and what every reader shares."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import datetime, timezone

import polars
import pyarrow as pa
import pytest
from conftest import Item, item
from pydantic import BaseModel

from messagekit_rs import replay
from messagekit_rs.replay import ConsumerManager, ReplayError, SourceTopic, validate_source_topic
from messagekit_rs.topics import Source

MS = pa.timestamp("ms", tz="UTC")
MESSAGE = pa.schema(
    [
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("topic", pa.utf8(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", MS, nullable=False),
    ]
)
STATE = pa.schema(
    [
        pa.field("topic", pa.utf8(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        *(pa.field(f"replay_{end}_offset", pa.int64(), nullable=False) for end in ("start", "end")),
        *(pa.field(f"{step}_offset", pa.int64(), nullable=False) for step in ("consumed", "released")),
        pa.field("last_consumed_timestamp", MS),
        pa.field("is_live", pa.bool_(), nullable=False),
        pa.field("is_paused", pa.bool_(), nullable=False),
    ]
)
NEVER = 600_000


class Price(BaseModel):
    pence: int


@pytest.fixture
def file(path):
    """A file with 300 items in three partitions, and 100 prices between them."""
    with Source(path) as source:
        items = source.topic("shop.items", Item, dedup=["url"], key="url", partitions=3)
        prices = source.topic("shop.prices", Price, dedup=None)
        for number in range(100):
            items.extend([item(3 * number + one) for one in range(3)])
            prices.append(Price(pence=number))
    return path


def past(manager: ConsumerManager) -> list[dict]:
    """Return the past as rows."""
    rows = []
    while not manager.is_live():
        rows += manager.poll(60_000).to_pylist()
    return rows


def read(path, *topics, **settings) -> list[dict]:
    with ConsumerManager.from_file(path, topics, **settings) as manager:
        return past(manager)


def test_every_name_of_the_original_is_there():
    names = "ConsumerManager MESSAGE_SCHEMA PARTITION_STATE_SCHEMA SourceTopic __version__ get_message_schema"
    for name in f"{names} get_partition_state_schema validate_source_topic".split():
        assert name in replay.__all__ and getattr(replay, name) is not None
        assert name in dir(replay)
    with pytest.raises(AttributeError, match="no attribute 'Consumer'"):
        replay.Consumer  # noqa: B018
    from messagekit_rs.replay.schema import MESSAGE_SCHEMA, PARTITION_STATE_SCHEMA
    from messagekit_rs.replay.source_topic import SourceTopic as Same

    assert MESSAGE_SCHEMA is replay.MESSAGE_SCHEMA and PARTITION_STATE_SCHEMA is replay.PARTITION_STATE_SCHEMA
    assert Same is SourceTopic


def test_schemas_are_those_of_the_batches(file):
    assert MESSAGE.equals(replay.MESSAGE_SCHEMA) and MESSAGE.equals(replay.get_message_schema())
    assert STATE.equals(replay.PARTITION_STATE_SCHEMA) and STATE.equals(replay.get_partition_state_schema())
    with ConsumerManager.from_file(file, [SourceTopic.from_earliest("shop.items")]) as manager:
        assert MESSAGE.equals(manager.poll(60_000).schema) and STATE.equals(manager.partition_state().schema)


@pytest.mark.parametrize(
    "topic",
    [
        SourceTopic("a"),
        SourceTopic.from_latest("a"),
        SourceTopic.from_earliest("a"),
        SourceTopic.from_relative_time("a", 1_000),
        SourceTopic.from_absolute_time("a", 1_000),
        SourceTopic.from_offset("a", 7),
        SourceTopic.from_start_of_day("a", "Europe/Berlin"),
        SourceTopic.from_committed("a", "billing"),
        {"name": "a", "policy": "latest"},
        {"name": "a", "policy": "absolute_time", "time_ms": 0},
    ],
)
def test_topics_that_can_be_read_are_valid(topic):
    assert validate_source_topic(topic) is None


@pytest.mark.parametrize(
    ("topic", "exception", "text"),
    [
        ({"policy": "latest"}, KeyError, "name"),
        ({"name": "a"}, KeyError, "policy"),
        (SourceTopic("a", policy="newest"), ValueError, "unknown policy: 'newest'"),
        (SourceTopic("a", policy="relative_time"), ValueError, "requires 'time_ms'"),
        ({"name": "a", "policy": "absolute_time"}, ValueError, "requires 'time_ms'"),
        (SourceTopic("a", policy="committed"), ValueError, "requires 'consumer'"),
        (SourceTopic("a", policy="absolute_time", time_ms="soon"), TypeError, "must be an int, not str"),
        (SourceTopic("a", policy="latest", time_ms="soon"), TypeError, "must be an int, not str"),
        (SourceTopic("a", policy="offset", offset=True), TypeError, "must be an int, not bool"),
        (SourceTopic("a", policy="absolute_time", time_ms=2**70), OverflowError, "beyond 64 bits"),
        (SourceTopic("a", policy="start_of_day", timezone="Mars"), ValueError, "unknown time zone: 'Mars'"),
        (SourceTopic("a\ud800"), UnicodeEncodeError, "surrogates"),
        (SourceTopic(7), TypeError, "'name' of a topic must be a str"),
        ("a", AttributeError, "name"),
    ],
)
def test_what_is_no_topic_is_refused(topic, exception, text, file):
    with pytest.raises(exception, match=text):
        validate_source_topic(topic)
    with pytest.raises(exception, match=text):
        ConsumerManager.from_file(file, [topic])
    with pytest.raises(exception, match=text):
        ConsumerManager({"bootstrap.servers": "localhost:1"}, [topic])


@pytest.mark.parametrize(
    ("settings", "exception", "text"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": "many"}, TypeError, "'batch_size' must be an int"),
        ({"cutoff_ms": 1.5}, TypeError, "'cutoff_ms' must be an int"),
        ({"cutoff_ms": 1000}, ValueError, "write batch_size="),
        ({"topics": "shop.items"}, TypeError, "topics must be a list"),
        ({"topics": []}, RuntimeError, "has no topic"),
        ({"topics": [SourceTopic("shop.items"), SourceTopic("shop.items")]}, RuntimeError, "duplicate topic"),
        ({"topics": [SourceTopic("shop.nothing")]}, RuntimeError, "no such topic"),
        ({"topics": [SourceTopic.from_offset("shop.items", 101)]}, ReplayError, "no record at this offset"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, exception, text, file):
    with pytest.raises(exception, match=text):
        ConsumerManager.from_file(file, **({"topics": [SourceTopic("shop.items")]} | settings))


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(ReplayError, match="no such file") as refused:
        ConsumerManager.from_file(tmp_path / "none.db", [SourceTopic("a")])
    assert (refused.value.kind, refused.value.is_transient) == ("NotFound", False)
    assert not list(tmp_path.iterdir())


def test_a_file_of_others_is_refused_and_not_changed(tmp_path):
    path = tmp_path / "theirs.db"
    with contextlib.closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE notes (text)")
        theirs.commit()
    before = path.read_bytes()
    with pytest.raises(ReplayError, match="the file has no topics"):
        ConsumerManager.from_file(path, [SourceTopic("a")])
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["theirs.db"]


def test_errors_show_nothing_of_the_native_part(tmp_path):
    with pytest.raises(ReplayError) as refused:
        ConsumerManager.from_file(tmp_path / "none.db", [SourceTopic("a")])
    assert refused.value.__suppress_context__ and refused.value.__cause__ is None


def test_integers_of_other_libraries_are_integers(file):
    class Number:
        """As numpy and pandas have them."""

        def __init__(self, value):
            self.value = value

        def __index__(self):
            return self.value

    topic = SourceTopic.from_absolute_time("shop.prices", Number(0))
    assert len(read(file, topic, batch_size=Number(7), cutoff_ms=Number(2**62))) == 100


def test_records_come_in_the_order_of_their_time(file):
    topics = [SourceTopic.from_earliest("shop.items"), {"name": "shop.prices", "policy": "earliest"}]
    rows = read(file, *topics, batch_size=17)
    assert len(rows) == 400
    times = [row["timestamp"] for row in rows]
    assert times == sorted(times)
    for partition in range(3):
        one = [row["offset"] for row in rows if (row["topic"], row["partition"]) == ("shop.items", partition)]
        assert one == list(range(len(one))) and one
    assert sum(row["topic"] == "shop.prices" for row in rows[:200]) > 10, "topics come between each other"


def test_a_batch_is_no_larger_than_its_size(file):
    with ConsumerManager.from_file(file, [SourceTopic.from_earliest("shop.items")], None, 7) as manager:
        sizes = []
        while not manager.is_live():
            sizes.append(manager.poll(60_000).num_rows)
            assert manager.held_message_count() >= 0 and manager.paused_partition_count() <= 3
        assert max(sizes) == 7 and sum(sizes) == 300
        assert manager.get_priming_watermark() is None and manager.held_message_count() == 0
        counts = manager.counts()
        assert (counts["consumed"], counts["released"], counts["late"]) == (300, 300, 0)


def test_partitions_say_how_far_they_are(file):
    with ConsumerManager.from_file(file, [SourceTopic.from_earliest("shop.prices")], batch_size=60) as manager:
        last = manager.poll(60_000).to_pylist()[-1]
        (state,) = manager.partition_state().to_pylist()
        assert (state["replay_start_offset"], state["replay_end_offset"]) == (0, 100)
        assert state["released_offset"] == last["offset"] < 60 and not state["is_live"] and not manager.is_live()
        past(manager)
        assert [state["is_live"] for state in manager.partition_state().to_pylist()] == [True]


def test_each_policy_begins_where_it_says(file):
    everything = read(file, SourceTopic.from_earliest("shop.prices"))
    middle = everything[50]["timestamp"]
    ms = int(middle.timestamp() * 1000)
    later = [row["offset"] for row in everything if row["timestamp"] >= middle]

    def offsets(topic):
        return [row["offset"] for row in read(file, topic)]

    assert offsets(SourceTopic.from_absolute_time("shop.prices", ms)) == later
    assert offsets(SourceTopic.from_relative_time("shop.prices", 86_400_000)) == list(range(100))
    assert offsets(SourceTopic.from_relative_time("shop.prices", -86_400_000)) == []
    assert offsets(SourceTopic.from_offset("shop.prices", 98)) == [98, 99]
    assert offsets(SourceTopic.from_latest("shop.prices")) == []
    if datetime.now(timezone.utc).date() == everything[0]["timestamp"].date():
        assert len(offsets(SourceTopic.from_start_of_day("shop.prices", "UTC"))) == 100


def test_what_a_consumer_reads_next_is_a_beginning(file):
    with Source(file) as source:
        prices = source.topic("shop.prices", Price, dedup=None).named("billing")
        for record, _ in zip(prices.iter_new(records=True), range(40)):
            record.ack()
    rows = read(file, SourceTopic.from_committed("shop.prices", "billing"))
    assert [row["offset"] for row in rows] == list(range(40, 100))


def test_headers_and_event_ids_are_there_on_request(file):
    topics = [SourceTopic.from_earliest("shop.items")]
    with ConsumerManager.from_file(file, topics, headers=True, event_id=True) as manager:
        batch = manager.poll(60_000)
        assert batch.schema.names == [*MESSAGE.names, "headers", "event_id"]
        frame = polars.from_arrow(batch)
        assert frame["event_id"].n_unique() == frame.height > 0


def test_a_live_reader_gets_what_another_thread_writes(file):
    with ConsumerManager.from_file(file, [SourceTopic.from_latest("shop.prices")]) as manager:
        assert manager.is_live()
        got = []
        # This waits without the interpreter: otherwise nothing would be written.
        reader = threading.Thread(target=lambda: got.append(manager.poll(NEVER)))
        reader.start()
        with Source(file) as source:
            source.topic("shop.prices", Price, dedup=None).append(Price(pence=7))
        reader.join(120)
        assert [row["value"] for batch in got for row in batch.to_pylist()] == [b'{"pence":7}']


def waiting(manager: ConsumerManager, got: list) -> threading.Thread:
    """Start a thread that polls, and return once it does."""
    entered = threading.Event()

    def work():
        entered.set()
        try:
            got.append(manager.poll(NEVER))
        except ReplayError as error:
            got.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(60)
    return thread


def test_questions_are_answered_while_another_thread_waits(file):
    with ConsumerManager.from_file(file, [SourceTopic.from_latest("shop.prices")]) as manager:
        got = []
        thread = waiting(manager, got)
        # Each would come back after ten minutes only, if it had to wait for the other thread.
        for _ in range(100):
            assert manager.is_live() and manager.held_message_count() == 0 and manager.poll(1).num_rows == 0
            assert list(manager.counts()) == ["consumed", "released", "late", "ahead", "deleted", "paused"]
        assert got == []
        with Source(file) as source:
            source.topic("shop.prices", Price, dedup=None).append(Price(pence=9))
        thread.join(120)
        assert [batch.num_rows for batch in got] == [1]


def test_a_close_ends_the_wait_of_another_thread(file):
    manager = ConsumerManager.from_file(file, [SourceTopic.from_latest("shop.prices")])
    got = []
    thread = waiting(manager, got)
    manager.close()
    thread.join(120)
    assert [error.kind for error in got] == ["Closed"]


def test_a_reader_that_is_left_open_says_so(file):
    manager = ConsumerManager.from_file(file, [SourceTopic("shop.prices")])
    shown = repr(manager)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del manager
        gc.collect()
    assert shown.startswith("<ConsumerManager open at ")


def test_threads_share_a_reader_and_each_record_comes_once(file):
    got, lock = [], threading.Lock()
    with ConsumerManager.from_file(file, [SourceTopic.from_earliest("shop.items")], batch_size=5) as manager:

        def work():
            while not manager.is_live():
                rows = manager.poll(0).to_pylist()
                with lock:
                    got.extend((row["partition"], row["offset"]) for row in rows)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert len(got) == len(set(got)) == 300


def test_a_signal_ends_a_poll_and_loses_nothing(file):
    def interrupts(*_):
        raise KeyboardInterrupt

    with ConsumerManager.from_file(file, [SourceTopic.from_latest("shop.prices")]) as manager:
        before = signal.signal(signal.SIGALRM, interrupts)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(KeyboardInterrupt):
                manager.poll(NEVER)
        finally:
            signal.signal(signal.SIGALRM, before)
        with Source(file) as source:
            source.topic("shop.prices", Price, dedup=None).append(Price(pence=8))
        assert manager.poll(120_000).num_rows == 1


def test_a_signal_that_comes_with_records_loses_none(file):
    """As who stops the cell of a notebook in the middle, and runs it again."""

    class Stopped(Exception):
        pass

    def stops(*_):
        raise Stopped

    before = signal.signal(signal.SIGALRM, stops)
    main, values, stopped = threading.get_ident(), [], 0
    try:
        with Source(file) as source, ConsumerManager.from_file(file, [SourceTopic.from_latest("shop.prices")]) as manager:
            prices = source.topic("shop.prices", Price, dedup=None)

            def work(number):
                # The native part does not see the signal before it wakes up for the record.
                signal.pthread_kill(main, signal.SIGALRM)
                prices.append(Price(pence=number))

            for number in range(20):
                writer = threading.Thread(target=work, args=(number,))
                try:
                    writer.start()
                    manager.poll(NEVER)
                except Stopped:
                    stopped += 1
                writer.join(60)
                while len(values) <= number:
                    values += manager.poll(60_000).column("value").to_pylist()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert stopped == 20
    assert values == [b'{"pence":%d}' % number for number in range(20)]


def test_a_closed_reader_says_so(file):
    manager = ConsumerManager.from_file(file, [SourceTopic.from_earliest("shop.items")])
    manager.close()
    manager.close()
    for question in (lambda: manager.poll(0), manager.is_live, manager.partition_state, manager.held_message_count):
        with pytest.raises(ReplayError, match="reader is closed"):
            question()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_refused_and_the_parent_reads_on(file):
    topics = [SourceTopic.from_earliest("shop.items")]
    with ConsumerManager.from_file(file, topics) as manager:
        child = os.fork()
        if child == 0:
            refused = 0
            for use in (lambda: manager.poll(0), lambda: ConsumerManager.from_file(file, topics)):
                try:
                    use()
                except RuntimeError as error:
                    refused += "forked" in str(error)
            os._exit(2 - refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(past(manager)) == 300


def test_times_of_poll_that_cannot_be_are_refused(file):
    with ConsumerManager.from_file(file, [SourceTopic("shop.items")]) as manager:
        with pytest.raises(OverflowError):
            manager.poll(-1)
        with pytest.raises(TypeError):
            manager.poll(1.5)


def test_a_missing_pyarrow_is_named_with_its_extra():
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from messagekit_rs.replay import ConsumerManager, SourceTopic\n"
        "SourceTopic.from_latest('a')\n"
        "try: ConsumerManager({}, [])\n"
        "except ImportError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert run.stdout == "pyarrow is missing: pip install 'messagekit-rs[replay]'\n", run.stderr
