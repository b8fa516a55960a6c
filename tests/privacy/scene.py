"""What the canary tests look at: every event type's canaries posted through the real stack, with a fault at every step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from contracts import headers as h
from contracts.control import ControlView, tenant_recipient
from contracts.events.registry import EVENT_TYPES
from contracts.ids import event_id
from contracts.signing import Signer
from contracts.topics import tenant_events_topic
from deploy.local.environment import DEMO_APP
from router.split.requests import removes_account, unsends
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.control import ControlReader
from store.custody.settings import load_control_signers
from tests.support import remade, scan
from tests.support.bodies import INSTAGRAM, PAGE, PHONE_NUMBER_ID, WABA, delivery, encode, messenger
from tests.support.canaries import ADMINISTRATOR, Canaries
from tests.support.corpus import TIMES
from tests.support.forms import Wanted
from tests.support.remade import Remade
from tests.support.world import Tenant, World, data_folders

TOGETHER: Final = 12
"""Entries in one delivery."""
OTHERS: Final = {one: one[:-3] + "977" for one in (WABA, PHONE_NUMBER_ID, PAGE, ADMINISTRATOR)}
"""The accounts of a second tenant, which Meta says have gone."""
KILLED: Final = ("ingest", "router", "store")
_PAGES: Final = ("/metrics", "/readyz", "/livez")


@dataclass(slots=True)
class Scene:
    """A world in which canaries were posted. `pages`: all metrics and health pages seen on the way."""

    world: World
    tenant: Tenant
    canaries: Canaries
    began: float
    planted: list[Remade] = field(default_factory=list, repr=False)
    pages: list[tuple[str, bytes]] = field(default_factory=list, repr=False)

    ledger: Any = None
    """What the ledger said once all of that had ended."""
    types_of_meta: set[str] = field(default_factory=set)
    """The types of the rows then; later every type has one."""

    @property
    def wanted(self) -> Wanted:
        """Every form of every core."""
        return Wanted(self.canaries.cores)

    @property
    def folders(self) -> list[Path]:
        """Where the servers keep their bytes, every log, and what belongs to this world alone."""
        return [*data_folders(self.world.stack), self.world.service.root]

    @property
    def pids(self) -> list[int]:
        """Our processes and the servers, with all that they started."""
        world = self.world
        nodes = [
            *(world.node(name) for name in sorted(world.expected_running)),
            world.stack.kafka,
            world.stack.postgres,
        ]
        return [pid for node in nodes for pid in scan.family(node.pid)]

    def look_at_pages(self) -> None:
        """Keep what every page says at this moment."""
        for name in sorted(self.world.expected_running):
            for page in _PAGES:
                try:
                    self.pages.append((f"{name}{page}", self.world.node(name).get(page, 2)[1]))
                except OSError:
                    continue  # it is the one that was killed


def played(world: World) -> Scene:
    """Everything posted, every fault over, the ledger balanced."""
    began = time.time()
    world.start()
    tenant = world.add_tenant("discreta")
    world.connect(tenant, "whatsapp", {"waba": WABA, "phone-number-id": PHONE_NUMBER_ID})
    administrator = f"{DEMO_APP}:{ADMINISTRATOR}"
    world.connect(tenant, "messenger", {"page": PAGE, "app-scoped-user": administrator})
    world.connect(tenant, "instagram", {"instagram": INSTAGRAM})
    gone = world.add_tenant("de-saida")
    world.connect(gone, "whatsapp", {"waba": OTHERS[WABA], "phone-number-id": OTHERS[PHONE_NUMBER_ID]})
    administrator = f"{DEMO_APP}:{OTHERS[ADMINISTRATOR]}"
    world.connect(gone, "messenger", {"page": OTHERS[PAGE], "app-scoped-user": administrator})
    scene = Scene(world, tenant, Canaries.drawn(), began)
    scene.planted = [scene.canaries.planted(one) for one in remade.bodies()]
    staying = [one for one in scene.planted if not _leaves(one)]
    deliveries = list(_merged(staying))
    quarter = len(deliveries) // 4
    # 1. All is well.
    _post(world, deliveries[:quarter])
    _post_what_is_not_stored(scene)
    # 2. The database is down: accepted, routed, retried.
    world.stack.postgres.kill()
    _post(world, deliveries[quarter : 2 * quarter])
    world.wait_until(lambda: not _is_ready(world, "store"), 15, "the store to say that it is not ready")
    scene.look_at_pages()
    world.stack.postgres.start()
    # 3. The broker is down: refused and posted again; what it was is in the receiver's memory.
    world.stack.kafka.kill()
    refused = world.post(deliveries[2 * quarter], timeout_s=15)
    assert refused in (0, 503)
    scene.look_at_pages()
    assert world.dead() == set(), {name: world.log(name)[-2_000:] for name in world.dead()}
    # 4. Whoever has seen plain text is killed at work.
    for name in KILLED:
        world.kill(name)
    world.stack.kafka.start()
    for name in KILLED:
        world.restart(name)
    _post(world, deliveries[2 * quarter :])
    # 5. Meta says that accounts have gone: others than those, whose rows and consents go with them.
    _post(world, [_of_others(raw) for raw in _merged([one for one in scene.planted if _leaves(one)])])
    expected = set(EVENT_TYPES) - passing_types()
    world.wait_until(lambda: stored_types(scene) >= expected, 60, "a row of every type that stays")
    scene.ledger = world.wait_balanced(60)
    scene.types_of_meta = stored_types(scene)
    rows = world.row_count(tenant)
    world.run(_publish_every_field(scene))
    world.wait_rows(tenant, rows + len(EVENT_TYPES), 30)
    scene.look_at_pages()
    return scene


def passing_types() -> set[str]:
    """The types whose rows erasure removes, with what they are about: an account that has gone, what somebody took back."""
    kept = {"message.unsent"}
    found = remade.bodies()
    taken = (one for one in found if any(unsends(item) for item in remade.items_of(one.body) or ()))
    return {one.event_type for one in (*taken, *(one for one in found if _leaves(one)))} - kept


def _leaves(one: Remade) -> bool:
    return any(removes_account(item) for item in remade.items_of(one.body) or ())


def _of_others(raw: bytes) -> bytes:
    for ours, theirs in OTHERS.items():
        raw = raw.replace(ours.encode(), theirs.encode())
    return raw


def stored_types(scene: Scene) -> set[str]:
    """The types of which it has one."""
    rows = scene.world.sql(f"SELECT DISTINCT event_type FROM {scene.tenant.schema}.message")
    return {row["event_type"] for row in rows}


def _is_ready(world: World, name: str) -> bool:
    return world.node(name).get("/readyz", 2)[0] == 200


def _merged(planted: list[Remade]) -> Iterator[bytes]:
    """Their entries, everything an hour ago, several to a delivery."""
    entries: dict[str, list[Any]] = defaultdict(list)
    now_s = int(time.time()) - 3_600
    for one in planted:
        shifted = _at(one.body, now_s)
        if set(shifted) == {"object", "entry"}:
            entries[shifted["object"]] += shifted["entry"]
        else:
            yield encode(shifted)
    for provider_object, listed in entries.items():
        for at in range(0, len(listed), TOGETHER):
            yield encode(delivery(provider_object, listed[at : at + TOGETHER]))


def _at(node: Any, now_s: int) -> Any:
    """The same with each of Meta's times made that one, in the unit that it has."""
    if isinstance(node, list):
        return [_at(value, now_s) for value in node]
    if not isinstance(node, dict):
        return node
    moved = {}
    for name, value in node.items():
        moved[name] = _at(value, now_s)
        if name in TIMES and isinstance(value, (int, str)) and str(value).isdigit():
            moved[name] = type(value)(now_s * 1_000 if int(value) >= 10**12 else now_s)
    return moved


