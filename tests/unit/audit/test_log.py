"""What an audit entry may hold, and its bytes."""

from uuid import UUID

import pytest

from contracts.canonical import canonical, is_canonical
from store.audit.log import AuditEntry, What

ENTRY = UUID("00000000-0000-4000-8000-000000000001")
REQUEST = UUID("00000000-0000-4000-8000-000000000002")


def test_an_entry_is_canonical_with_the_databases_time_in_front() -> None:
    entry = AuditEntry(
        What.ERASURE_EXECUTED,
        "erasure",
        request=REQUEST,
        reason="operator",
        digest=bytes(32),
        numbers={"b": 2, "a": 1},
    )
    raw = ('{"at_us":1700000000000000,' + entry.after_time(ENTRY)).encode()
    assert is_canonical(raw)
    assert raw.startswith(b'{"at_us":1700000000000000,"by":"erasure","digest":"0000')
    assert b'"numbers":{"a":1,"b":2}' in raw


@pytest.mark.parametrize(
    "text", ["Maria", "maria aparecida", "+5531988714021", "5531988714021", "", "a" * 65, 'x"y', "m@x.br"]
)
def test_what_is_no_slug_cannot_be_said(text: str) -> None:
    with pytest.raises(ValueError, match="slugs"):
        AuditEntry(What.DATA_READ, text)
    with pytest.raises(ValueError, match="slugs"):
        AuditEntry(What.DATA_READ, "mk_reader", reason=text)
    with pytest.raises(ValueError, match="slugs"):
        AuditEntry(What.DATA_READ, "mk_reader", numbers={text: 1})


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**53, {"a": 2.0}, {"é": 1}, [b"x"], {1: 2}])
def test_what_has_more_than_one_spelling_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"spelling|ASCII|large"):
        canonical(value)  # type: ignore[arg-type]


def test_rfc_8785_escapes_and_order() -> None:
    assert canonical({"b": '\x0f\n"\\/é€', "a": [True, None, -1]}) == (
        '{"a":[true,null,-1],"b":"\\u000f\\n\\"\\\\/é€"}'.encode()
    )


@pytest.mark.parametrize(
    "raw", [b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1.0}', b'{"a":1,"a":1}', b"[", b'{"a":"\\u0041"}']
)
def test_another_spelling_is_not_canonical(raw: bytes) -> None:
    assert not is_canonical(raw)
