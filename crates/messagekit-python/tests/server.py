"""A real server on a file, which tests start, kill and start again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from messagekit_rs.client import Client, Consumer

# Longer than anything takes.
DEADLINE = 60

TOPIC = "shop.orders"


def program() -> str:
    """Return the path of the program ``messagekit``, which the Rust test beside these has found."""
    return os.environ["MESSAGEKIT_PROGRAM"]


def token(role: str) -> dict[str, str]:
    command = [program(), "admin", "token", "--name", role, "--role", role, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE).stdout)


class Server:
    """``messagekit admin`` on a file in a folder. It keeps its port."""

    def __init__(self, folder: Path):
        self.database = f"sqlite:{folder / 'shop.db'}"
        schema = folder / "schema.json"
        schema.write_text('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
        self.messagekit("topics", "create", TOPIC, "--dedup", "n", "--schema", str(schema))
        made = {role: token(role) for role in ("service", "viewer", "admin")}
        self._tokens = {role: one["token"] for role, one in made.items()}
        self._file = folder / "tokens"
        self._file.write_text("".join(f"{one['line']}\n" for one in made.values()))
        self._process: subprocess.Popen[str] | None = None
        self.address = "127.0.0.1:0"
        self.start()

    def messagekit(self, *arguments: str) -> str:
        """Run a command on the file, and return what it prints."""
        command = [program(), *arguments, "--database", self.database]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def token(self, role: str = "service") -> str:
        return self._tokens[role]

    def client(self, role: str = "service") -> Client:
        return Client(self.url, self.token(role))

    def consumer(self, group: str = "shipping", **settings: object) -> Consumer:
        return Consumer(self.url, self.token(), **{"topic": TOPIC, "group": group, **settings})

    def append(self, count: int) -> None:
        with self.client() as client:
            client.append_all(TOPIC, [{"n": n} for n in range(count)])

    def lag(self, group: str = "shipping") -> int:
        """Return how many records the group has not settled."""
        with self.client("admin") as client:
            (result,) = client.sql(f"SELECT group_id, lag FROM system.topic_offsets WHERE group_id = '{group}'")
        return sum(row[1] for row in result.rows)

    def failed(self) -> list[dict]:
        return json.loads(self.messagekit("dlq", "list", "--consumer", "shipping", "--json"))["failed_messages"]

    def start(self) -> None:
        command = [program(), "admin", "--listen", self.address, "--database", f"shop={self.database}"]
        self._process = subprocess.Popen([*command, "--tokens", self._file], stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        assert line.startswith("listening on http://"), line
        self.address = line.split("//")[1].strip()

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=DEADLINE)
            self._process.stdout.close()
            self._process = None
