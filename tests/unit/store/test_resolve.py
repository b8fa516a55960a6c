"""Whose row an event becomes."""

from datetime import timedelta
from itertools import count
from uuid import UUID

from store.lanes.event import TenantEvent, account_alias
from store.lanes.judge import NO_FENCE, Fence
from store.lanes.resolve import KnownSubject, Subjects, named_by
from tests.unit.store.test_judge import EVENT, NOON

A, B, C = (letter * 16 for letter in (b"a", b"b", b"c"))


def subjects() -> Subjects:
    numbers = count(100)
    return Subjects(lambda: UUID(int=next(numbers)))


def known(number: int, fence: Fence = NO_FENCE) -> KnownSubject:
    return KnownSubject(UUID(int=number), 1, 0, b"wrapped", 1, fence, linked=False)


def naming(*persons: bytes, ref: bytes | None = None) -> TenantEvent:
    return EVENT._replace(persons=persons, message_ref=ref)


def test_all_aliases_of_a_stranger_become_one_new_subject() -> None:
    found = subjects()
    home = found.home_of(naming(A, B))
    assert found.new_aliases == {A: home, B: home}
    assert found.home_of(naming(B)) == home
    assert found.new_subjects == {home}


def test_the_first_alias_that_somebody_has_decides() -> None:
    found = subjects()
    found.add_alias(B, known(2))
    found.add_alias(C, known(1))
    assert found.home_of(naming(A, B, C)) == UUID(int=2)
    assert found.new_aliases == {A: UUID(int=2)}
    assert found.new_links == {(UUID(int=1), UUID(int=2)): EVENT.event_id}


def test_a_link_joins_the_fences_of_both_ends_whichever_is_resolved_first() -> None:
    found = subjects()
    fence = Fence(watermark=NOON)
    found.add_alias(A, known(1))
    found.add_alias(B, known(2))
    found.add_alias(C, known(3, fence))
    found.home_of(naming(A, B))
    assert found.fence_of(UUID(int=1)) == NO_FENCE
    found.home_of(naming(B, C))
    assert found.fence_of(UUID(int=1)) == fence
    assert found.fence_of(UUID(int=3)) == fence


def test_links_that_were_read_carry_their_fences() -> None:
    found = subjects()
    found.add_alias(A, known(1, Fence(watermark=NOON)))
    later = Fence(watermark=NOON + timedelta(days=1))
    found.add_link(UUID(int=1), UUID(int=9), later)
    assert found.fence_of(UUID(int=1)) == later


def test_an_event_that_names_nobody_takes_the_subject_of_its_message_or_of_the_account() -> None:
    found = subjects()
    found.add_ref(C, UUID(int=7))
    assert found.home_of(naming(ref=C)) == UUID(int=7)
    home = found.home_of(naming(ref=B))
    assert found.new_aliases == {account_alias(EVENT.account): home}
    mine = found.home_of(naming(A, ref=A))
    assert found.home_of(naming(ref=A)) == mine


def test_what_must_be_read_is_every_alias_and_the_refs_of_those_that_name_nobody() -> None:
    aliases, refs = named_by([naming(A, B, ref=A), naming(ref=C)])
    assert aliases == {A, B, account_alias(EVENT.account)}
    assert refs == {C}


def test_any_event_opens_a_key_but_of_somebody_who_is_the_same_person_as_one_erased() -> None:
    found = subjects()
    without_key = KnownSubject(UUID(int=1), 2, 1, None, None, NO_FENCE, linked=True)
    found.add_alias(A, without_key)
    found.add_alias(B, known(2, Fence(executed_at=NOON)))
    assert found.opens_to_any(UUID(int=1))
    assert not found.opens_to_any(UUID(int=2))
    found.home_of(naming(A, B))
    assert not found.opens_to_any(UUID(int=1))
