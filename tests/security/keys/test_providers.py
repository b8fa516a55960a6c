"""One suite for every key provider, and what each has of its own: the keyring's escrow, Transit's server away or strange.

`MKC_TEST_TRANSIT_URL` and `MKC_TEST_TRANSIT_TOKEN` name a Vault or OpenBao of yours, with Transit at `transit` and KV
version 2 at `secret`: the suite then runs on it, too; and on an OpenBao that `make openbao` has built.
"""

import os
import secrets
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from contracts.errors import InvalidSettings, KeyNotYetKnown, KeyServiceUnavailable, TamperedRecord
from deploy.local.certificates import NODE, Authority
from runtime.files import SecretFolder
from runtime.key_watch import watch_keys
from runtime.tls import TrustFile, trusting_context
from runtime.vault import VaultServer
from store.keys.cells import kek_aad
from store.keys.keyring import LocalKeyring
from store.keys.provider import KeyProvider, Rewrap, require_budget
from store.keys.transit import Transit
from store.lanes.keks import TenantKeks, WrappedKek
from tests.support.key_policies import POLICIES
from tests.support.key_server import KeyServer, token_file
from tests.support.transit_server import TransitServer as Server
from tests.support.transit_server import transit_server


class Seen(Exception):
    """Enough was seen."""


OWN_URL = os.environ.get("MKC_TEST_TRANSIT_URL")


@dataclass(frozen=True, slots=True)
class Served:
    """A Transit client and the server behind it."""

    server: Server
    client: Transit


@pytest.fixture
async def transit(tmp_path: Path) -> AsyncIterator[Served]:
    async with transit_server() as server:
        client = Transit(VaultServer(server.url, token_file(tmp_path, "token", server.token)))
        yield Served(server, client)
        await client.close()


@pytest.fixture(params=["keyring", "transit", "OpenBao", *(["own transit"] if OWN_URL else [])])
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KeyProvider]:
    if request.param == "keyring":
        yield LocalKeyring(SecretFolder(tmp_path / "keys"), SecretFolder(tmp_path / "escrow"))
        return
    async with AsyncExitStack() as stack:
        if request.param == "transit":
            server = await stack.enter_async_context(transit_server())
            server.policies["custodian"] = {
                path: frozenset(may) for path, may in POLICIES["custodian"].items()
            }
            token = token_file(tmp_path, "token", server.token_for(["custodian"]))
            client = Transit(VaultServer(server.url, token))
        else:
            # Others are there, too: names of its own, and the custodian's rights to no more than these.
            prefix = "t" + secrets.token_hex(4)
            client = Transit(_elsewhere(request, tmp_path, prefix), prefix=prefix)
        stack.push_async_callback(client.close)
        yield client


def _elsewhere(request: pytest.FixtureRequest, folder: Path, prefix: str) -> VaultServer:
    if request.param == "OpenBao":
        server: KeyServer = request.getfixturevalue("openbao_server")
        paths = {path.replace("mk-", f"{prefix}-"): may for path, may in POLICIES["custodian"].items()}
        return server.at(folder, server.token(prefix, paths))
    return VaultServer(str(OWN_URL), token_file(folder, "token", os.environ["MKC_TEST_TRANSIT_TOKEN"]))


async def test_what_is_wrapped_opens_under_its_epoch_and_aad_only(provider: KeyProvider) -> None:
    await provider.new_epoch(1)
    await provider.new_epoch(2)
    wrapped = await provider.wrap(1, b"k" * 32, b"aad")
    assert await provider.unwrap(1, wrapped, b"aad") == b"k" * 32
    for epoch, raw, aad in (
        (2, wrapped, b"aad"),
        (1, wrapped, b"other"),
        (1, wrapped[:-1], b"aad"),
        (1, wrapped[:-6] + bytes(6), b"aad"),
        (1, b"", b"aad"),
        (1, b"\xff" * 60, b"aad"),
    ):
        with pytest.raises(TamperedRecord):
            await provider.unwrap(epoch, raw, aad)