def _post(world: World, bodies: list[bytes]) -> None:
    for body in bodies:
        world.wait_until(lambda body=body: world.post(body) == 200, 20, "an answer of 200")  # type: ignore[misc]


def _post_what_is_not_stored(scene: Scene) -> None:
    """Set aside for every reason that a sender can cause, refused, and forged."""
    world, text = scene.world, scene.canaries.text
    # As they were in their time: set aside as out of range.
    _post(world, [one.raw() for one in scene.planted[::4] if not _leaves(one)])
    assert world.post(text().encode()) == 200
    assert world.post(encode([text()])) == 200
    assert world.post(encode({"object": text(), "entry": [{"id": "1"}]})) == 200
    assert (
        world.post(encode({"object": "page", "entry": [text(), {"id": PAGE, "messaging": [text()]}]})) == 200
    )
    deep: Any = text()
    for _ in range(200):
        deep = {"a": deep}
    assert world.post(encode(delivery("page", [{"id": PAGE, "messaging": [deep]}]))) == 200
    assert world.post(encode(messenger(text(), text(), page="1", person=scene.canaries.number()))) == 200
    assert world.post(encode(messenger(text(), text())), b"not the secret") == 401


async def _publish_every_field(scene: Scene) -> None:
    """One event of each type with every personal field there is, sealed as the router seals it."""
    world, tenant = scene.world, scene.tenant
    bootstrap, tls = world.stack.endpoints.kafka, world.stack.endpoints.kafka_tls()
    signer = Signer.from_bytes("router", (world.service.keys / "router" / "signing.key").read_bytes())
    signers = world.service.keys / "public" / "control_signers.json"
    view = ControlView(load_control_signers(signers, "test"))
    producer = Producer(bootstrap, "canaries", tls=tls)
    epochs, topic = EpochSource(signer, SystemClock()), tenant_events_topic(tenant.slot)
    account = world.sql("SELECT account_id FROM mk.account LIMIT 1")[0][0]
    await producer.start()
    try:
        async with ControlReader(bootstrap, "canaries", view, tls=tls) as control:
            await control.catch_up()
            recipient = view.sealing_key(tenant_recipient(tenant.tenant), datetime.now(UTC))
            for name, kind in EVENT_TYPES.items():
                data = orjson.dumps(scene.canaries.filled(kind.model))
                kind.model.model_validate(orjson.loads(data))
                headers = _headers(name, kind.dataschema, tenant.tenant, account)
                key = bytes.fromhex(dict(headers)[h.CE_SUBJECT].decode())
                value, sealed = epochs.seal(topic, tenant.tenant, recipient, data, headers)
                await acknowledged(await producer.send(topic, value, key=key, headers=sealed, partition=0))
    finally:
        await producer.stop()


def _headers(name: str, dataschema: str, tenant: UUID, account: UUID) -> list[tuple[str, bytes]]:
    now_ms = int(time.time() * 1000)
    identity = event_id(
        b"k" * 32, occurred_at_ms=now_ms, provider_object="page", account="1", kind=name, native_id="filled"
    )
    return [
        (h.CE_SPECVERSION, b"1.0"),
        (h.CE_ID, str(identity).encode()),
        (h.CE_SOURCE, b"/meta/messenger/1"),
        (h.CE_TYPE, name.encode()),
        (h.CE_SUBJECT, b"ab" * 16),
        (h.CE_TENANT, str(tenant).encode()),
        (h.CE_DATASCHEMA, dataschema.encode()),
        (h.MK_PERSON, b"cd" * 16),
        (h.MK_RECEIVED_AT, b"%d" % now_ms),
        (h.MK_ACCOUNT, str(account).encode()),
        (h.MK_DIRECTION, b"i"),
    ]
