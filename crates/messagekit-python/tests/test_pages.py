"""What the pages show is run."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import BEGIN
from server import TOPIC, program

HERE = Path(__file__).parent
PAGES = [HERE.parent / "README.md", HERE.parents[2] / "docs" / "python.md", HERE.parents[2] / "README.md"]


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.S)


@pytest.mark.parametrize("page", PAGES, ids=["package", "python", "readme"])
def test_programs_of_a_page_run_one_after_the_other(page, tmp_path, brokers):
    programs = blocks(page)
    assert programs, f"{page.name} has no program"
    brokers.send("orders", 1, BEGIN, b'{"pence":1250}')
    brokers.send("payments", 0, BEGIN + 1, b'{"pence":1250}')
    brokers.flush()
    settings = {**os.environ, "BROKERS": brokers.config["bootstrap.servers"]}
    for program in programs:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path, capture_output=True, text=True, timeout=300, env=settings,
        )
        assert run.returncode == 0, f"{program}\n{run.stderr}"


@pytest.mark.parametrize("order", list(itertools.permutations(PAGES)))
def test_first_programs_of_all_pages_share_a_folder(order, tmp_path):
    for page in order:
        program = blocks(page)[0]
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path, capture_output=True, text=True, timeout=300,
        )
        assert run.returncode == 0, f"{page}\n{run.stderr}"


def test_the_worker_of_the_page_ends_after_its_record(server):
    with server.client() as client:
        client.append(TOPIC, {"n": 1, "item": "teapot"})
    (worker,) = blocks(HERE.parents[2] / "docs" / "http-topics.md")
    settings = {**os.environ, "SERVER": server.url, "TOKEN": server.token()}
    command = [sys.executable, "-W", "error", "-c", worker]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=settings) as run:
        try:
            assert run.stdout.readline().endswith(" teapot\n")
            run.send_signal(signal.SIGTERM)
            assert run.communicate(timeout=60)[0] == "" and run.returncode == 0
        finally:
            run.kill()
    assert server.lag() == 0


def test_the_program_of_the_package_prints_its_record_once(tmp_path):
    (program,) = blocks(PAGES[0])
    said = [
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300).stdout
        for _ in range(2)
    ]
    assert said == ["1 one\n", ""]


def test_the_notebook_runs_as_a_program(tmp_path):
    notebook = HERE.parents[2] / "examples" / "12_notebook.py"
    run = subprocess.run([sys.executable, notebook], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "5 records handled, 15 words\n"


def test_a_second_tour_of_the_feeds_finds_nothing_to_do(tmp_path):
    example = HERE.parents[2] / "examples" / "12_rss_tour.py"
    command = [sys.executable, "-W", "error", example, tmp_path / "rss.db"]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout.splitlines()
        for _ in range(2)
    )
    assert first[0] == "18 records handled" and first[-1] == "0 records handled"
    assert first[1] == "graph TD" and len([line for line in first if "-->" in line]) == 7
    assert first[-4:-1] == ["  70  primes explained, by ada", "  50  compilers, by grace", " 120  machines, by alan"]
    assert second == ["0 records handled", "0 records handled"]


def test_the_worker_ships_each_order_that_was_paid(tmp_path):
    example = HERE.parents[2] / "examples" / "14_worker_over_http.py"
    path = f"{Path(program()).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-W", "error", example]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "PATH": path})
    assert run.returncode == 0, run.stderr
    assert sorted(run.stdout.splitlines()[:-1]) == [
        "attempt 1 failed: it is broken",
        "attempt 2 failed: it is broken",
        "order 3 is for a person to look at: it is broken",
        "shipped clock, of order 4 (insert)",
        "shipped lantern, of order 2 (update)",
        "shipped teapot, of order 1 (insert)",
    ]
    assert run.stdout.splitlines()[-1] == "4 events handled, 3 shipments"
