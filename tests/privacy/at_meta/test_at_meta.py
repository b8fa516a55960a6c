"""Meta is asked to forget an erased person: until it says yes, with nothing kept a moment longer, and the receipt tells."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.control import AccountId, AccountRecord, Consent, ControlView, IdKind
from contracts.receipt_words import Method, System
from contracts.receipts import AuditRoot
from deploy.local.stack import LocalStack
from ingest.appsecret_proof import appsecret_proof
from runtime.clock import SystemClock
from runtime.files import SecretFolder, write_atomic
from runtime.metrics import ProcessMetrics
from runtime.secrets import FolderSecrets
from store.erasure.answers.receipts import make
from store.erasure.at_meta.deletion import AtMeta, bsuids_detail, deletions_of
from store.erasure.at_meta.details import DetailKeys
from store.erasure.at_meta.graph import GraphApi, Tokens
from store.erasure.jobs import load_job
from tests.support.databases import fresh_database
from tests.support.graph_server import GraphServer, graph_server

pytestmark = pytest.mark.postgres
TENANT, NUMBER, OTHER_NUMBER, BSUID = uuid4(), "15500001", "15500002", "BR.99canary11"
TOKEN, SECRET = "EAAG-canary-token", b"canary-app-secret"


@pytest.fixture(scope="module")
def logins(servers: tuple[LocalStack, int]) -> Iterator[dict[str, str]]:
    with fresh_database(servers[0], "at_meta") as made:
        yield made


@dataclass
class Scene:
    """A job on a database, a double of Meta, and what was logged."""

    job: AtMeta
    connection: Any
    meta: GraphServer
    folder: Path

    async def asked(self, state: str = "executing", bsuids: tuple[str, ...] = (BSUID,)) -> UUID:
        """The row of a person's request."""
        request = uuid4()
        details = await self.job.details.encrypt(request, bsuids_detail(list(bsuids)), datetime.now(UTC))
        await self.connection.execute(
            "INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, state, details, requested_at,"
            " received_at, executed_at) VALUES ($1, $2, 'subject', 'operator', 'operator', $3, $4, now(), now(), now())",
            request,
            TENANT,
            state,
            details,
        )
        return request

    async def details(self, request: UUID) -> bytes | None:
        found: bytes | None = await self.connection.fetchval(
            "SELECT details FROM mk.erasure_request WHERE request_id = $1", request
        )
        return found

    async def rows(self, request: UUID) -> list[Any]:
        return list(
            await self.connection.fetch("SELECT * FROM mk.meta_deletion WHERE request_id = $1", request)
        )

    async def look_again(self) -> None:
        """As if every pause were over."""
        await self.connection.execute("UPDATE mk.meta_deletion SET next_attempt_at = now() - interval '1 s'")
        await self.job.look(self.connection)


@pytest.fixture
async def scene(logins: dict[str, str], tmp_path: Path) -> AsyncIterator[Scene]:
    view = ControlView({})
    ids = tuple(AccountId(kind=IdKind.PHONE_NUMBER, value=value) for value in (NUMBER, OTHER_NUMBER))
    for tenant in (TENANT, uuid4()):
        record = AccountRecord.model_construct(
            account=uuid4(),
            tenant=tenant,
            product="whatsapp",
            ids=ids if tenant == TENANT else (AccountId(kind=IdKind.PHONE_NUMBER, value="15500003"),),
            consent=Consent(state="active", since=datetime.now(UTC), scopes=frozenset(), proof_ref=uuid4()),
            state="disconnected",
        )
        view.accounts[record.account] = record
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    content = {"token": TOKEN, "proof": appsecret_proof(SECRET, TOKEN.encode())}
    for number in (NUMBER, "15500003"):
        write_atomic(tokens / f"{number}.json", json.dumps(content).encode())
    async with graph_server({TOKEN: SECRET}) as meta:
        graph = GraphApi(meta.url)
        connection = await asyncpg.connect(logins["mk_erasure"])
        details = DetailKeys(FolderSecrets(SecretFolder(tmp_path / "secrets")))
        job = AtMeta(details, Tokens(tokens), graph, view, SystemClock(), ProcessMetrics("erasure"))
        yield Scene(job, connection, meta, tmp_path)
        await graph.close()
        await connection.execute("UPDATE mk.erasure_request SET details = NULL")
        await connection.close()


async def receipt_of(scene: Scene, request: UUID) -> Any:
    job = await load_job(scene.connection, request)
    root = AuditRoot(tree_size=1, root="0" * 64)
    at_meta = await deletions_of(scene.connection, request)
    return make(job, [], [], root, at_meta, signer="0" * 16, issued_at=datetime.now(UTC))


async def test_meta_is_asked_for_the_tenants_numbers_with_a_token_and_what_was_kept_for_it_goes(
    scene: Scene,
) -> None:
    request = await scene.asked()
    await scene.job.look(scene.connection)
    assert scene.meta.deleted == [(NUMBER, BSUID)]
    assert scene.meta.wrong == []
    assert await scene.details(request) is None
    receipt = await receipt_of(scene, request)
    [removal] = receipt.removals
    assert (removal.system, removal.method) == (System.META_CONTACT_BOOK, Method.DELETED_BY_META)
    assert removal.at_ms is not None
    assert [told.who for told in receipt.told] == ["meta"]
    # Looked at again nothing is asked again.
    await scene.look_again()
    assert scene.meta.calls == 1


