"""Single requests, and the exceptions of what a server refuses."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from server import TOPIC

from messagekit_rs.client import (
    BadRequestError,
    ClaimLostError,
    Client,
    ClientError,
    Consumer,
    DuplicateError,
    ForbiddenError,
    InvalidRecordError,
    NotFoundError,
    OutOfRangeError,
    UnauthorizedError,
    UnavailableError,
)


def never(_message: object) -> None:
    raise AssertionError("there is no record")


def test_a_known_record_is_refused_or_skipped(server):
    with server.client() as client:
        first = client.append(TOPIC, {"n": 1})
        assert not first.duplicate
        with pytest.raises(DuplicateError) as refused:
            client.append(TOPIC, {"n": 1})
        assert (refused.value.existing, refused.value.status) == (first.id, 409)
        again = client.append(TOPIC, {"n": 1}, if_new=True)
        assert (again.id, again.duplicate) == (first.id, True)
        two = client.append_all(TOPIC, [{"n": 1}, {"n": 2}], if_new=True)
        assert [one.duplicate for one in two] == [True, False]
        with pytest.raises(InvalidRecordError):
            client.append(TOPIC, {"n": "one"})
        (end,) = client.latest_offsets(TOPIC)
        assert (end.last_offset, end.next_offset) == (1, 2)


def test_statements_answer_rows_and_mark_what_is_wrong(server):
    with server.client("admin") as client:
        made, listed = client.sql("CREATE TOPIC shop.bills; SELECT topic_id FROM system.topics")
        assert made.row_count == 0 and made.message
        assert [column["name"] for column in listed.schema] == ["topic_id"]
        assert sorted(row[0] for row in listed.rows) == ["shop.bills", TOPIC]
        with pytest.raises(BadRequestError) as refused:
            client.sql("CREATE TOPIX shop.bills")
        assert refused.value.code == "SYNTAX_ERROR" and "^" in refused.value.details
    with server.client() as client, pytest.raises(ForbiddenError):
        client.sql("DROP TOPIC shop.bills")


@pytest.mark.parametrize(
    ("role", "settings", "error", "status"),
    [
        ("viewer", {}, ForbiddenError, 403),
        ("service", {"topic": "shop.none"}, NotFoundError, 404),
        ("service", {"database": "none"}, NotFoundError, 404),
        ("service", {"lease_seconds": 0}, BadRequestError, 400),
        ("service", {"start": 7}, OutOfRangeError, 416),
    ],
)
def test_a_run_ends_with_what_the_server_refuses(server, role, settings, error, status):
    server.append(3)
    settings = {"topic": TOPIC, "group": "shipping", **settings}
    with Consumer(server.url, server.token(role), **settings) as consumer, pytest.raises(error) as refused:
        consumer.run(never)
    assert refused.value.status == status
    if error is OutOfRangeError:
        assert (refused.value.partition, refused.value.earliest, refused.value.next) == (0, 0, 3)


def test_what_was_not_begun_has_no_delay_and_no_error(server):
    server.append(1)
    of = {"topic_id": TOPIC, "group_id": "shipping"}
    with server.client() as client:
        claim = client.consume({**of, "start": "Earliest"})["claim_id"]
        for more in ({"delay_seconds": 1}, {"error": "no stock"}):
            with pytest.raises(BadRequestError):
                client.nack(**of, claim_id=claim, tried=False, **more)
        client.nack(**of, claim_id=claim, tried=False)
        with pytest.raises(ClaimLostError) as refused:
            client.ack(**of, claim_id=claim)
        assert refused.value.code == "CLAIM_LOST"
        (message,) = client.consume(of)["messages"]
        assert message["attempt"] == 1


def test_nothing_shows_the_token(server, caplog):
    caplog.set_level(logging.DEBUG)
    secret = f"mk_{'7' * 64}"
    with Consumer(server.url, secret, topic=TOPIC, group="g") as consumer:
        with pytest.raises(UnauthorizedError) as refused:
            consumer.run(never)
        shown = f"{refused.value!r} {refused.value} {consumer!r} {consumer.client!r} {caplog.text}"
    assert secret[3:] not in shown and "401 UNAUTHORIZED" in shown
    with pytest.raises(ValueError) as refused:
        Client(server.url, f"{secret}\n")
    assert secret[3:] not in str(refused.value)


def test_a_message_shows_no_payload(server):
    server.append(1)
    shown = []
    with server.consumer() as consumer:
        consumer.run(lambda message: (shown.append(repr(message)), consumer.stop()))
    assert '"n"' not in shown[0] and TOPIC in shown[0]


@pytest.mark.parametrize(
    "wrong",
    [{"start": "first"}, {"start": -1}, {"group": " "}, {"max_attempts": 0}, {"backoff": (1, 0, 2)}, {"url": "file:///x"}],
)
def test_wrong_settings_are_refused_before_a_request(wrong):
    settings = {"url": "http://127.0.0.1:9", "token": "mk_1", "topic": TOPIC, "group": "g", **wrong}
    with pytest.raises(ValueError):
        Consumer(settings.pop("url"), settings.pop("token"), **settings)


def test_a_server_that_is_away_is_unavailable():
    # The system assigns no port below 1024 by itself.
    with Client("http://127.0.0.1:9", "mk_1") as client, pytest.raises(UnavailableError) as away:
        client.append(TOPIC, {"n": 1})
    assert (away.value.code, away.value.status) == ("NO_ANSWER", None)
    with Consumer("http://127.0.0.1:9", "mk_1", topic=TOPIC, group="g", give_up_after=0) as consumer:
        with pytest.raises(ClientError):
            consumer.run(never)


def test_the_client_needs_no_native_extension():
    script = "import sys, messagekit_rs.client as _; sys.exit('messagekit_rs._native' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0
