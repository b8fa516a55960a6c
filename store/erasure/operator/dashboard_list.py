"""Reads the deletion list of Meta's dashboard: one id a line, or CSV with the id in the first column. Pure.

The list holds app-scoped ids, Page-scoped ids or Instagram ids and does not say which (META.md section 15), and an id of
one namespace never stands for somebody in another: each entry is asked for in every namespace wanted, as a request of its
own. Must never quote an entry in an error.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import Final, Literal
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from contracts.erasure_requests import REQUEST_NAMESPACE, Identifier, SubjectRequest
from contracts.errors import ContractViolation
from contracts.pseudonyms import KeyedHash
from store.erasure.requests.identifiers import pseudonyms_of

ListedKind = Literal["psid", "igsid"]
LONGEST_LIST: Final = 1_000_000
_ZONE: Final = ZoneInfo("America/Sao_Paulo")


def entries(text: str) -> list[str]:
    """The ids, each once, in their order. A first line without any digit is a heading.

    Raises ContractViolation, naming the line, for anything that is not an id.
    """
    found: dict[str, None] = {}
    for number, row in enumerate(_rows(text.removeprefix("\ufeff")), 1):
        value = row[0].strip() if row else ""
        if not value:
            continue
        if value.isascii() and value.isdigit() and len(value) <= 32:
            found[value] = None
        elif number > 1 or any(character.isdigit() for character in value):
            raise ContractViolation(f"line {number} of the list does not begin with an id")
    if len(found) > LONGEST_LIST:
        raise ContractViolation("the list is longer than any of Meta's")
    return list(found)


def _rows(text: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text))
    except csv.Error as exc:
        raise ContractViolation("the list is neither one id a line nor CSV") from exc


def requests_of(
    ids: Sequence[str],
    kinds: Sequence[ListedKind],
    *,
    tenant: UUID,
    keyed: KeyedHash,
    listed_on: date,
    now_ms: int,
    asked_by: str,
) -> list[SubjectRequest]:
    """One request for each entry and namespace. An entry has one id for ever, made of its pseudonym, however often the list
    comes; the list's date is its time. `keyed`: the tenant's pseudonym key.
    """
    listed_at_ms = int(datetime.combine(listed_on, time(), _ZONE).timestamp() * 1000)
    made = []
    for value in ids:
        for kind in kinds:
            identifier = Identifier(kind=kind, value=value)
            (pseudonym,) = pseudonyms_of(keyed, (identifier,))
            made.append(
                SubjectRequest(
                    request=uuid5(REQUEST_NAMESPACE, f"import/{tenant}/{pseudonym.hex()}"),
                    received_at_ms=now_ms,
                    tenant=tenant,
                    identifiers=(identifier,),
                    reason="import",
                    asked_by=asked_by,
                    requested_at_ms=min(listed_at_ms, now_ms),
                )
            )
    return made
