"""A company whose database is put back from an older backup, and what must be true of its people then.

Everything goes through the real doors: webhooks in, erasure requests on their topic, `mkc messages` out. Used by
`make drill-restore` and, with fewer people, by the fault tests.
"""

import http.client
import itertools
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from aiokafka.admin import AIOKafkaAdminClient

from contracts import topics
from contracts.erasure_requests import MessageRequest
from contracts.fences import Fence
from runtime.kafka.topics import TopicAdmin, TopicSettings
from tests.support.backup import BaseBackup
from tests.support.bodies import delivery, encode, messenger
from tests.support.erasure import ERASED, Requests, fenced, job, person_request, psid, wait_state
from tests.support.world import Tenant, World

PAGE = "830000000000077"
KINDS = (
    "live", "erased-later", "back-later", "asked-late", "first", "unsent", "young", "young-back", "young-live",
)  # fmt: skip
_RETURN_AFTER_S = 3
"""How much later than now a returning person's message is: strictly later than the second of any watermark set before."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must be true, and whether it is."""

    text: str
    holds: bool


@dataclass(slots=True)
class Before:
    """What was true when the database was lost."""

    requests: list[UUID] = field(default_factory=list)
    executed: dict[UUID, set[datetime]] = field(default_factory=dict)
    """When, as the steps and as the fences say it: a fence has the broker's time, and so has a step made of it."""
    positions: dict[int, int] = field(default_factory=dict)
    fences: int = 0
    fences_in_backup: int = 0