async def test_a_form_that_a_server_would_read_and_never_write_is_refused(provider: KeyProvider) -> None:
    await provider.new_epoch(1)
    wrapped = await provider.wrap(1, b"k" * 32, b"aad")
    start, middle = len(b"vault:v1:"), len(wrapped) // 2
    for changed in (
        wrapped.replace(b"v1", b"v+1", 1),
        wrapped.replace(b"v1", b"v01", 1),
        wrapped.replace(b"v1", b"v0", 1),
        wrapped[:middle] + b"\n" + wrapped[middle:],
        wrapped[:start] + b"\r\n" + wrapped[start:],
        wrapped + b"\n",
    ):
        if changed != wrapped:
            with pytest.raises(TamperedRecord):
                await provider.unwrap(1, changed, b"aad")


async def test_an_epoch_that_does_not_exist_is_never_made_by_using_it(provider: KeyProvider) -> None:
    await provider.new_epoch(1)
    with pytest.raises(KeyNotYetKnown):
        await provider.wrap(2, b"k" * 32, b"")
    with pytest.raises(KeyNotYetKnown):
        await provider.unwrap(2, await provider.wrap(1, b"k" * 32, b""), b"")
    assert (await provider.status()).epochs == (1,)


async def test_an_epoch_made_twice_keeps_its_key(provider: KeyProvider) -> None:
    await provider.new_epoch(1)
    wrapped = await provider.wrap(1, b"k" * 32, b"")
    await provider.new_epoch(1)
    assert await provider.unwrap(1, wrapped, b"") == b"k" * 32


async def test_many_wraps_move_to_another_epoch_all_or_none(provider: KeyProvider) -> None:
    await provider.new_epoch(1)
    await provider.new_epoch(2)
    wraps = [
        Rewrap(await provider.wrap(1, bytes([n]) * 32, b"old%d" % n), b"old%d" % n, b"new%d" % n)
        for n in range(5)
    ]
    moved = await provider.rewrap_many(1, 2, wraps)
    assert [await provider.unwrap(2, raw, b"new%d" % n) for n, raw in enumerate(moved)] == [
        bytes([n]) * 32 for n in range(5)
    ]
    assert await provider.rewrap_many(1, 2, []) == []
    with pytest.raises(TamperedRecord):
        await provider.rewrap_many(1, 2, [*wraps, Rewrap(wraps[0].wrapped, b"wrong", b"")])


async def test_a_destroyed_epoch_opens_nothing_for_ever(provider: KeyProvider) -> None:
    await provider.new_epoch(1)
    await provider.new_epoch(2)
    wrapped = await provider.wrap(1, b"k" * 32, b"")
    for _ in range(2):
        await provider.destroy_epoch(1)
    assert (await provider.status()).epochs == (2,)
    with pytest.raises(KeyNotYetKnown):
        await provider.unwrap(1, wrapped, b"")
    with pytest.raises(KeyNotYetKnown):
        await provider.wrap(1, b"k" * 32, b"")
    await provider.new_epoch(1)
    with pytest.raises(TamperedRecord):
        await provider.unwrap(1, wrapped, b"")


async def test_secrets_are_kept_replaced_listed_and_destroyed(provider: KeyProvider) -> None:
    assert await provider.secret_names() == []
    await provider.put_secret("transport-a-1", b"one\x00")
    await provider.put_secret("transport-a-1", b"two\xff")
    assert await provider.get_secret("transport-a-1") == b"two\xff"
    assert await provider.put_secret_if_absent("transport-a-1", b"three") == b"two\xff"
    assert await provider.put_secret_if_absent("pseudonym-b", b"key") == b"key"
    assert await provider.secret_names("transport-") == ["transport-a-1"]
    for _ in range(2):
        await provider.destroy_secret("transport-a-1")
    with pytest.raises(KeyNotYetKnown):
        await provider.get_secret("transport-a-1")
    with pytest.raises(InvalidSettings):
        await provider.get_secret("../root-1")


