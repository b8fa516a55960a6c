"""Who an item is about: every alias of the one person, and what the event's `data` says about them.

META.md section 9, PRIVACY.md section 3. Ids are recognised by their shape, not by the field they stand in: a BSUID also
arrives inside `from` and `wa_id`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from contracts.pseudonyms import Alias, Domain, phone_forms
from router.split.reading import NOTHING, Json, as_id, as_object, as_text

_BSUID: Final = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")
_PARENT_BSUID: Final = re.compile(r"[A-Z]{2}\.ENT\.[A-Za-z0-9]{1,128}")
_PHONE: Final = re.compile(r"\+?[0-9 ()./-]*[0-9][0-9 ()./-]*")
_GROUP_SUFFIX: Final = "@g.us"
_NAMES: Final = ("name", "username")
NUMBERS_KEPT: Final = 4_096

_BY_BSUID: Final = Domain.BSUID
_BY_PARENT: Final = Domain.PARENT_BSUID
_BY_PHONE: Final = Domain.PHONE
_PERSONAL_DOMAINS: Final = {Domain.PSID: "psid", Domain.IGSID: "igsid"}


class Person(NamedTuple):
    """The one person of an item; without aliases, nobody."""

    aliases: tuple[Alias, ...] = ()
    conversation: str | None = None
    data: dict[str, str] | None = None

    def __repr__(self) -> str:
        return "Person()"


NOBODY: Final = Person()


def person_by(domain: Domain, value: object, *, own: str | None, profile: Json = NOTHING) -> Person:
    """A Messenger or Instagram person. `own`: the account's id, which is nobody. META.md section 9.1."""
    identifier = as_id(value)
    if identifier is None or identifier == own:
        return NOBODY
    data = {_PERSONAL_DOMAINS[domain]: identifier}
    if profile:
        _add_names(data, profile)
    return Person((Alias(domain, identifier),), identifier, data)


class Identifiers:
    """WhatsApp ids of one person as they are found, sorted by kind; the first of each kind is the leading one."""

    __slots__ = ("_own_phone", "bsuids", "parents", "phones")

    def __init__(self, own_phone: str | None) -> None:
        """`own_phone`: the business's own number in its canonical form, which is nobody's alias."""
        self._own_phone = own_phone
        self.bsuids: list[str] = []
        self.parents: list[str] = []
        self.phones: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.bsuids or self.phones or self.parents)

    def add(self, value: object, *, parent: bool = False) -> None:
        """Take an id by its shape. What has no known shape is kept as it is, so that erasing by it still finds it."""
        if isinstance(value, str) and value.isdigit() and value.isascii():
            self._add_phone(value)
            return
        identifier = as_id(value)
        if identifier is None:
            return
        if identifier.isdigit() and identifier.isascii():
            self._add_phone(identifier)
        elif _PARENT_BSUID.fullmatch(identifier):
            _append(self.parents, identifier)
        elif _BSUID.fullmatch(identifier):
            _append(self.parents if parent else self.bsuids, identifier)
        elif _PHONE.fullmatch(identifier):
            self._add_phone(identifier)
        elif not identifier.endswith(_GROUP_SUFFIX):
            _append(self.parents if parent else self.bsuids, identifier)

    def add_all(self, source: Json, ids: Iterable[str], parents: Iterable[str] = ()) -> Identifiers:
        """Take the named fields of one object."""
        for name in ids:
            if name in source:
                self.add(source[name])
        for name in parents:
            if name in source:
                self.add(source[name], parent=True)
        return self

    def merge(self, other: Identifiers) -> None:
        """Take another's ids behind one's own."""
        for identifier in other.bsuids:
            _append(self.bsuids, identifier)
        for identifier in other.parents:
            _append(self.parents, identifier)
        for identifier in other.phones:
            self._add_phone(identifier)

    def within(self, other: Identifiers) -> bool:
        """Whether the other has all of these."""
        for phone in self.phones:
            if phone not in other.phones:
                return False
        for bsuid in self.bsuids:
            if bsuid not in other.bsuids:
                return False
        return not self.parents or set(self.parents) <= set(other.parents)

    def is_phone_of(self, other: Identifiers) -> bool:
        """Whether these are phones only, and the other has the same."""
        return bool(self.phones) and self.phones == other.phones and not self.bsuids and not self.parents

    def contradicts(self, other: Identifiers) -> bool:
        """Whether both name a BSUID and share none: then they are two people."""
        return bool(self.bsuids and other.bsuids) and not set(self.bsuids) & set(other.bsuids)

    def person(self, profile: Json = NOTHING) -> Person:
        """The person with all aliases in ALIAS_ORDER. `profile`: `contacts[].profile`."""
        if len(self.phones) == 1 and not self.bsuids and not self.parents:  # Nearly always.
            phone = self.phones[0]
            plain = {"phone": phone}
            if profile:
                _add_names(plain, profile)
            return Person(_phone_aliases(phone), phone, plain)
        if not self:
            return NOBODY
        aliases: list[Alias] = []
        data: dict[str, str] = {}
        if self.bsuids:
            data["bsuid"] = self.bsuids[0]
            aliases += [Alias(_BY_BSUID, value) for value in self.bsuids]
        if self.parents:
            data["parent_bsuid"] = self.parents[0]
            aliases += [Alias(_BY_PARENT, value) for value in self.parents]
        if self.phones:
            data["phone"] = self.phones[0]
            for phone in self.phones:
                aliases += _phone_aliases(phone)
        if profile:
            _add_names(data, profile)
        leading = self.bsuids or self.phones or self.parents
        return Person(tuple(aliases), leading[0], data)

    def _add_phone(self, value: str) -> None:
        forms = _forms(value)
        if forms and forms[0] != self._own_phone and forms[0] not in self.phones:
            self.phones.append(forms[0])


