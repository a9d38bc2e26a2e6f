"""The half of a test that is Python: it shares a file with a program in Rust. `wheel/beside_python.rs` starts it with the file and a number.

It appends as many records to a topic of its own and, if they are new, to one that both fill; acknowledges those of the other program; and
runs a pipeline that the other one runs, too. It prints how many of the common records it has appended.
"""

from __future__ import annotations

import sys
import threading

from pydantic import BaseModel

from messagekit_rs import Source


class Item(BaseModel):
    number: int
    text: str


class Copy(BaseModel):
    number: int


def item(number: int) -> Item:
    return Item(number=number, text=f"item {number}")


def main(path: str, records: int) -> None:
    with Source(path) as source:
        own = source.topic("by.python", Item, dedup=["number"])
        others = source.topic("by.rust", Item, dedup=["number"])
        both = source.topic("by.both", Item, dedup=["number"])
        copies = source.topic("copies", Copy, dedup=None)
        print("ready", flush=True)

        def acknowledge() -> None:
            left = records
            for record in others.follow(records=True):
                record.ack()
                left -= 1
                if left == 0:
                    break

        reader = threading.Thread(target=acknowledge)
        reader.start()
        appended = 0
        for number in range(records):
            own.append(item(number))
            appended += both.append_if_new(item(number))
            if number % 100 == 0:
                both.pipe(lambda value: Copy(number=value.number)).to(copies).run()
        reader.join(timeout=300)
        assert not reader.is_alive(), "records of the other program are missing"
        both.pipe(lambda value: Copy(number=value.number)).to(copies).run()
        print(appended, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