def test_a_provider_that_destroys_too_slowly_is_refused(tmp_path: Path) -> None:
    def provider_with(hours: int) -> Transit:
        delay = timedelta(hours=hours)
        return Transit(VaultServer("http://127.0.0.1:1", tmp_path / "token"), destroy_delay=delay)

    require_budget(provider_with(12), timedelta(days=7), "X")
    with pytest.raises(InvalidSettings, match=r"^X: "):
        require_budget(provider_with(13), timedelta(days=7), "X")
    # AWS KMS destroys after 7 days at the earliest.
    with pytest.raises(InvalidSettings):
        require_budget(provider_with(7 * 24), timedelta(days=1), "X")


async def test_the_escrow_is_a_verified_copy_and_forgets_what_is_destroyed(tmp_path: Path) -> None:
    keys, escrow = tmp_path / "keys", tmp_path / "escrow"
    keyring = LocalKeyring(SecretFolder(keys), SecretFolder(escrow))
    await keyring.new_epoch(1)
    assert (escrow / "root-1").read_bytes() == (keys / "root-1").read_bytes()
    assert (escrow / "root-1").stat().st_mode & 0o777 == 0o600
    (escrow / "root-1").unlink()
    with pytest.raises(KeyServiceUnavailable):
        await keyring.status()
    await keyring.new_epoch(2)
    assert (await keyring.status()).copies == 2
    await keyring.destroy_epoch(1)
    assert sorted(path.name for path in (*keys.iterdir(), *escrow.iterdir())) == ["root-2", "root-2"]


async def test_a_kill_between_the_two_copies_is_finished_by_the_next_call(tmp_path: Path) -> None:
    keys, escrow = SecretFolder(tmp_path / "keys"), SecretFolder(tmp_path / "escrow")
    keyring = LocalKeyring(keys, escrow)
    await keyring.new_epoch(1)
    escrow.destroy("root-1")
    await keyring.destroy_epoch(1)
    assert keys.names() == escrow.names() == []
    keys.put_if_absent("root-2", b"r" * 32)
    await keyring.new_epoch(2)
    assert escrow.get("root-2") == b"r" * 32


async def test_overwriting_reaches_the_file_that_held_the_key(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path)
    folder.put("root-1", b"s" * 32)
    with (tmp_path / "root-1").open("rb") as same_file:
        folder.destroy("root-1")
        assert same_file.read() != b"s" * 32


async def test_transit_keys_cannot_be_taken_out_and_old_secrets_leave_no_version(
    transit: Served, tmp_path: Path
) -> None:
    await transit.client.new_epoch(1)
    key = transit.server.keys["mk-root-1"]
    assert not key.exportable
    assert not key.backup
    await transit.client.put_secret("a", b"1")
    await transit.client.put_secret("a", b"2")
    assert len(transit.server.kv.secrets["mk-store/a"].versions) == 1
    key.exportable = True
    again = Transit(VaultServer(transit.server.url, tmp_path / "token"))
    with pytest.raises(InvalidSettings):
        await again.wrap(1, b"k", b"")
    await again.close()


async def test_a_server_on_which_the_engines_are_not_mounted_has_destroyed_nothing(
    transit: Served, tmp_path: Path
) -> None:
    await transit.client.new_epoch(1)
    await transit.client.put_secret("a", b"1")
    elsewhere = Transit(VaultServer(transit.server.url, tmp_path / "token"), "absent", "absent-too")
    for call in (
        elsewhere.destroy_epoch(1),
        elsewhere.unwrap(1, b"vault:v1:AAAA", b""),
        elsewhere.status(),
        elsewhere.destroy_secret("a"),
        elsewhere.get_secret("a"),
        elsewhere.secret_names(),
    ):
        with pytest.raises(KeyServiceUnavailable):
            await call
    await elsewhere.close()
    assert (await transit.client.status()).epochs == (1,)


@pytest.mark.parametrize("fails_at", [1, 2, 3])
async def test_a_kill_between_the_calls_of_a_write_leaves_no_name_without_content(
    transit: Served, tmp_path: Path, fails_at: int
) -> None:
    def seal_at(count: int) -> None:
        transit.server.seals_at = None if count == 0 else transit.server.calls + count

    for before in (None, b"before"):
        name = f"a{before is None}"
        if before is not None:
            await transit.client.put_secret(name, before)
        seal_at(fails_at)
        with suppress(KeyServiceUnavailable):
            await transit.client.put_secret(name, b"after")
        seal_at(0)
        transit.server.sealed = False
        for listed in await transit.client.secret_names(name):
            assert await transit.client.get_secret(listed) in (before, b"after")
        await transit.client.put_secret(name, b"again")
        assert len(transit.server.kv.secrets[f"mk-store/{name}"].versions) == 1


