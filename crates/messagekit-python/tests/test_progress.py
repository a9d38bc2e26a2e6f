"""The bar of a run."""

from __future__ import annotations

import io
import sys

from conftest import Item, Short, item

from messagekit_rs.topics import Source


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(source: Source, records: int, **more: object) -> None:
    items, short = source.topic("items", Item, dedup=None), source.topic("short", Short, dedup=None)
    items.extend(item(number) for number in range(records))
    items.pipe(lambda value: Short(url=value.url)).to(short).run(**more)


def test_a_run_draws_its_progress_on_a_terminal(source, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    run(source, 8, progress=True)
    drawn = sys.stderr.getvalue()
    assert drawn.startswith("\ritems [") and drawn.endswith(f"\ritems [{'#' * 30}] 8 of 8\n")


def test_nothing_is_drawn_unasked_or_elsewhere(source, monkeypatch, capsys):
    run(source, 3, progress=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", Terminal())
    run(source, 3)
    run(source, 0, progress=True)
    assert sys.stderr.getvalue() == ""


def test_a_bar_of_a_failed_run_ends_its_line(source, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    items = source.topic("items", Item, dedup=None)
    items.extend(item(number) for number in range(4))

    def fails(value: Item) -> None:
        if value.url.endswith("/2"):
            raise RuntimeError("no two")

    try:
        items.pipe(fails).run(progress=True)
    except RuntimeError as error:
        assert str(error) == "no two"
    else:
        raise AssertionError("it did not fail")
    assert sys.stderr.getvalue().endswith("3 of 4\n")
