"""What the pages show is run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGES = [HERE.parent / "README.md", HERE.parents[2] / "docs" / "python.md", HERE.parents[2] / "README.md"]


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.S)


@pytest.mark.parametrize("page", PAGES, ids=["package", "python", "readme"])
def test_programs_of_a_page_run_one_after_the_other(page, tmp_path):
    programs = blocks(page)
    assert programs, f"{page.name} has no program"
    for program in programs:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert run.returncode == 0, f"{program}\n{run.stderr}"


def test_the_program_of_the_package_prints_its_record_once(tmp_path):
    (program,) = blocks(PAGES[0])
    said = [
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300).stdout
        for _ in range(2)
    ]
    assert said == ["1 one\n", ""]