async def test_a_token_that_others_may_read_is_refused(transit: Served, tmp_path: Path) -> None:
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(InvalidSettings):
        await transit.client.status()


async def test_an_outage_is_transient_visible_and_stops_nothing_that_is_open(transit: Served) -> None:
    tenant = UUID(int=7)
    await transit.client.new_epoch(1)
    row = WrappedKek(1, 1, await transit.client.wrap(1, b"k" * 32, kek_aad(tenant, 1)))
    keks = TenantKeks(transit.client)
    cipher = await keks.cipher(tenant, row)
    seen: list[bool] = []

    async def watch() -> None:
        def changed(is_up: bool) -> None:
            seen.append(is_up)
            if len(seen) == 2:
                transit.server.sealed = False
            if len(seen) == 3:
                raise Seen

        transit.server.sealed = True
        await watch_keys(transit.client.status, changed, every_s=0)

    transit.server.sealed = True
    calls = transit.server.calls
    assert await keks.cipher(tenant, row) is cipher
    assert transit.server.calls == calls
    for call in (
        transit.client.wrap(1, b"k", b""),
        transit.client.unwrap(1, row.wrapped, b""),
        transit.client.new_epoch(2),
        transit.client.destroy_epoch(1),
        transit.client.get_secret("a"),
        transit.client.status(),
    ):
        with pytest.raises(KeyServiceUnavailable):
            await call
    with pytest.raises(Seen):
        await watch()
    assert seen == [False, False, True]


async def test_nobody_at_the_address_is_transient_and_no_token_is_told(tmp_path: Path) -> None:
    server = VaultServer("http://127.0.0.1:1", token_file(tmp_path, "token", "hidden-token"))
    client = Transit(server)
    with pytest.raises(KeyServiceUnavailable) as caught:
        await client.status()
    assert "hidden-token" not in str(caught.value) + repr(server)
    await client.close()


async def test_a_replaced_authority_of_the_key_server_is_believed_without_a_restart(tmp_path: Path) -> None:
    first, second = (Authority(tmp_path / name, f"authority-{name}") for name in ("first", "second"))
    for authority in (first, second):
        authority.prepare()
    at_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    at_server.load_cert_chain(first.files(NODE).certificate, first.files(NODE).key)
    believed = tmp_path / "ca.pem"
    shutil.copy(first.ca, believed)
    async with transit_server(tls=at_server) as server:
        tls = trusting_context(TrustFile(believed), "X")
        client = Transit(VaultServer(server.url, token_file(tmp_path, "token", server.token), tls))
        await client.new_epoch(1)
        at_server.load_cert_chain(second.files(NODE).certificate, second.files(NODE).key)
        await client.close()  # Open connections stay as they are.
        with pytest.raises(KeyServiceUnavailable):
            await client.status()
        shutil.copy(second.ca, tmp_path / "new.pem")
        (tmp_path / "new.pem").replace(believed)
        assert (await client.status()).epochs == (1,)
        await client.close()
    with pytest.raises(InvalidSettings, match=r"^X: "):
        trusting_context(TrustFile(tmp_path / "none"), "X")


async def test_keks_that_nobody_used_are_forgotten(transit: Served) -> None:
    tenant = UUID(int=7)
    await transit.client.new_epoch(1)
    row = WrappedKek(1, 1, await transit.client.wrap(1, b"k" * 32, kek_aad(tenant, 1)))
    keks = TenantKeks(transit.client)
    first = await keks.cipher(tenant, row)
    assert keks.forget_unused(60) == 0
    assert await keks.cipher(tenant, row) is first
    assert keks.forget_unused(-1) == 1
    assert await keks.cipher(tenant, row) is not first
