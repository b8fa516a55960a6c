"""`make demo`: holds what became of each webhook against what must, and looks for the demo's people in every byte kept.

Raises `WrongOutcome` with one sentence at the first thing that is not as it should be.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from deploy.local.demo.samples import Sample
from deploy.local.demo.trace import Trace

_CHUNK = 1 << 20


class WrongOutcome(Exception):
    """The demo found something that is not as it should be; the text says what, in one sentence."""


def check_trace(trace: Trace, names: dict[str, str]) -> None:
    """Hold one webhook's trace against its sample."""
    sample = trace.sample
    _expect(trace.status == sample.status, f"{sample.title}: answered {trace.status}, not {sample.status}")
    if sample.expected == "rejected":
        _expect(trace.raw is None, f"{sample.title}: it was refused and is on raw all the same")
        return
    line = trace.line
    if line is None:
        raise WrongOutcome(f"{sample.title}: there is no ledger line")
    _expect(line.ended() == line.items, f"{sample.title}: {line.items} items, {line.ended()} ends")
    found = sorted((names.get(event.tenant, event.tenant), event.event_type) for event in trace.events)
    _expect(
        found == sorted(sample.events),
        f"{sample.title}: on the topics are {_some(found)}, not {_some(sample.events)}",
    )
    missing = sum(1 for event in trace.events if event.event_id not in trace.rows)
    _expect(not missing, f"{sample.title}: {missing} of {len(trace.events)} events are no rows")
    reasons = {
        reason for counts in line.tenants.values() for reason in (*counts.quarantined, *counts.refused)
    }
    wanted = {sample.reason} if sample.expected in ("quarantined", "refused") else set()
    _expect(reasons == wanted, f"{sample.title}: set aside for {_some(reasons)}, not {_some(wanted)}")


def check_read_back(traces: Iterable[Trace], plain: dict[str, str], texts: Iterable[str]) -> None:
    """Every text that was posted must be readable with the key, and no row without it."""
    read = set(plain.values())
    for number, text in enumerate(texts, 1):
        _expect(
            any(text in one for one in read), f"text {number} of the demo cannot be read back with the key"
        )
    for trace in traces:
        for event_id, row in trace.rows.items():
            text = plain.get(event_id, "")
            _expect(
                not text or text.encode() not in row,
                f"{trace.sample.title}: its row is readable without the key",
            )


def check_not_read(plain: dict[str, str], texts: Iterable[str]) -> None:
    """No text that was taken back may be readable with any key."""
    for number, text in enumerate(texts, 1):
        _expect(
            not any(text in one for one in plain.values()), f"text {number} that was taken back is still read"
        )


def check_nothing_personal(folders: Iterable[Path], personal: Iterable[str]) -> int:
    """No file under `folders` may hold any of `personal`, as text or with JSON's escapes. Bytes searched.

    Raises WrongOutcome naming the file and the number of the finding, never its text.
    """
    searched = 0
    needles = [forms_of(text) for text in personal]
    for path, content in contents_of(folders):
        searched += len(content)
        for number, forms in enumerate(needles, 1):
            _expect(
                not any(form in content for form in forms),
                f"{path} holds personal item {number} of the demo in the clear",
            )
    return searched


def forms_of(text: str) -> tuple[bytes, ...]:
    """UTF-8, and ASCII with `\\u` escapes as Meta sends it."""
    escaped = text.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00")
    return (text.encode(), escaped) if escaped != text.encode() else (text.encode(),)


def contents_of(folders: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """Every file below these folders with its bytes, but for whole blocks of zeros. One that goes meanwhile is left out."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                try:
                    yield path, content_of(path)
                except FileNotFoundError:
                    continue  # a server removed it meanwhile


def content_of(path: Path) -> bytes:
    """Without whole blocks of zeros: Kafka's index files are sparse, their apparent size says nothing."""
    with path.open("rb") as file:
        parts = []
        while chunk := file.read(_CHUNK):
            if chunk.strip(b"\0"):
                parts.append(chunk)
        return b"".join(parts)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WrongOutcome(otherwise)


def _some(found: Iterable[object]) -> str:
    listed = sorted({str(one) for one in found})
    return ", ".join(listed[:4]) or "nothing"


def texts_of(samples: Iterable[Sample], texts: Iterable[str]) -> list[str]:
    """Those of `texts` that some stored sample carries."""
    bodies = [sample.body for sample in samples if sample.expected == "stored"]
    return [text for text in texts if any(form in body for form in forms_of(text) for body in bodies)]