async def test_it_is_asked_again_through_every_kind_of_failure_until_meta_says_yes(
    scene: Scene, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    request = await scene.asked()
    scene.meta.answers = [500, 429, 503, 302]
    for _ in range(4):
        await scene.look_again()
        assert await scene.details(request) is not None
    [row] = await scene.rows(request)
    assert (row["attempts"], row["status"], row["ended_at"]) == (4, 302, None)
    assert row["next_attempt_at"] - row["first_asked_at"] > timedelta(seconds=7)
    # Not due yet: nothing is asked.
    calls = scene.meta.calls
    await scene.job.look(scene.connection)
    assert scene.meta.calls == calls
    await scene.look_again()
    assert scene.meta.deleted == [(NUMBER, BSUID)]
    assert await scene.details(request) is None
    shown = "".join(capsys.readouterr()) + caplog.text
    for hidden in (BSUID, TOKEN, "canary", NUMBER):
        assert hidden not in shown


async def test_a_meta_that_is_away_or_refuses_for_good_ends_unconfirmed_and_the_receipt_says_so(
    scene: Scene,
) -> None:
    # 1. Refused three times: it would say the same for ever.
    refused = await scene.asked()
    scene.meta.answers = [400] * 3
    for _ in range(3):
        await scene.look_again()
    [row] = await scene.rows(refused)
    assert (row["attempts"], row["status"], row["is_deleted"]) == (3, 400, False)
    assert await scene.details(refused) is None
    [removal] = (await receipt_of(scene, refused)).removals
    assert removal.method is Method.NOT_CONFIRMED
    # 2. Nobody answers for six days.
    away = await scene.asked()
    scene.meta.answers = [503, 503]
    await scene.look_again()
    await scene.connection.execute(
        "UPDATE mk.meta_deletion SET first_asked_at = now() - interval '6 days' WHERE request_id = $1", away
    )
    await scene.look_again()
    [row] = await scene.rows(away)
    assert row["is_deleted"] is False
    assert await scene.details(away) is None


async def test_every_bsuid_is_asked_for_and_one_that_fails_does_not_repeat_the_others(scene: Scene) -> None:
    old = "BR.11old"
    request = await scene.asked(bsuids=(BSUID, old))
    scene.meta.answers = [200, 500]
    await scene.look_again()
    await scene.look_again()
    assert sorted(scene.meta.deleted) == sorted([(NUMBER, BSUID), (NUMBER, old)])
    assert scene.meta.calls == 3
    assert [one.is_deleted for one in await deletions_of(scene.connection, request)] == [True, True]


async def test_before_the_shred_and_for_a_refused_request_nobody_is_asked(scene: Scene) -> None:
    waiting, refused = await scene.asked("decided"), await scene.asked("refused")
    await scene.look_again()
    assert scene.meta.calls == 0
    assert await scene.details(waiting) is not None
    assert await scene.details(refused) is None


async def test_without_a_token_or_without_the_key_nothing_is_kept_and_nobody_waits(scene: Scene) -> None:
    (scene.folder / "tokens" / f"{NUMBER}.json").unlink()
    request = await scene.asked()
    await scene.look_again()
    assert await scene.details(request) is None
    assert (await receipt_of(scene, request)).removals == ()
    # The key of its day was destroyed meanwhile.
    lost = await scene.asked()
    await scene.job.details.destroy_ended(datetime.now(UTC) + timedelta(days=30))
    await scene.look_again()
    assert await scene.details(lost) is None
    assert scene.meta.calls == 0


async def test_a_bsuid_is_kept_only_where_meta_will_be_asked(scene: Scene) -> None:
    now, request = datetime.now(UTC), uuid4()
    kept = await scene.job.kept(request, TENANT, [BSUID], now)
    assert kept is not None
    assert BSUID.encode() not in kept
    assert await scene.job.kept(request, TENANT, [], now) is None
    assert await scene.job.kept(request, uuid4(), [BSUID], now) is None
    (scene.folder / "tokens" / f"{NUMBER}.json").unlink()
    assert await scene.job.kept(request, TENANT, [BSUID], now) is None


async def test_a_wrong_token_file_is_waited_out(scene: Scene) -> None:
    file = scene.folder / "tokens" / f"{NUMBER}.json"
    right = file.read_bytes()
    request = await scene.asked()
    for wrong in (b"{}", b"not json", json.dumps({"token": "other", "proof": "0" * 64}).encode()):
        write_atomic(file, wrong)
        await scene.look_again()
        assert await scene.details(request) is not None
    write_atomic(file, right, mode=0o644)
    await scene.look_again()
    assert scene.meta.deleted == []
    write_atomic(file, right)
    await scene.look_again()
    assert scene.meta.deleted == [(NUMBER, BSUID)]
