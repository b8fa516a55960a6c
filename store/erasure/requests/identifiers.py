"""Plain identifiers to pseudonyms, at admission: after that nobody here knows a plain one.

The tenant's pseudonym key is opened for the call and kept by nobody. PRIVACY.md sections 2 and 3 "Any alias erases all".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from contracts.erasure_requests import Identifier
from contracts.errors import KeyNotYetKnown
from contracts.pseudonyms import ALIAS_ORDER, Domain, KeyedHash, phone_forms, pseudonym_by
from store.database import with_names
from store.erasure.tenants import SQL, TenantSchema, inside
from store.keys.cells import pseudonym_key_aad, unwrap_key
from store.lanes.keks import TenantKeks, WrappedKek

if TYPE_CHECKING:
    from store.database import Connection

DOMAINS: Final = {
    "bsuid": Domain.BSUID,
    "parent_bsuid": Domain.PARENT_BSUID,
    "phone": Domain.PHONE,
    "psid": Domain.PSID,
    "igsid": Domain.IGSID,
}


async def pseudonym_key(connection: Connection, tenant: TenantSchema, keks: TenantKeks) -> KeyedHash:
    """The tenant's pseudonym key, ready to use. Raises KeyNotYetKnown, KeyServiceUnavailable or DatabaseUnavailable."""
    async with inside(connection, tenant):
        row = await connection.fetchrow(with_names(SQL["epochs"], schema=tenant.schema))
    if row is None:
        raise KeyNotYetKnown("the tenant has no pseudonym key")
    kek = await keks.cipher(tenant.tenant, WrappedKek(row["epoch"], row["root_epoch"], row["wrapped_kek"]))
    return KeyedHash(unwrap_key(kek, row["wrapped"], pseudonym_key_aad(tenant.tenant, row["epoch"])))


def pseudonyms_of(keyed: KeyedHash, identifiers: Iterable[Identifier]) -> tuple[bytes, ...]:
    """Every form of every identifier, the most specific kind first. Empty if nothing could be looked for.

    A Brazilian mobile has two forms, with and without the ninth digit; a value without any digit is no phone.
    """
    found = [(DOMAINS[one.kind], one.value.strip()) for one in identifiers]
    found.sort(key=lambda pair: ALIAS_ORDER.index(pair[0]))
    forms: list[bytes] = []
    for domain, value in found:
        values = phone_forms(value) if domain is Domain.PHONE else (value,)
        forms += [pseudonym_by(keyed, domain, form) for form in values if form]
    return tuple(dict.fromkeys(forms))
