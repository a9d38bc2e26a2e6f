"""A server that is killed and started again while workers use it."""

from __future__ import annotations

import threading

from server import DEADLINE, Server

from messagekit_rs.client import Consumer, Message

RECORDS = 200


class Effects:
    """What handlers have done, under the ids of the events: a second time it is nothing."""

    def __init__(self, server: Server):
        self.done: dict[str, int] = {}
        self.calls = 0
        self._server, self._lock = server, threading.Lock()
        self.workers: list[Consumer] = []

    def handle(self, message: Message) -> None:
        with self._lock:
            self.calls += 1
            if self.calls in (50, 120):
                self._server.kill()
                self._server.start()
            self.done.setdefault(message.event_id, message.data["n"])
            is_whole = len(self.done) == RECORDS
        if is_whole:
            for worker in self.workers:
                worker.stop()


def test_two_workers_lose_nothing_when_the_server_is_killed(server):
    server.append(RECORDS)
    effects = Effects(server)
    # What a killed server has given out and not said comes again when this lease ends.
    effects.workers = [server.consumer(limit=10, lease_seconds=3) for _ in range(2)]
    threads = [threading.Thread(target=worker.run, args=(effects.handle,)) for worker in effects.workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    for worker in effects.workers:
        worker.close()
    assert sorted(effects.done.values()) == list(range(RECORDS))
    assert effects.calls >= RECORDS and server.lag() == 0 and server.failed() == []


def test_a_worker_waits_for_a_server_that_is_away(server):
    server.append(1)
    server.kill()
    failed_once = threading.Event()
    numbers = []
    with server.consumer(stop=lambda: failed_once.set() or bool(numbers)) as consumer:
        run = threading.Thread(target=consumer.run, args=(lambda message: numbers.append(message.data["n"]),))
        run.start()
        # It is asked for a stop in the pause after the first failure, too.
        assert failed_once.wait(DEADLINE)
        server.start()
        run.join(DEADLINE)
    assert not run.is_alive() and numbers == [0] and server.lag() == 0
