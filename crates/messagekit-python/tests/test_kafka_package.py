"""The package with Kafka's client, which ``messagekit_rs.replay`` loads when a reader of Kafka is opened."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import messagekit_rs
from messagekit_rs.replay import ConsumerManager, SourceTopic, _kafka

CONFIG = {"bootstrap.servers": "127.0.0.1:1"}
INSTALL = f"pip install 'messagekit-rs[kafka]=={messagekit_rs.__version__}'"
HERE = Path(__file__).parent.parent


def test_a_missing_package_is_named_with_its_extra():
    program = (
        "import sys; sys.modules['messagekit_rs_kafka'] = None\n"
        "from messagekit_rs.replay import ConsumerManager, SourceTopic\n"
        f"try: ConsumerManager({CONFIG!r}, [SourceTopic.from_earliest('orders')])\n"
        "except ImportError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == f"messagekit-rs-kafka is missing: {INSTALL}\n", run.stderr


def test_a_package_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(_kafka, "version", lambda _: "9.9.9")
    with pytest.raises(ImportError, match="9.9.9 is installed beside messagekit-rs"):
        ConsumerManager(CONFIG, [SourceTopic.from_earliest("orders")])


def test_files_need_no_package_of_kafka(tmp_path):
    path = tmp_path / "shop.db"
    program = (
        "import sys\n"
        "from pydantic import BaseModel\n"
        "from messagekit_rs import Source\n"
        "from messagekit_rs.replay import ConsumerManager, SourceTopic\n"
        "Order = type('Order', (BaseModel,), {'__annotations__': {'n': int}})\n"
        f"with Source({str(path)!r}) as source: source.topic('orders', Order, dedup=['n']).append(Order(n=1))\n"
        f"with ConsumerManager.from_file({str(path)!r}, [SourceTopic.from_earliest('orders')]) as manager:\n"
        "    print(manager.poll(1_000).num_rows, any(name.startswith('messagekit_rs_kafka') for name in sys.modules))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "1 False\n", run.stderr


def test_both_packages_name_each_other_by_this_version():
    version = f"=={messagekit_rs.__version__}"
    main = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    kafka = tomllib.loads((HERE / "kafka/pyproject.toml").read_text())["project"]
    assert f"messagekit-rs-kafka{version}" in main["optional-dependencies"]["kafka"]
    assert kafka["dependencies"] == [f"messagekit-rs{version}"]
    assert importlib.metadata.version("messagekit-rs-kafka") == messagekit_rs.__version__