class Restoring:
    """One tenant with people of every kind. `count`: how many of each."""

    def __init__(self, world: World, folder: Path, count: int) -> None:
        self.world, self.count = world, count
        self.backup = BaseBackup(world.stack, folder)
        self.before = Before()
        self.texts: dict[str, bool] = {}
        """Every text that was ever written, and whether it must still be readable."""
        self.late: list[UUID] = []
        self._refs: list[tuple[bytes, UUID]] = []
        self._numbers = itertools.count(1)
        self._texts_of: dict[str, list[str]] = {}
        self._mids_of: dict[str, list[str]] = {}
        self.tenant: Tenant

    # What happens before the loss.

    def begin(self) -> None:
        """Everything up, one company with one page."""
        self.world.start()
        self.tenant = self.world.add_tenant("restaura")
        self.world.connect(self.tenant, "messenger", {"page": PAGE})

    def until_backup(self) -> None:
        """People whom the backup knows, some of them erased before it; then the backup."""
        for kind in ("live", "erased-later", "back-later", "asked-late", "first"):
            self.say(kind)
        self.wait_stored()
        self.say("unsent")
        self.wait_stored()
        self._refs = self._newest_refs()
        self.erase("first")
        self.say("first", returning=True)
        self.wait_stored()
        self.before.fences_in_backup = len(self.fences())
        self.backup.take()

    def until_loss(self) -> None:
        """What the backup does not know: new people, erasures, returns, an unsent message, a request nobody read."""
        for kind in ("live", "young", "young-back", "young-live"):
            self.say(kind)
        self.wait_stored()
        self.unsend("unsent")
        self.erase("erased-later", "back-later", "young", "young-back")
        self.edit_naming_nobody("erased-later", "young")
        self.say("back-later", returning=True)
        self.say("young-back", returning=True)
        self.wait_stored()
        self.before.executed = {request: {at} for request, at in self._executed().items()}
        fences = self.fences()
        for fence in fences:
            if fence.request in self.before.executed:
                said = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=fence.executed_at_us)
                self.before.executed[fence.request].add(said)
        self.before.fences = len(fences)
        self.world.kill("erasure")
        self.late = self._ask(self._people("asked-late"))
        self._forget("asked-late")
        self.before.positions = self._positions()

    def lose_and_restore(self) -> None:
        """The older backup in place of the database, while store and custodian are running; then erasure starts."""
        self.backup.put_back()
        self.world.restart("erasure")

    # What is looked at afterwards.

    def settle(self, timeout_s: float = 60) -> None:
        """Until the lanes have read again what they had, and the request that nobody had read is executed."""
        for request in self.late:
            wait_state(self.world, request, *ERASED, timeout_s=timeout_s)

        def has_caught_up() -> bool:
            now = self._positions()
            return all(now.get(partition, 0) >= at for partition, at in self.before.positions.items())

        self.world.wait_until(has_caught_up, timeout_s, "the lanes to read again")

    def findings(self) -> list[Finding]:
        """Everything that must be true of people, keys, jobs and fences."""
        read = json.dumps(self.world.messages(self.tenant))
        wrong = sorted(text for text, must in self.texts.items() if (text in read) is not must)
        resurrected = [text for text in wrong if not self.texts[text]]
        missing = [text for text in wrong if self.texts[text]]
        s = self.tenant.schema
        rows = self.world.row_count(self.tenant)
        living = sum(self.texts.values())
        unreadable = self.world.sql(
            f"SELECT count(*) FROM {s}.message m JOIN {s}.subject USING (subject_id)"
            " WHERE m.generation <= erased_through_gen"
        )[0][0]
        keys = self.world.sql(
            f"SELECT count(*) FROM {s}.subject WHERE wrapped_dek IS NOT NULL"
            f" AND NOT rekey AND NOT EXISTS (SELECT FROM {s}.message m WHERE m.subject_id = subject.subject_id)"
        )[0][0]
        executed = self._executed()
        again = [one for one, times in self.before.executed.items() if executed.get(one) not in times]
        states = [job(self.world, one) for one in self.before.requests]
        ended = sum(1 for row in states if row is not None and row["state"] in ERASED)
        # Written again they are the same fences: another execution would have another time.
        fences = len({(one.request, one.subject, one.executed_at_us) for one in self.fences()})
        expected = self.before.fences + len(self.late)
        return [
            Finding(f"{len(resurrected)} erased messages read again", not resurrected),
            Finding(f"{len(missing)} of {living} live messages are missing", not missing),
            Finding(f"{rows} rows for {living} live messages", rows == living),
            Finding(f"{unreadable} rows of an erased generation", unreadable == 0),
            Finding(f"{keys} keys of people without a row", keys == 0),
            Finding(f"{len(again)} of {len(self.before.executed)} erasures executed again", not again),
            Finding(f"{ended} of {len(states)} requests at their end", ended == len(states)),
            Finding(f"{fences} different fences on the topic, {expected} expected", fences == expected),
        ]

    def applied(self) -> float:
        """Fences that store and erasure found missing and applied."""
        store = self.world.metrics("store")["mk_store_fences_applied_total"]
        return store + self.world.metrics("erasure")["mk_erasure_fences_applied_total"]

    # The topics from their beginning, and another fence topic.

    def replay_from_the_beginning(self) -> None:
        """Every position back to 0, as if all topics were read for the first time."""
        for name in ("store", "erasure"):
            self.world.stop(name)
        s = self.tenant.schema
        for statement in (
            f"UPDATE {s}.lane SET position = 0",
            f"DELETE FROM {s}.lane_outcome",
            "UPDATE mk.fence_position SET next_offset = 0",
            "DELETE FROM mk.erasure_position",
            "DELETE FROM mk.outcome_position",
        ):
            self.world.sql(statement)
        for name in ("store", "erasure"):
            self.world.restart(name)

    def make_fence_topic_anew(self) -> None:
        """The topic is lost, and one of the same name is there."""

        async def anew() -> None:
            kafka = self.world.stack.endpoints.kafka
            tls = self.world.stack.endpoints.kafka_tls()
            admin = AIOKafkaAdminClient(**self.world.stack.endpoints.kafka_client())
            await admin.start()
            await admin.delete_topics([topics.ERASURE_FENCES])
            await admin.close()
            async with TopicAdmin(kafka, TopicSettings(), tls) as made:
                while topics.ERASURE_FENCES in await made.existing():
                    pass
                await made.ensure([topics.BY_NAME[topics.ERASURE_FENCES]])

        self.world.run(anew())

    def cut_connections(self) -> None:
        """The store's, by the server: each new one is compared again."""
        self.world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mk_store'")

    def wait_gate(self, *, is_open: bool, timeout_s: float = 30) -> None:
        """Until the store's gate is as said."""
        self.world.wait_until(
            lambda: self.world.metrics("store")["mk_store_restore_gate_open"] == is_open,
            timeout_s,
            f"the gate to be {'open' if is_open else 'closed'}",
        )

    def is_store_ready(self) -> bool:
        """As its load balancer sees it."""
        port = self.world.service.ports.health["store"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def republish(self) -> int:
        """As the operator does; how many fences were written."""
        return int(self.world.mkc("erasure", "republish-fences")["fences"])

    def fences(self) -> list[Fence]:
        """Verified fences of the topic."""

        async def read() -> list[Fence]:
            async with Requests(self.world) as asking:
                return await fenced(self.world, asking.view, {*self.before.requests, *self.late})

        return self.world.run(read())

    # People.

    def say(self, kind: str, *, returning: bool = False) -> None:
        """Each person of a kind writes once, and it must stay readable until they are erased."""
        for person in self._people(kind):
            text = f"{kind} {'voltou' if returning else 'escreveu'} {next(self._numbers)}."
            at_ms = int((time.time() + (_RETURN_AFTER_S if returning else 0)) * 1000)
            body = encode(messenger(f"m_{text}", text, page=PAGE, person=person, at_ms=at_ms))
            assert self.world.post(body) == 200
            self.texts[text] = True
            self._mids_of.setdefault(kind, []).append(f"m_{text}")
            self._texts_of.setdefault(kind, []).append(text)

    def erase(self, *kinds: str) -> None:
        """Everybody of these kinds, until every request is executed and every lane has passed."""
        requests = self._ask([person for kind in kinds for person in self._people(kind)])
        for request in requests:
            wait_state(self.world, request, *ERASED, timeout_s=60)
        self.before.requests += requests
        for kind in kinds:
            self._forget(kind)

    def edit_naming_nobody(self, *kinds: str) -> None:
        """Edits of what these people wrote come after their erasure, and do not say whose they are."""
        for mid in (mid for kind in kinds for mid in self._mids_of[kind]):
            text = f"editado {next(self._numbers)}."
            at_ms = int(time.time() * 1000)
            edit = {"mid": mid, "text": text, "num_edit": 1}
            item = {"recipient": {"id": PAGE}, "timestamp": at_ms, "message_edit": edit}
            body = encode(delivery("page", [{"id": PAGE, "time": at_ms, "messaging": [item]}]))
            assert self.world.post(body) == 200
            self.texts[text] = False

    def unsend(self, kind: str) -> None:
        """What people of a kind wrote is taken back: the router asks for it."""

        async def ask() -> list[UUID]:
            async with Requests(self.world) as asking:
                return [await asking.ask(self._unsent(*ref), by="router") for ref in self._refs]

        requests = self.world.run(ask())
        for request in requests:
            wait_state(self.world, request, *ERASED, timeout_s=60)
        self.before.requests += requests
        self._forget(kind)

    def _unsent(self, ref: bytes, account: UUID) -> MessageRequest:
        return MessageRequest(
            request=uuid4(),
            tenant=self.tenant.tenant,
            account=account,
            cause=uuid4(),
            reason="unsent",
            received_at_ms=int(time.time() * 1000),
            message_ref=ref.hex(),
        )

    def _ask(self, people: Iterable[str]) -> list[UUID]:
        async def ask() -> list[UUID]:
            async with Requests(self.world) as asking:
                return [await asking.ask(person_request(self.tenant, psid(person))) for person in people]

        return self.world.run(ask())

    def _people(self, kind: str) -> list[str]:
        first = 7_000_000_000 + 1_000 * KINDS.index(kind)
        return [str(first + number) for number in range(self.count)]

    def _forget(self, kind: str) -> None:
        """What they wrote until now must not be readable any more."""
        for text in self._texts_of.pop(kind, []):
            self.texts[text] = False

    def wait_stored(self) -> None:
        """Until exactly the live messages are rows."""
        living = sum(self.texts.values())
        self.world.wait_until(
            lambda: self.world.row_count(self.tenant) == living, 60, f"{living} live messages to be rows"
        )

    def _newest_refs(self) -> list[tuple[bytes, UUID]]:
        rows = self.world.sql(
            f"SELECT message_ref, account_id FROM {self.tenant.schema}.message ORDER BY stored_at DESC LIMIT $1",
            self.count,
        )
        return [(row["message_ref"], row["account_id"]) for row in rows]

    def _executed(self) -> dict[UUID, datetime]:
        rows = self.world.sql(
            f"SELECT request_id, min(executed_at) AS at FROM {self.tenant.schema}.erasure_step GROUP BY request_id"
        )
        return {row["request_id"]: row["at"] for row in rows}

    def _positions(self) -> dict[int, int]:
        rows = self.world.sql(f"SELECT partition, position FROM {self.tenant.schema}.lane")
        return {row["partition"]: row["position"] for row in rows}
