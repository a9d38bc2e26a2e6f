"""The package with Kafka's client, which ``messagekit_rs.replay`` loads when a reader of Kafka is opened."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import messagekit_rs
from messagekit_rs import _native
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
    monkeypatch.setattr(_kafka, "version", lambda package: "9.9.9" if package.endswith("kafka") else messagekit_rs.__version__)
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


def test_packages_without_metadata_are_taken_as_they_are(monkeypatch):
    def unknown(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(_kafka, "version", unknown)
    assert hasattr(_kafka.reader_of_kafka(), "kafka")


def test_each_extension_has_what_its_package_calls():
    import messagekit_rs_kafka._native as kafka

    functions = {"is_time_zone", "message_schema", "partition_state_schema"}
    of_file, of_kafka = ({name for name in dir(module) if name[0] != "_"} for module in (_native, kafka))
    assert of_file == {"Arm", "NativeError", "Records", "Replay", "Source", "Topic", *functions}
    assert of_kafka >= {"NativeError", "Replay"}
    # The wheels of users, which tests of the stated size build, have nothing of the other package.
    if os.environ.get("MESSAGEKIT_FULL") == "1":
        assert of_kafka == {"NativeError", "Replay"} and kafka.Replay.__module__ == kafka.NativeError.__module__ == kafka.__name__
        assert not hasattr(_native.Replay, "kafka") and not hasattr(kafka.Replay, "file")


def test_both_packages_name_each_other_by_this_version():
    version = f"=={messagekit_rs.__version__}"
    main = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    kafka = tomllib.loads((HERE / "kafka/pyproject.toml").read_text())["project"]
    assert f"messagekit-rs-kafka{version}" in main["optional-dependencies"]["kafka"]
    assert kafka["dependencies"] == [f"messagekit-rs[replay]{version}"]
    assert importlib.metadata.version("messagekit-rs-kafka") == messagekit_rs.__version__
