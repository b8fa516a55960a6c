"""What a receipt says of remaining copies: the inventory as it is found when the request is answered.

Topics are looked at once a minute for all requests, as of a moment that is later than their execution: rather too much is
counted as still there than too little. Must never answer by the plan where something can be looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from store.erasure.answers.inventory import TopicHeld, copies, first_day_after
from store.erasure.answers.observe import Ages, Cluster, look_at, observe
from store.erasure.answers.receipts import Left
from store.erasure.equipment import Tools
from store.erasure.jobs import Job
from store.erasure.steps import ErasureStep
from store.erasure.tenants import TenantSchema

KEPT: Final = timedelta(minutes=1)


class Surveyor:
    """One for the process. `ages`: what no table says."""

    def __init__(self, cluster: Cluster, ages: Ages) -> None:
        self._cluster, self._ages = cluster, ages
        self._held: dict[str, tuple[datetime, TopicHeld]] = {}
        self._looking = asyncio.Lock()

    async def survey(
        self, tools: Tools, job: Job, tenant: TenantSchema, steps: Sequence[ErasureStep]
    ) -> Sequence[Left]:
        """Each place with a copy, and the first day on which it cannot be read. Raises DatabaseUnavailable or
        BrokerUnavailable."""
        seen = await observe(
            tools.connection,
            self._look,
            tenant.tenant,
            max(step.executed_at for step in steps),
            self._ages,
            named_in_request=bool(job.pseudonyms) and job.origin != "join",
        )
        return [Left(copy.place, first_day_after(copy.until)) for copy in copies(seen)]

    async def _look(self, names: Sequence[str], before: datetime) -> Mapping[str, TopicHeld]:
        async with self._looking:
            missing = [name for name in names if name not in self._held or self._held[name][0] < before]
            if missing:
                as_of = before + KEPT
                for name, held in (await look_at(self._cluster, missing, as_of)).items():
                    self._held[name] = (as_of, held)
            return {name: self._held[name][1] for name in names}
