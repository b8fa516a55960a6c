"""Whose row is it: aliases to subjects, new aliases, new subjects, links, and the strictest fence of each. Pure.

Must never write: it works on what was read under the tenant's lock and says what is to be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from store.lanes.event import TenantEvent, account_alias
from store.lanes.judge import NO_FENCE, Fence


@dataclass(frozen=True, slots=True)
class KnownSubject:
    """A subject's row as read under the lock."""

    subject_id: UUID
    generation: int
    erased_through_gen: int
    wrapped_dek: bytes | None = field(repr=False)
    dek_epoch: int | None
    fence: Fence
    linked: bool


class Subjects:
    """The subjects that one batch concerns. Feed it what was read, then resolve the events in offset order."""

    def __init__(self, new_id: Callable[[], UUID]) -> None:
        self._new_id = new_id
        self.known: dict[UUID, KnownSubject] = {}
        self.new_aliases: dict[bytes, UUID] = {}
        self.new_subjects: set[UUID] = set()
        self.new_links: dict[tuple[UUID, UUID], UUID] = {}
        """Ordered pairs, and the first event that names both."""
        self._by_alias: dict[bytes, UUID] = {}
        self._by_ref: dict[bytes, UUID] = {}
        self._leader: dict[UUID, UUID] = {}
        self._fences: dict[UUID, Fence] = {}

    def add_alias(self, pseudonym: bytes, subject: KnownSubject) -> None:
        """An alias that exists."""
        self._by_alias[pseudonym] = subject.subject_id
        self.add_subject(subject)

    def add_subject(self, subject: KnownSubject) -> None:
        """A subject that exists."""
        if subject.subject_id not in self.known:
            self.known[subject.subject_id] = subject
            self._tighten(subject.subject_id, subject.fence)

    def add_ref(self, message_ref: bytes, subject: UUID) -> None:
        """A message that exists, and whose it is."""
        self._by_ref[message_ref] = subject

    def add_link(self, root: UUID, other: UUID, fence: Fence) -> None:
        """Somebody whom `same_person` joins to `root`, directly or through others."""
        self._tighten(other, fence)
        self._join(root, other)

    def linked(self) -> list[UUID]:
        """Subjects whose links must be read."""
        return sorted(subject.subject_id for subject in self.known.values() if subject.linked)

    def home_of(self, event: TenantEvent) -> UUID:
        """The subject whose row `event` becomes, a new one for a stranger.

        The first alias that somebody has decides, in the order given. Unknown aliases join that subject; other subjects
        are linked with it, never merged.
        """
        aliases = event.persons
        if len(aliases) == 1:  # the common case, and the shorter way to the same
            home = self._by_alias.get(aliases[0])
            if home is None:
                home = self._by_alias[aliases[0]] = self.new_aliases[aliases[0]] = self._new_id()
                self.new_subjects.add(home)
            if event.message_ref:
                self._by_ref.setdefault(event.message_ref, home)
            return home
        if not aliases:
            by_ref = self._by_ref.get(event.message_ref) if event.message_ref else None
            if by_ref is not None:
                return by_ref
            aliases = (account_alias(event.account),)
        owners = [self._by_alias.get(alias) for alias in aliases]
        found = next((owner for owner in owners if owner is not None), None)
        home = found if found is not None else self._new_id()
        if found is None:
            self.new_subjects.add(home)
        for alias, owner in zip(aliases, owners, strict=True):
            if owner is None:
                self._by_alias[alias] = self.new_aliases[alias] = home
            elif owner != home:
                self.new_links.setdefault((min(home, owner), max(home, owner)), event.event_id)
                self._join(home, owner)
        if event.message_ref and event.persons:
            self._by_ref.setdefault(event.message_ref, home)
        return home

    def heir_of(self, skipped: UUID, kept: set[UUID]) -> UUID | None:
        """Who has the names of a new subject that is not made: somebody of `kept` or known, who is the same person.

        Without it a name that an erased person's backlog tells would be a stranger's in the next batch. None: nobody.
        """
        leader = self._find(skipped)
        same = [one for one in (*self.known, *kept) if self._find(one) == leader]
        return min(same, default=None)

    def fence_of(self, subject: UUID) -> Fence:
        """The strictest fence of the subject and of everybody linked with it."""
        return self._fences.get(self._find(subject), NO_FENCE) if self._fences else NO_FENCE

    def opens_to_any(self, subject: UUID) -> bool:
        """Whether any event may open the next generation: nobody who is the same person was erased as a person.

        Whoever lost the key with one account's erasure is not fenced: what other accounts bring of them is live.
        """
        return not self.fence_of(subject).stands

    def _tighten(self, subject: UUID, fence: Fence) -> None:
        if fence is not NO_FENCE:
            leader = self._find(subject)
            self._fences[leader] = self._fences.get(leader, NO_FENCE).joined(fence)

    def _join(self, one: UUID, other: UUID) -> None:
        first, second = self._find(one), self._find(other)
        if first != second:
            self._leader[second] = first
            self._tighten(first, self._fences.pop(second, NO_FENCE))

    def _find(self, subject: UUID) -> UUID:
        while (leader := self._leader.get(subject)) is not None:
            subject = leader
        return subject


def named_by(events: Iterable[TenantEvent]) -> tuple[set[bytes], set[bytes]]:
    """All aliases of the events, and the message refs of those that name nobody."""
    aliases: set[bytes] = set()
    refs: set[bytes] = set()
    for event in events:
        if event.persons:
            aliases.update(event.persons)
        else:
            aliases.add(account_alias(event.account))
            if event.message_ref is not None:
                refs.add(event.message_ref)
    return aliases, refs
