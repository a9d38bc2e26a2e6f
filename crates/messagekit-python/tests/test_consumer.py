"""A worker of a group: what it handles, what it gives back, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading

import pytest
from server import DEADLINE, TOPIC, Server

from messagekit_rs.client import Consumer, Message

# No pauses between attempts.
AT_ONCE = (0, 0, 1)


def handled(server: Server, wanted: int, **settings: object) -> list[Message]:
    """Handle so many records, and return them."""
    messages: list[Message] = []
    with server.consumer(**settings) as consumer:

        def handler(message: Message) -> None:
            messages.append(message)
            if len(messages) == wanted:
                consumer.stop()

        assert consumer.run(handler) == wanted
    return messages


def test_records_are_handled_once_and_acknowledged(server):
    server.append(25)
    messages = handled(server, 25, limit=10)
    assert [message.data["n"] for message in messages] == list(range(25))
    assert server.lag() == 0
    first = messages[0]
    assert (first.topic, first.partition, first.offset, first.op, first.attempt) == (TOPIC, 0, 0, "Insert", 1)
    assert first.run_key == f"shipping:{TOPIC}:0:0" and first.payload == b'{"n":0}'
    assert len({message.event_id for message in messages}) == 25 and first.timestamp.year > 2000


def test_a_failing_record_ends_as_a_failed_message(server):
    server.append(2)
    heard: list[tuple] = []

    def handler(message: Message) -> None:
        if message.data["n"] == 0:
            raise RuntimeError("no stock")

    def failed(message: Message, error: Exception) -> None:
        heard.append(("failed", message.attempt))
        if message.attempt == 10:
            consumer.stop()
        raise LookupError("it is not noted")

    hooks = {
        "on_error": lambda message, error, attempt: heard.append(("error", attempt)),
        "on_retry": lambda message, error, attempt, pause: heard.append(("retry", attempt, pause)),
        "on_failed": failed,
    }
    with server.consumer(max_attempts=2, backoff=AT_ONCE, limit=1, **hooks) as consumer:
        assert consumer.run(handler) <= 1, "only the other record was handled"
    expected = [("error", 1), ("retry", 1, 0), ("error", 2)]
    assert heard == [heard for delivery in range(1, 11) for heard in [*expected, ("failed", delivery)]]
    (message,) = server.failed()
    assert "no stock" in str(message)


def test_a_noted_failure_is_acknowledged(server):
    server.append(1)
    noted = []

    def handler(message: Message) -> None:
        raise RuntimeError("no stock")

    def failed(message: Message, error: Exception) -> None:
        noted.append(str(error))
        consumer.stop()

    with server.consumer(max_attempts=1, backoff=AT_ONCE, on_failed=failed) as consumer:
        consumer.run(handler)
    assert noted == ["no stock"] and server.lag() == 0 and server.failed() == []


def test_with_ack_on_failed_off_it_comes_again(server):
    server.append(1)
    deliveries = []

    def handler(message: Message) -> None:
        raise RuntimeError("no stock")

    def failed(message: Message, error: Exception) -> None:
        deliveries.append(message.attempt)
        if len(deliveries) == 2:
            consumer.stop()

    with server.consumer(max_attempts=1, backoff=AT_ONCE, on_failed=failed, ack_on_failed=False) as consumer:
        consumer.run(handler)
    assert deliveries == [1, 2] and server.lag() == 1


def test_a_long_handler_keeps_its_records(server):
    server.append(2)
    other = []

    def handler(message: Message) -> None:
        # It waits for longer than the lease, and would have a record whose lease has ended.
        if not other:
            body = {"topic_id": TOPIC, "group_id": "shipping", "timeout_seconds": 14}
            with server.client() as client:
                other.append(client.consume(body)["messages"])
        if message.data["n"] == 1:
            consumer.stop()

    with server.consumer(lease_seconds=10) as consumer:
        assert consumer.run(handler) == 2
    assert other == [[]] and server.lag() == 0


def test_a_lost_claim_is_no_error_and_comes_again(server):
    server.append(3)
    numbers = []

    def handler(message: Message) -> None:
        numbers.append(message.data["n"])
        if numbers == [0]:
            with server.client("admin") as client:
                client.sql(f"RESET CONSUMER GROUP 'shipping' ON {TOPIC} TO 0")
        if numbers.count(2) == 2:
            consumer.stop()

    with server.consumer() as consumer:
        consumer.run(handler)
    assert numbers == [0, 1, 2, 0, 1, 2] and server.lag() == 0


def test_a_stop_leaves_the_rest_to_the_next_at_once(server):
    server.append(10)
    assert [message.data["n"] for message in handled(server, 3)] == [0, 1, 2]
    rest = handled(server, 7)
    assert [message.data["n"] for message in rest] == list(range(3, 10))
    assert {message.attempt for message in rest} == {1}, "what was not begun counts no attempt"


@pytest.mark.parametrize("ends", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_handler_counts_for_its_record_only(server, ends):
    server.append(3)

    def handler(message: Message) -> None:
        if message.data["n"] == 1:
            raise ends

    with server.consumer() as consumer, pytest.raises(ends):
        consumer.run(handler)
    assert [(message.data["n"], message.attempt) for message in handled(server, 2)] == [(1, 2), (2, 1)]


def test_a_stop_ends_a_wait_for_the_server():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        with Consumer(f"http://{host}:{port}", "mk_1", topic=TOPIC, group="g", wait_seconds=3600) as consumer:
            run = threading.Thread(target=consumer.run, args=(lambda message: None,))
            run.start()
            connection, _ = silent.accept()
            assert connection.recv(10).startswith(b"POST /v1/")
            consumer.stop()
            run.join(DEADLINE)
            connection.close()
        assert not run.is_alive()


def test_a_function_may_ask_for_the_stop(server):
    asked = threading.Event()
    with server.consumer(stop=asked.is_set, wait_seconds=3600) as consumer:
        run = threading.Thread(target=consumer.run, args=(lambda message: asked.set(),))
        run.start()
        server.append(1)
        run.join(DEADLINE)
    assert not run.is_alive() and server.lag() == 0


WORKER = """
import signal, sys
from messagekit_rs.client import Consumer

with Consumer(sys.argv[1], sys.argv[2], topic=sys.argv[3], group="shipping", lease_seconds=3600) as consumer:
    signal.signal(signal.SIGTERM, lambda *_: consumer.stop())

    def handler(message):
        print(message.data["n"], flush=True)
        if message.data["n"] == 1:
            sys.stdin.readline()

    print(consumer.run(handler), flush=True)
"""


def test_a_signal_ends_a_worker_after_its_record(server):
    server.append(5)
    command = [sys.executable, "-W", "error", "-c", WORKER, server.url, server.token(), TOPIC]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert [worker.stdout.readline() for _ in range(2)] == ["0\n", "1\n"]
            worker.send_signal(signal.SIGTERM)
            assert worker.communicate("\n", timeout=DEADLINE)[0] == "2\n" and worker.returncode == 0
        finally:
            worker.kill()
    assert [message.data["n"] for message in handled(server, 3)] == [2, 3, 4]
