"""Appends events to a queue of litequeue or persist-queue, one commit each.

Usage: peer.py litequeue|persist-queue FILE EVENTS
Prints one JSON object: {"seconds": S, "lost": N, "doubled": N, "out_of_order": N}, counted in the file afterwards.
"""

import itertools
import json
import os
import sys
import time
import uuid

import litequeue
import persistqueue

TEXT = uuid.uuid4().hex * 32


def main() -> None:
    which, path, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if which == "litequeue":
        queue = litequeue.LiteQueue(path)
        put, take = queue.put, lambda: queue.pop().data
    else:
        os.makedirs(path)
        queue = persistqueue.SQLiteQueue(path, auto_commit=True)
        put, take = queue.put, queue.get
    payloads = [json.dumps({"number": number, "text": TEXT[:1000]}) for number in range(events)]
    started = time.perf_counter()
    for payload in payloads:
        put(payload)
    seconds = time.perf_counter() - started
    seen = [json.loads(take())["number"] for _ in range(queue.qsize())]
    behind = sum(later < earlier for earlier, later in itertools.pairwise(seen))
    lost, doubled = events - len(set(seen)), len(seen) - len(set(seen))
    print(json.dumps({"seconds": seconds, "lost": lost, "doubled": doubled, "out_of_order": behind}))


main()
