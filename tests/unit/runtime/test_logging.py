"""Logs hold allow-listed keys and frames; never a payload, a message or a local."""

from __future__ import annotations

import io
import logging as library_logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from contracts.errors import BrokerUnavailable
from runtime import logging


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logging.configure("test", stream)
    yield stream
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    library_logging.getLogger().handlers[:] = []


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_key_outside_the_list_is_dropped_and_counted(output: io.StringIO) -> None:
    before = logging.dropped_keys.get("body", 0)
    structlog.get_logger().info("thing.done", body="5531988888888", count=1)
    (line,) = lines(output)
    assert line["event"] == "thing.done"
    assert line["count"] == 1
    assert "5531988888888" not in output.getvalue()
    assert logging.dropped_keys["body"] == before + 1


def test_an_exception_is_its_type_code_and_frames(output: io.StringIO) -> None:
    secret = "5531988888888"
    try:
        try:
            raise ValueError(f"cannot read {secret}")
        except ValueError as exc:
            raise BrokerUnavailable(f"text with {secret}") from exc
    except BrokerUnavailable as exc:
        structlog.get_logger().error("thing.failed", exc=exc)
    (line,) = lines(output)
    assert line["type"] == "BrokerUnavailable"
    assert line["code"] == "broker_unavailable"
    assert "test_logging.py:test_an_exception_is_its_type_code_and_frames" in str(line["frames"])
    assert secret not in output.getvalue()


def test_a_librarys_text_is_not_repeated(output: io.StringIO) -> None:
    library_logging.getLogger("aiokafka.consumer").error("record with %s", "5531988888888")
    (line,) = lines(output)
    assert line["event"] == "library.reported"
    assert line["logger"] == "aiokafka.consumer"
    assert "5531988888888" not in output.getvalue()
