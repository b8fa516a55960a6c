"""`mkc doctor`: holds a running system against what the code declares and says what to do. Changes nothing."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict

from contracts.errors import ServiceError
from runtime.clock import SystemClock
from runtime.settings import load
from store.custody.examine import (
    Examined,
    examine_access,
    examine_control,
    examine_files,
    examine_kafka,
    examine_postgres,
    examine_python,
    examine_slots,
    examine_tenants,
    unreachable,
)
from store.custody.operating import parser_for, say, say_json, with_json
from store.custody.settings import OperatorSettings
from store.database import connected


def _parser() -> argparse.ArgumentParser:
    return with_json(
        parser_for(
            "doctor",
            "Check versions, connections, key files, topics, roles, schemas and slots against the code.\n"
            "Every finding says what to do. Exit 1 if there is one.",
            ("mkc doctor", "mkc doctor --json"),
        )
    )


def main(arguments: list[str]) -> int:
    """`mkc doctor`; 0 healthy, 1 with findings."""
    options = _parser().parse_args(arguments)
    return asyncio.run(_run(load(OperatorSettings), options))


async def _examine(settings: OperatorSettings) -> list[Examined]:
    kafka_remedy = "start Kafka, or correct MKC_OPERATOR_KAFKA"
    results = [examine_python(), examine_files(settings)]
    try:
        async with connected(settings.database, "mkc") as connection:
            results.append(await examine_postgres(connection))
            if results[-1].symptoms:
                # Of a database of another version nothing else can be asked.
                results.append(await _kafka_alone(settings, kafka_remedy))
                return results
            results.append(await examine_tenants(connection, SystemClock().now()))
            results.append(await examine_slots(connection, settings))
            try:
                results.append(await examine_kafka(connection, settings))
                results.append(await examine_access(connection, settings))
                results.append(await examine_control(connection, settings))
            except ServiceError as exc:
                results.append(unreachable("kafka", exc, kafka_remedy))
    except ServiceError as exc:
        results.append(unreachable("postgres", exc, "start Postgres, or correct MKC_OPERATOR_DATABASE"))
        results.append(await _kafka_alone(settings, kafka_remedy))
    return results


async def _kafka_alone(settings: OperatorSettings, remedy: str) -> Examined:
    try:
        return await examine_kafka(None, settings)
    except ServiceError as exc:
        return unreachable("kafka", exc, remedy)


async def _run(settings: OperatorSettings, options: argparse.Namespace) -> int:
    results = await _examine(settings)
    symptoms = [symptom for result in results for symptom in result.symptoms]
    if options.json:
        say_json(
            {
                "healthy": not symptoms,
                "seen": {result.check: result.seen for result in results},
                "findings": [asdict(symptom) for symptom in symptoms],
            }
        )
        return int(bool(symptoms))
    for result in results:
        say(f"{'ok  ' if not result.symptoms else 'LOOK'}  {result.check:<9} {result.seen}")
        for symptom in result.symptoms:
            say(f"      {symptom.what}\n      -> {symptom.remedy}")
    say("healthy" if not symptoms else f"{len(symptoms)} findings")
    return int(bool(symptoms))
