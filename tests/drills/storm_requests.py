"""Asks for people to be erased, as an operator's signed and sealed records; four of ten requests are sent twice."""

import asyncio
import random
import threading
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from contracts.erasure_requests import Identifier, SubjectRequest, request_id
from contracts.errors import TransientError
from tests.drills.storm_traffic import Person
from tests.support.erasure import Requests, person_request
from tests.support.world import Tenant, World

_REPEATED: Final = 0.4
_RETRY_S: Final = 0.2


class Asker:
    """A thread that asks at a steady rate until it has asked `total` times. A context manager; `done` says it has."""

    def __init__(
        self, world: World, tenant: Tenant, people: int, *, seed: int, total: int, rate: float
    ) -> None:
        self._world, self._tenant, self._people = world, tenant, people
        self._seed, self._total, self._rate = seed, total, rate
        self.asked = 0
        self.repeated = 0
        self.failures: list[BaseException] = []
        self.done = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(60)

    def _run(self) -> None:
        try:
            asyncio.run(self._ask_all())
        except BaseException as exc:
            self.failures.append(exc)
        finally:
            self.done.set()

    async def _ask_all(self) -> None:
        chance = random.Random(self._seed)
        async with Requests(self._world) as requests:
            for number in range(self._total):
                if self._stopping.is_set():
                    return
                request = self._request(number, Person(chance.randrange(self._people)))
                await _ask(requests, request)
                self.asked += 1
                if chance.random() < _REPEATED:
                    await _ask(requests, request)
                    self.repeated += 1
                await asyncio.sleep(1 / self._rate)

    def _request(self, number: int, person: Person) -> SubjectRequest:
        kind, value = person.identifier
        return person_request(
            self._tenant,
            Identifier.model_validate({"kind": kind, "value": value}),
            request=request_id("subject", UUID(int=(self._seed << 64) + number)),
        )


async def _ask(requests: Requests, request: SubjectRequest) -> None:
    while True:
        try:
            await requests.ask(request)
        except TransientError:
            await asyncio.sleep(_RETRY_S)
        else:
            return
