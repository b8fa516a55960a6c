"""`make storm-erasure`: erasures against six writers that replay, redeliver, unsend and import, while processes are killed.

A Kafka and a PostgreSQL of its own and the whole service: webhooks go in by HTTP, requests by their topic. Store and
erasure are killed with -9, connections are cut, epochs rotate. Then everything is left to come to its end, and
`tests.support.resurrection` judges topics and tables. Exit 0 only if nobody came back and nothing live was lost.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from deploy.local.stack import LocalStack
from tests.drills.storm_requests import Asker
from tests.drills.storm_traffic import INSTAGRAM, NUMBER_ID, WABA, Every, Writers
from tests.support.resurrection import Counts, check
from tests.support.servers import free_port_base
from tests.support.world import MkcFailed, Tenant, World

REPORT: Final = Path("build/storm-erasure/report.json")
_SETTLES_IN_S: Final = 240.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard it blows. Times in seconds; `pause_s`: between two webhooks of a writer."""

    erasures: int = 1_000
    rate: float = 8.0
    people: int = 400
    seed: int = 20_261_126
    pause_s: float = 0.02
    kill_every_s: float = 9.0
    cut_every_s: float = 4.0
    rotate_every_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Result:
    """What was done, and what was found afterwards."""

    counts: Counts
    asked: int
    repeated: int
    posted: dict[str, int]
    kills: int
    cuts: int
    rotations: int
    took_s: float


def prepared(world: World) -> Tenant:
    """A tenant with a WhatsApp number and an Instagram account."""
    tenant = world.add_tenant("tempestade")
    world.connect(tenant, "whatsapp", {"waba": WABA, "phone-number-id": NUMBER_ID})
    world.connect(tenant, "instagram", {"instagram": INSTAGRAM})
    return tenant


def rage(world: World, tenant: Tenant, plan: Plan) -> Result:
    """The storm itself, its settling, and the judgement. Raises AssertionError if something in the storm failed."""
    started = time.monotonic()
    chance = random.Random(plan.seed)

    def kill() -> None:
        name = chance.choice(("store", "erasure"))
        world.kill(name)
        world.restart(name)

    def cut() -> None:
        world.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename IN ('mk_store', 'mk_erasure') ORDER BY random() LIMIT 2"
        )

    def rotate() -> None:
        world.mkc("keys", "rotate", "--timeout-s", "60")

    with ExitStack() as storm:
        writers = storm.enter_context(Writers(world, plan.people, seed=plan.seed, pause_s=plan.pause_s))
        asker = storm.enter_context(
            Asker(world, tenant, plan.people, seed=plan.seed, total=plan.erasures, rate=plan.rate)
        )
        kills = storm.enter_context(Every(plan.kill_every_s, kill))
        cuts = storm.enter_context(Every(plan.cut_every_s, cut))
        rotations = storm.enter_context(Every(plan.rotate_every_s, rotate))
        asker.done.wait(plan.erasures / plan.rate * 4 + 60)
    for part in (writers, asker, kills, cuts, rotations):
        for failure in part.failures:
            raise AssertionError(f"the storm itself failed in {type(part).__name__}") from failure
    assert asker.asked == plan.erasures, f"{asker.asked} of {plan.erasures} were asked"
    settled(world, asker.asked)
    return Result(
        check(world, tenant),
        asker.asked,
        asker.repeated,
        writers.posted,
        kills.times,
        cuts.times,
        rotations.times,
        time.monotonic() - started,
    )


def settled(world: World, asked: int) -> None:
    """Everything has come to its end: rows behind every 200, the ledger balanced, every request answered."""
    world.wait_until(
        lambda: world.sql(
            "SELECT count(*) FILTER (WHERE state IN ('answered', 'refused') AND told_state = state) = count(*)"
            " AND count(*) FILTER (WHERE kind = 'subject') >= $1 FROM mk.erasure_request",
            asked,
        )[0][0],
        _SETTLES_IN_S,
        "every request to be answered",
    )
    try:
        world.wait_balanced(_SETTLES_IN_S)
    except MkcFailed as exc:
        raise AssertionError("the ledger cannot be read") from exc


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every count that must be 0 is."""
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.drills.storm_erasure", description=__doc__)
    parser.add_argument("--erasures", type=int, default=usual.erasures)
    parser.add_argument("--people", type=int, default=usual.people)
    parser.add_argument("--rate", type=float, default=usual.rate, help="erasures a second (default 8)")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--report", type=Path, default=REPORT)
    options = parser.parse_args(arguments)
    plan = Plan(options.erasures, options.rate, options.people, options.seed)
    root = Path(tempfile.mkdtemp(prefix="mkc-storm-"))
    root.chmod(0o755)
    base = free_port_base()
    try:
        with LocalStack(root, port_base=base, profile="test") as stack, World.on(stack, base) as world:
            world.start()
            result = rage(world, prepared(world), plan)
    except AssertionError as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    for line in result.counts.lines():
        print(line)
    print(
        f"{result.asked} erasures asked, {result.repeated} of them twice; webhooks {result.posted};"
        f" {result.kills} kills, {result.cuts} cuts, {result.rotations} rotations; {result.took_s:.0f} s"
    )
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps({"plan": asdict(plan), **asdict(result)}, indent=2) + "\n")
    print("ok: nobody came back, nothing live was lost" if not result.counts.wrong else "NOT ok")
    return 1 if result.counts.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
