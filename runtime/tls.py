"""TLS to Kafka with this process's own certificate, and to servers that know us by something else; files that change are
taken up without a restart.

Each new connection is made with what the files hold then; connections that are open stay as they are. A connection that
is closed says so and waits for no answer. Must never fall back to a connection without TLS or to a server whose name is
not on its certificate.
"""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from contracts.errors import InvalidSettings

_OPEN_TO_OTHERS: Final = 0o077
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: who is believed, who we are, and with which key (0600, not encrypted)."""

    ca: Path
    certificate: Path
    key: Path = field(repr=False)

    def stamp(self) -> _Stamp:
        """Changes whenever a file is replaced. Raises OSError."""
        return _stamp_of(self.ca, self.certificate, self.key)

    def load(self) -> ssl.SSLContext:
        """Raises OSError (ssl.SSLError is one) if a file cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        context.sslobject_class = _ClosesAtOnce
        return context


@dataclass(frozen=True, slots=True)
class TrustFile:
    """A PEM file of who is believed, for a server to which we show no certificate."""

    ca: Path

    def stamp(self) -> _Stamp:
        """Changes whenever the file is replaced. Raises OSError."""
        return _stamp_of(self.ca)

    def load(self) -> ssl.SSLContext:
        """Raises OSError if the file cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _stamp_of(*paths: Path) -> _Stamp:
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in (path.stat() for path in paths))


class _ClosesAtOnce(ssl.SSLObject):
    """Says goodbye (close_notify) and does not wait for the other's, as RFC 8446 section 6.1 allows.

    Kafka 4.4.0 at times never says it: a goodbye that came in one read with part of a request stays where it was put, and
    nothing more comes to make it look (seen in half of the tries). asyncio and uvloop then wait for 30 s, and so does the
    process that stops. Nothing is cut off unseen: Kafka's protocol says the length of each of its messages.
    """

    def unwrap(self) -> None:
        """Send it. Raises ssl.SSLError if the connection is broken."""
        try:
            super().unwrap()
        except ssl.SSLWantReadError:
            return


class WatchedContext(ssl.SSLContext):
    """Hands each new connection the context of the files as they are then.

    Files that cannot be used (half of them replaced, for instance) leave the context before them in place.
    """

    _files: TlsFiles | TrustFile
    _stamp: _Stamp
    _current: ssl.SSLContext

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """What asyncio and uvloop call once for each connection."""
        try:
            stamp = self._files.stamp()
            if stamp != self._stamp:
                self._current, self._stamp = self._files.load(), stamp
        except OSError:
            pass  # asked again by the next connection
        return self._current.wrap_bio(*arguments, **named)


def client_context(files: TlsFiles, setting: str) -> ssl.SSLContext:
    """A context for every client of this process. Raises InvalidSettings, naming `setting`, if a file cannot be used."""
    try:
        stamp, current = files.stamp(), files.load()
        is_open = stat.S_IMODE(files.key.stat().st_mode) & _OPEN_TO_OTHERS
    except OSError as exc:
        raise InvalidSettings(f"{setting}: a file is missing, or not a certificate with its key") from exc
    if is_open:
        raise InvalidSettings(f"{setting}: the key's file is readable by others (make it 0600)")
    return _watched(files, stamp, current)


def trusting_context(file: TrustFile, setting: str) -> ssl.SSLContext:
    """A context that believes the authorities of a file. Raises InvalidSettings, naming `setting`, if it cannot be used."""
    try:
        return _watched(file, file.stamp(), file.load())
    except OSError as exc:
        raise InvalidSettings(f"{setting}: the file cannot be used") from exc


def _watched(files: TlsFiles | TrustFile, stamp: _Stamp, current: ssl.SSLContext) -> WatchedContext:
    context = WatchedContext(ssl.PROTOCOL_TLS_CLIENT)
    context._files, context._stamp, context._current = files, stamp, current
    return context
