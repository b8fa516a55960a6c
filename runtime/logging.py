"""JSON lines: static event names, allow-listed keys, exceptions as type, code and frames. Never a payload.

One line per unit of work, emitted at its end. A key that is not on the list is dropped and counted: what cannot be
named cannot leak. Library loggers are silenced to type and logger name, since their texts carry data.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

import orjson
import structlog

from contracts.errors import ServiceError

ALLOWED_KEYS: Final = frozenset(
    {
        "account", "attempt", "by", "bytes", "code", "count", "duration_ms", "epoch", "event", "first_offset", "frames",
        "generation", "host", "items", "kafka", "key_id", "lag", "lane", "level", "logger", "next_offset", "offset",
        "outcome", "partition", "partitions", "port", "position", "process", "reason", "records", "rows", "signal",
        "slot", "state", "status", "tenant", "tenants", "time", "topic", "topics", "type", "version", "wait_s", "health_port",
        "setting", "app", "secret_id", "replay", "purpose", "who", "schema", "name",
    }
)  # fmt: skip

_REPEAT_S: Final = 10.0

dropped_keys: dict[str, int] = {}
"""How often each key outside the list was dropped, by key name."""


def frames_of(exc: BaseException) -> list[str]:
    """`module:function:line` of each frame, outermost first, at most 12. No locals, no source, no message."""
    frames = traceback.extract_tb(exc.__traceback__)[-12:]
    return [
        f"{frame.filename.rsplit('/', 2)[-2]}/{frame.filename.rsplit('/', 1)[-1]}:{frame.name}:{frame.lineno}"
        for frame in frames
    ]


def describe(exc: BaseException) -> dict[str, object]:
    """An exception as it may be logged: type, our code if it is ours, frames. Never its text."""
    described: dict[str, object] = {"type": type(exc).__name__, "frames": frames_of(exc)}
    if isinstance(exc, ServiceError):
        described["code"] = exc.code
    return described


def _allow(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in [key for key in event if key not in ALLOWED_KEYS]:
        del event[key]
        dropped_keys[key] = dropped_keys.get(key, 0) + 1
    return event


def _stamp(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    event["level"] = method
    exc = event.pop("exc", None)
    if isinstance(exc, BaseException):
        event.update(describe(exc))
    return event


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=lambda value: type(value).__name__).decode()


class _LibraryHandler(logging.Handler):
    """Library log records: logger, place and exception type; their text may carry data.

    A library that repeats itself (a client without a broker) is one line in ten seconds for each place, with a count.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        place = (record.name, f"{record.module}:{record.lineno}")
        last, held = self._seen.get(place, (-_REPEAT_S, 0))
        if record.created - last < _REPEAT_S:
            self._seen[place] = (last, held + 1)
            return
        self._seen[place] = (record.created, 0)
        line: dict[str, object] = {"logger": record.name, "code": place[1], "count": held + 1}
        if record.exc_info and record.exc_info[1] is not None:
            line.update(type=type(record.exc_info[1]).__name__)
        structlog.get_logger().log(max(record.levelno, logging.WARNING), "library.reported", **line)


def configure(process: str, stream: TextIO | None = None) -> None:
    """Set up logging for this process; call once, in `__main__`."""
    output = sys.stdout if stream is None else stream
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _stamp, _allow, _render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler(level=logging.WARNING)]
    root.setLevel(logging.WARNING)

    def unhandled(kind: type[BaseException], exc: BaseException, _trace: TracebackType | None) -> None:
        structlog.get_logger().error("process.failed", exc=exc)

    sys.excepthook = unhandled


def get_logger() -> Any:
    """The process's logger: `log.info("noun.verb_past", key=value)`; pass an exception as `exc=`."""
    return structlog.get_logger()
