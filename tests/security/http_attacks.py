"""Requests by which one server is made to see another number of requests than the next: families of smuggling, by name.

Each carries, where another reading of its length would find it, a whole delivery that is rightly signed. What is read as
HTTP says (RFC 9112 section 6) holds one unsigned request or none at all: so nothing of it may be accepted.
"""

from __future__ import annotations

from collections.abc import Iterator

Framing = tuple[str, bytes]
_HOST = b"Host: x\r\n"


def smuggled(path: str, inner: bytes) -> Iterator[Framing]:
    """Name and bytes of each. `inner`: a whole signed request."""
    start = b"POST " + path.encode() + b" HTTP/1.1\r\n" + _HOST
    chunked = b"Transfer-Encoding: chunked\r\n"
    hidden = b"0\r\n\r\n" + inner
    in_chunk = b"%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n"

    def with_length(length: object) -> bytes:
        return f"Content-Length: {length}\r\n".encode()

    # 1. Both lengths.
    yield "CL.TE", start + with_length(len(hidden)) + chunked + b"\r\n" + hidden
    yield "CL.TE, the other order", start + chunked + with_length(len(hidden)) + b"\r\n" + hidden
    yield "TE.CL", start + chunked + with_length(4) + b"\r\n" + in_chunk
    yield "TE.0", start + chunked + with_length(0) + b"\r\n" + in_chunk
    yield "CL.0", start + with_length(0) + chunked + b"\r\n" + inner
    # 2. A transfer coding that only some understand; the length ends before the hidden request.
    for name, header in _CODINGS.items():
        yield f"TE.TE, {name}", start + with_length(5) + header + b"\r\n" + hidden
        yield f"TE alone, {name}", start + header + b"\r\n" + hidden
    # 3. Lengths that only some understand.
    for length in _LENGTHS:
        yield f"length {length!r}", start + with_length(length) + b"\r\n" + inner
    yield "two lengths", start + with_length(0) + with_length(len(inner)) + b"\r\n" + inner
    yield "two lengths, the other order", start + with_length(len(inner)) + with_length(0) + b"\r\n" + inner
    yield "a list of lengths", start + with_length(f"0, {len(inner)}") + b"\r\n" + inner
    yield (
        "a length before a colon",
        start + b"Content-Length : 0\r\n" + with_length(len(inner)) + b"\r\n" + inner,
    )
    yield "a folded length", start + b"Content-Length:\r\n 0\r\n" + with_length(len(inner)) + b"\r\n" + inner
    # 4. Lines that end for some.
    yield (
        "bare LF after a header",
        start + b"A: b\nContent-Length: 0\n" + with_length(len(inner)) + b"\r\n" + inner,
    )
    yield (
        "bare CR in a header",
        start + b"A: b\rContent-Length: 0\r\n" + with_length(len(inner)) + b"\r\n" + inner,
    )
    yield "bare LF before the body", start + with_length(0) + b"\n" + inner
    yield "bare LF everywhere", (start + with_length(0) + b"\r\n").replace(b"\r\n", b"\n") + inner
    yield "NUL in a header", start + b"A: \x00\r\nContent-Length: 0\r\n\r\n" + inner
    yield "a header without a name", start + b": b\r\nContent-Length: 0\r\n\r\n" + inner
    yield "a header without a colon", start + b"Content-Length 0\r\nContent-Length: 0\r\n\r\n" + inner
    yield "a folded header", start + b"A: b\r\n Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + inner
    # 5. Chunks that end for some.
    for name, chunks in _chunks(inner).items():
        yield f"chunks, {name}", start + chunked + b"\r\n" + chunks
    # 6. Requests that have no body for some.
    get = start.replace(b"POST", b"GET", 1)
    yield "a body that GET does not have", get + with_length(len(inner)) + b"\r\n" + inner
    yield "HTTP/1.0 with chunks", start.replace(b"1.1", b"1.0") + chunked + with_length(5) + b"\r\n" + hidden
    yield "two hosts", start + _HOST + with_length(0) + b"\r\n" + inner
    yield "no version", b"POST " + path.encode() + b"\r\n\r\n" + inner
    yield (
        "another version",
        start.replace(b"HTTP/1.1", b"HTTP/1.9") + chunked + with_length(5) + b"\r\n" + hidden,
    )


_CODINGS: dict[str, bytes] = {
    "unknown": b"Transfer-Encoding: xchunked\r\n",
    "before a colon": b"Transfer-Encoding : chunked\r\n",
    "named twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
    "not last": b"Transfer-Encoding: chunked, identity\r\n",
    "quoted": b'Transfer-Encoding: "chunked"\r\n',
    "after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "with a NUL": b"Transfer-Encoding: chunked\x00\r\n",
    "behind a bare LF": b"A: b\nTransfer-Encoding: chunked\r\n",
    "folded": b"Transfer-Encoding:\r\n chunked\r\n",
    "named on two lines": b"Transfer-Encoding\r\n: chunked\r\n",
}
_LENGTHS = (
    "+0",
    "-0",
    "0x0",
    "0_0",
    "0 0",
    "0;",
    "0.0",
    "1e1",
    "\u0660",
    "",
    "18446744073709551616",
    "0\x00",
)


def _chunks(inner: bytes) -> dict[str, bytes]:
    return {
        "a size with a sign": b"+0\r\n\r\n" + inner,
        "a size in C's way": b"0x0\r\n\r\n" + inner,
        "a negative size": b"-1\r\n\r\n" + inner,
        "a size of 17 digits": b"10000000000000000\r\n\r\n" + inner,
        "no size": b"\r\n\r\n" + inner,
        "bare LF after the size": b"0\n\n" + inner,
        "bare LF after the last size": b"0\r\n\n" + inner,
        "bare LF in an extension": b"2;\nxx\r\n%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n",
        "bare CR after the size": b"0\r\r" + inner,
        "no end after its data": b"1\r\naX0\r\n\r\n" + inner,
        "a NUL in an extension": b"0;\x00\r\n\r\n" + inner,
    }