def _add_names(data: dict[str, str], profile: Json) -> None:
    for name in _NAMES:
        if name in profile:
            text = as_text(profile[name])
            if text:
                data[name] = text


def canonical_phone(value: str) -> str | None:
    """The form of a phone number by which numbers are compared; None if it has no digits."""
    forms = _forms(value)
    return forms[0] if forms else None


@lru_cache(maxsize=NUMBERS_KEPT)
def _forms(value: str) -> tuple[str, ...]:
    """Asked for several times a message (sender, contact, own number), and people write more than once."""
    return phone_forms(value)


@lru_cache(maxsize=NUMBERS_KEPT)
def _phone_aliases(phone: str) -> tuple[Alias, ...]:
    return tuple(Alias(_BY_PHONE, form) for form in _forms(phone))


def _append(identifiers: list[str], identifier: str) -> None:
    if identifier not in identifiers:
        identifiers.append(identifier)


class Contacts:
    """The `contacts` of one WhatsApp value, handed to the items they belong to. META.md section 9.1, PRIVACY.md section 3.

    A contact that belongs to no item becomes an item of its own: inside somebody else's event it would be encrypted under
    that person's key and survive its own person's erasure.
    """

    __slots__ = ("_by_key", "_sole", "_taken", "entries")

    def __init__(self, entries: Sequence[Json], own_phone: str | None, *, sole_item: bool) -> None:
        """`sole_item`: the value holds one item, so a sole contact is its person even if the ids differ (META.md 9.1)."""
        self.entries = [(contact, contact_ids(contact, own_phone)) for contact in entries]
        self._sole = sole_item and len(entries) == 1
        self._taken: set[int] = set()
        self._by_key: dict[str, int] | None = None

    @property
    def all_taken(self) -> bool:
        """Whether every contact belongs to an item."""
        return len(self._taken) == len(self.entries)

    def complete(self, ids: Identifiers) -> tuple[Person, list[Json]]:
        """The person with what the contacts add, and the contacts that are theirs."""
        if not self.entries:
            return ids.person(), []
        if len(self.entries) == 1 and ids.is_phone_of(self.entries[0][1]):  # Nearly always.
            self._taken.add(0)
            contact, theirs = self.entries[0]
            return theirs.person(as_object(contact.get("profile"))), [contact]
        places = self._matching(ids)
        if not places:
            return ids.person(), []
        self._taken.update(places)
        contact, theirs = self.entries[places[0]]
        profile = as_object(contact.get("profile"))
        if len(places) == 1 and ids.within(theirs):  # The contact knows the person best.
            return theirs.person(profile), [contact]
        for place in places:
            ids.merge(self.entries[place][1])
        return ids.person(profile), [self.entries[place][0] for place in places]

    def _matching(self, ids: Identifiers) -> list[int]:
        places: list[int] = []
        if self._by_key is None:
            self._by_key = self._indexed()
        for keys in (ids.phones, ids.bsuids, ids.parents):
            for key in keys:
                place = self._by_key.get(key)
                if place is not None and place not in places:
                    places.append(place)
        if not places and self._sole and not ids.contradicts(self.entries[0][1]):
            return [0]
        return sorted(places) if len(places) > 1 else places

    def _indexed(self) -> dict[str, int]:
        """Every id of a contact, with its place. Kinds of ids cannot collide: only phones are digits."""
        return {
            key: place
            for place, (_, ids) in enumerate(self.entries)
            for key in (*ids.phones, *ids.bsuids, *ids.parents)
        }

    def left_over(self) -> list[tuple[int, Json, Person]]:
        """Contacts that no item took, with their place among the entries."""
        return [
            (place, contact, ids.person(as_object(contact.get("profile"))))
            for place, (contact, ids) in enumerate(self.entries)
            if place not in self._taken
        ]


def contact_ids(contact: Json, own_phone: str | None) -> Identifiers:
    """The ids of one entry of `contacts`."""
    return Identifiers(own_phone).add_all(contact, ("user_id", "wa_id"), ("parent_user_id",))
