"""What the items of one WhatsApp value share: account, metadata, contacts. META.md sections 5.2 and 8."""

from __future__ import annotations

from dataclasses import dataclass

from router.split.compose import Entry, Place
from router.split.identity import Contacts, Identifiers, Person
from router.split.item import AccountKey
from router.split.reading import Json


@dataclass(slots=True, repr=False)
class ValueContext:
    """One `changes[].value` that is made of lists."""

    entry: Entry
    path: str
    field: str
    account: AccountKey | None
    account_data: Json | None
    head: Json
    """`messaging_product` and `metadata`, shared by all items."""
    own_phone: str | None
    """The business's own number in its canonical form."""
    contacts: Contacts

    @property
    def around(self) -> tuple[object, ...]:
        """What every item repeats."""
        return self.entry.head, self.head, self.field

    def ids(self) -> Identifiers:
        """An empty set of ids that will not take the business's own number."""
        return Identifiers(self.own_phone)

    def place(self, path: str, fragment: Json, collection: str) -> Place:
        """The place of one item inside this value."""
        envelope = self.entry.envelope("changes", self.field)
        envelope["value"] = self.head
        return Place(
            path,
            self.entry.provider_object,
            self.account,
            self.account_data,
            self.entry.time,
            self.field,
            fragment,
            envelope,
            collection,
        )

    def person(self, ids: Identifiers, place: Place) -> Person:
        """The person with what the value's contacts add; their contacts go into the item's envelope."""
        person, contacts = self.contacts.complete(ids)
        if contacts:
            place.envelope["contacts"] = contacts
        return person
