"""Access logs: a line for each request, in the forms that tools read.

What lives here: the common and the combined log format of httpd, and JSON, each as something to
give to ``serve(access_log=…)``.  What it must not know: when it is called.  Stands on: records.

Nothing that a client sends can end a line or pass for another field: in the two text formats what
is not printable ASCII, quotes and backslashes are written as ``\\xHH``.

Lines are written in the connection's own step: a target that blocks holds everybody up.  Where that
may be (a full disk, a slow pipe), give a logger with ``logging.handlers.QueueHandler``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from json import dumps
from typing import Final, Protocol

from coop.http.record import AccessLog, AccessRecord
from coop.stopwatch import wall_seconds

#: Most characters of one thing the client said; the rest is cut off.
FIELD_LENGTH: Final = 2000
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_escape: Final = re.compile(r"[^ !#-\[\]-~]")


class TextFile(Protocol):
    """An open text file, or whatever else takes text."""

    def write(self, text: str, /) -> object:
        """Take a piece of text."""
        raise NotImplementedError


def common(
    target: TextFile | logging.Logger, wall: Callable[[], float] = wall_seconds
) -> AccessLog:
    """Log in the common log format: ``access_log=coop.http.access.common(sys.stderr)``.

    ``target`` is an open text file, which is written a line at a time and never flushed, or a
    logger, which gets each line at level INFO.  ``wall`` tells the seconds since 1970.
    """
    put, clock = _writer(target), _ClockText(wall)

    def log(record: AccessRecord) -> None:
        put(_common_line(record, clock.text()))

    return log


def combined(
    target: TextFile | logging.Logger, wall: Callable[[], float] = wall_seconds
) -> AccessLog:
    """Log in the combined log format: the common one, then Referer and User-Agent."""
    put, clock = _writer(target), _ClockText(wall)

    def log(record: AccessRecord) -> None:
        line = _common_line(record, clock.text())
        put(
            f'{line} "{_quote(_field(record, "referer"))}" "{_quote(_field(record, "user-agent"))}"'
        )

    return log


def json_lines(
    target: TextFile | logging.Logger, wall: Callable[[], float] = wall_seconds
) -> AccessLog:
    """Log an object of JSON per line.

    ``time`` in UTC, ``peer``, ``request`` (its line), ``status``, ``bytes`` of the answer's body,
    ``seconds`` from the request's first byte to the answer's last, ``whole`` (whether all of it was
    sent), ``host``, ``referer``, ``agent``.
    """
    put = _writer(target)

    def log(record: AccessRecord) -> None:
        now = datetime.fromtimestamp(wall(), UTC)
        entry = {
            "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "peer": _peer(record),
            "request": record.request_line[:FIELD_LENGTH],
            "status": record.status,
            "bytes": record.body_bytes,
            "seconds": round(record.seconds, 6),
            "whole": record.is_whole,
            "host": record.request.host[:FIELD_LENGTH] if record.request else "",
            "referer": _field(record, "referer")[:FIELD_LENGTH],
            "agent": _field(record, "user-agent")[:FIELD_LENGTH],
        }
        put(dumps(entry))

    return log


class _ClockText:
    """The time as the common log format writes it, made once a second."""

    __slots__ = ("_second", "_text", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._second = -1
        self._text = ""

    def text(self) -> str:
        second = int(self._wall())
        if second != self._second:
            self._second = second
            now = datetime.fromtimestamp(second, UTC)
            # Not %b, which speaks the language of the place.
            self._text = now.strftime(f"%d/{_MONTHS[now.month - 1]}/%Y:%H:%M:%S +0000")
        return self._text


def _writer(target: TextFile | logging.Logger) -> Callable[[str], object]:
    if isinstance(target, logging.Logger):
        logger = target
        return lambda line: logger.info("%s", line)
    file = target
    return lambda line: file.write(line + "\n")


def _common_line(record: AccessRecord, time: str) -> str:
    line = _quote(record.request_line) or "-"
    size = record.body_bytes or "-"
    return f'{_peer(record)} - - [{time}] "{line}" {record.status} {size}'


def _peer(record: AccessRecord) -> str:
    """Return the client's address without its port."""
    peer = record.peer
    return "-" if peer is None else peer.host or "-"


def _field(record: AccessRecord, name: str) -> str:
    return "-" if record.request is None else record.request.headers.get(name, "-")


def _quote(text: str) -> str:
    return _escape.sub(lambda found: f"\\x{ord(found[0]):02x}", text[:FIELD_LENGTH])
