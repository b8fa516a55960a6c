"""What `mkc doctor` looks at: each check yields findings, each with what to do. Changes nothing.

Must never show a DSN, a key, or a name of a person.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import asyncpg

from contracts.access import static_permits
from contracts.control import RECIPIENT_ERASURE, ControlRecord, tenant_recipient
from contracts.errors import InvalidSettings, SchemaIncompatible, ServiceError
from contracts.topics import STATIC_TOPICS, slot_topics
from runtime.kafka.acls import AclAdmin
from runtime.kafka.topics import TopicAdmin
from store.custody.access import wanted_permits
from store.custody.control import Announced, slot_record, tenant_record
from store.custody.database import SQL
from store.custody.partitions import existing_partitions, missing_partitions
from store.custody.provision import TENANT_SQL
from store.custody.settings import OperatorSettings, load_control_signers, load_signer, require_pinned
from store.custody.shape import cell_differences, tenant_differences
from store.database import translated
from store.migrate import check as check_migrations

if TYPE_CHECKING:
    from store.database import Connection

DISTRIBUTION: Final = "mkchannels-ingest"
OLDEST_POSTGRES, NEWEST_POSTGRES = 15, 18
_SHAPE_REMEDY: Final = "undo it as mk_owner (ALTER, GRANT or REVOKE), and ask who changed it and why"
_TABLE: Final = re.compile(r"CREATE TABLE \{schema\}\.([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Symptom:
    """Something that is not as the code declares."""

    check: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Examined:
    """One check's result: what was seen, in a few words, and what is wrong."""

    check: str
    seen: str
    symptoms: Sequence[Symptom]


def examine_python() -> Examined:
    """Python and the libraries that the project names."""
    symptoms: list[Symptom] = []
    seen = [f"Python {platform.python_version()}"]
    remedy = "install again from requirements.lock (make install)"
    try:
        required = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return Examined("python", seen[0], [Symptom("python", "the project is not installed", remedy)])
    for requirement in required:
        match = re.match(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)", requirement)
        if match is None or "extra ==" in requirement:
            continue
        try:
            version = importlib.metadata.version(match[1])
        except importlib.metadata.PackageNotFoundError:
            symptoms.append(Symptom("python", f"{match[1]} is not installed", remedy))
            continue
        seen.append(f"{match[1]} {version}")
        if _numbers(version) < _numbers(match[2]):
            symptoms.append(
                Symptom("python", f"{match[1]} is {version}, {match[2]} or newer is needed", remedy)
            )
    return Examined("python", ", ".join(seen), symptoms)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def examine_files(settings: OperatorSettings) -> Examined:
    """The operator's key files and their permissions."""
    symptoms: list[Symptom] = []
    signers = "MKC_OPERATOR_CONTROL_SIGNERS_FILE"
    try:
        signer = load_signer("operator", settings.signing_key_file, "MKC_OPERATOR_SIGNING_KEY_FILE")
        require_pinned(signer, load_control_signers(settings.control_signers_file, signers), signers)
    except InvalidSettings as exc:
        symptoms.append(Symptom("files", str(exc), "correct the setting or the file it names"))
    folder = settings.routing_secrets_dir
    try:
        entries = [] if folder is None else [folder, *folder.iterdir()]
        open_ones = sum(1 for entry in entries if stat.S_IMODE(entry.stat().st_mode) & 0o077)
    except OSError:
        entries, open_ones = [], 0
        symptoms.append(
            Symptom("files", "MKC_OPERATOR_ROUTING_SECRETS_DIR: not a readable folder", "correct the setting")
        )
    if open_ones:
        symptoms.append(
            Symptom(
                "files",
                f"MKC_OPERATOR_ROUTING_SECRETS_DIR: {open_ones} entries are open to others",
                "chmod go-rwx them, and ask who read them",
            )
        )
    return Examined("files", f"{len(entries)} files and folders", symptoms)


async def examine_kafka(connection: Connection | None, settings: OperatorSettings) -> Examined:
    """Whether Kafka answers and its topics are as declared. Raises BrokerUnavailable."""
    specs = list(STATIC_TOPICS)
    if connection is not None:
        with translated():
            for row in await connection.fetch(SQL["slots_with_topics"]):
                specs += slot_topics(row["slot"], row["partitions"])
    async with TopicAdmin(settings.kafka, settings.topics, settings.kafka_tls) as admin:
        brokers, release = await admin.cluster()
        different = await admin.differences(specs)
    symptoms = [
        Symptom(
            "kafka",
            text,
            "start the custodian, which makes missing topics"
            if text.endswith(": missing")
            else "kafka-configs.sh --alter --topic NAME --add-config KEY=VALUE (the declared one), or declare the"
            " change in contracts/topics.py",
        )
        for text in different
    ]
    if brokers < settings.replication:
        symptoms.append(
            Symptom("kafka", f"{brokers} brokers for {settings.replication} replicas", "start all")
        )
    return Examined("kafka", f"Kafka {release}, {brokers} brokers, {len(specs)} topics", symptoms)


async def examine_access(connection: Connection | None, settings: OperatorSettings) -> Examined:
    """Whether Kafka allows exactly what is declared and granted. Raises BrokerUnavailable."""
    if settings.kafka_tls is None:
        return Examined("access", "Kafka is spoken to without TLS: nothing to compare", [])
    declared = static_permits()
    async with AclAdmin(settings.kafka, settings.kafka_tls) as admin:
        existing, others = await admin.existing()
    if connection is None:
        # What slots and grants need stands in the database.
        existing = frozenset(one for one in existing if not one.is_kept_by_custodian)
    else:
        declared |= await wanted_permits(connection)
    symptoms = [
        Symptom(
            "access", f"permission missing: {one}", "python -m deploy.access apply, or start the custodian"
        )
        for one in sorted(declared - existing)
    ]
    symptoms += [
        Symptom("access", f"permission nobody declared: {one}", "remove it, and ask who added it")
        for one in sorted(existing - declared)
    ]
    if others:
        symptoms.append(
            Symptom("access", f"{others} permissions of a kind that is never declared", "remove them")
        )
    return Examined("access", f"{len(existing)} permissions", symptoms)


async def examine_postgres(connection: Connection) -> Examined:
    """Version, migrations, logins and their memberships."""
    symptoms: list[Symptom] = []
    with translated():
        number = await connection.fetchval(SQL["server_version"])
        logins = {row["rolname"]: row for row in await connection.fetch(SQL["logins"])}
        foreign = await connection.fetch(SQL["foreign_memberships"])
        inherited = await connection.fetch(SQL["inherited_roles"])
    major = number // 10_000
    if not OLDEST_POSTGRES <= major <= NEWEST_POSTGRES:
        symptoms.append(
            Symptom(
                "postgres",
                f"PostgreSQL {major} is not between {OLDEST_POSTGRES} and {NEWEST_POSTGRES}",
                "move the database",
            )
        )
    try:
        await check_migrations(connection)
    except SchemaIncompatible as exc:
        symptoms.append(
            Symptom("postgres", str(exc), "python -m store.migrate, from the release that is deployed")
        )
    for name in ("mk_owner", "mk_custodian", "mk_store", "mk_erasure", "mk_reader", "mk_desk"):
        symptoms += _login_symptoms(name, logins.get(name))
    symptoms += [
        Symptom(
            "postgres",
            f"{row['login']} may enter the role {row['role']}",
            f"REVOKE {row['role']} FROM {row['login']}, and ask why it was granted",
        )
        for row in foreign
    ]
    symptoms += [
        Symptom(
            "postgres",
            f"{row['login']} has the rights of {row['role']} without SET ROLE",
            f"GRANT {row['role']} TO {row['login']} WITH INHERIT FALSE",
        )
        for row in inherited
    ]
    if not symptoms:
        symptoms += [
            Symptom("postgres", str(one), _SHAPE_REMEDY) for one in await cell_differences(connection)
        ]
    return Examined("postgres", f"PostgreSQL {major}.{number % 10_000}", symptoms)


def _login_symptoms(name: str, row: asyncpg.Record | None) -> list[Symptom]:
    remedy = "run the role set-up again (deploy/local/database.sql)"
    if row is None:
        return [Symptom("postgres", f"the role {name} does not exist", remedy)]
    wrong = [
        text
        for text, found in (
            ("inherits: it reads every tenant without SET ROLE", row["rolinherit"]),
            ("is a superuser", row["rolsuper"]),
            ("bypasses row security", row["rolbypassrls"]),
            ("may replicate", row["rolreplication"]),
            ("may create roles", row["rolcreaterole"] and name != "mk_custodian"),
            ("may log in", row["rolcanlogin"] and name == "mk_owner"),
        )
        if found
    ]
    return [Symptom("postgres", f"{name} {text}", remedy) for text in wrong]


async def examine_tenants(connection: Connection, now: datetime) -> Examined:
    """Each tenant's schema, partitions, roles and transport key."""
    with translated():
        tenants = await connection.fetch(SQL["provisioned_tenants"])
        schemas = [row["schema_name"] for row in tenants]
        tables = {
            (row["schema_name"], row["name"]) for row in await connection.fetch(SQL["tables_of"], schemas)
        }
        roles = [row["role"] for row in await connection.fetch(SQL["tenant_roles"])]
        recipients = [RECIPIENT_ERASURE, *(tenant_recipient(row["tenant_id"]) for row in tenants)]
        keyless = await connection.fetch(SQL["recipients_without_key"], recipients, now)
    wake = "start the custodian; it makes them within a minute"
    symptoms = [
        Symptom("tenants", f"{schema}.{table} is missing", "restore the schema: nothing makes a single table")
        for schema in schemas
        for table in _TABLE.findall(TENANT_SQL.read_text())
        if (schema, table) not in tables
    ]
    if not symptoms:
        symptoms += [
            Symptom("tenants", str(one), _SHAPE_REMEDY)
            for one in await tenant_differences(connection, schemas)
        ]
    partitions = await existing_partitions(connection, schemas)
    for row in tenants:
        schema = row["schema_name"]
        symptoms += [
            Symptom("tenants", f"{schema}: no partition {partition.name}", wake)
            for partition in missing_partitions(row["period"], now, partitions[schema])
        ]
    symptoms += [
        Symptom("tenants", f"the role {role} is missing or not granted", "grant it as store/custody does")
        for role in roles
    ]
    symptoms += [
        Symptom("tenants", f"{row['recipient']} has no active transport key", wake) for row in keyless
    ]
    return Examined("tenants", f"{len(tenants)} tenants", symptoms)


async def examine_slots(connection: Connection, settings: OperatorSettings) -> Examined:
    """Free slots against the wanted headroom."""
    with translated():
        rows = await connection.fetch(SQL["slot_counts"])
    free = {row["partitions"]: row["free"] for row in rows}
    symptoms = [
        Symptom(
            "slots",
            f"{free.get(partitions, 0)} free slots with {partitions} partitions, {wanted} wanted",
            "start the custodian; it makes them within a second",
        )
        for partitions, wanted in ((1, settings.free_slots_1), (8, settings.free_slots_8))
        if free.get(partitions, 0) < wanted
    ]
    return Examined("slots", f"{sum(free.values())} free slots", symptoms)


async def examine_control(connection: Connection, settings: OperatorSettings) -> Examined:
    """Whether control says what the database says. Raises BrokerUnavailable."""
    pinned = load_control_signers(settings.control_signers_file, "MKC_OPERATOR_CONTROL_SIGNERS_FILE")
    announced = Announced(settings.kafka, "mkc-doctor", pinned, tls=settings.kafka_tls)
    async with announced.reader:
        with translated():
            slots = [slot_record(row) for row in await connection.fetch(SQL["announced_slots"])]
            tenants = [tenant_record(row) for row in await connection.fetch(SQL["tenants_for_control"])]
        said: list[ControlRecord] = [*slots, *tenants]
        missing = [record.record_id for record in said if announced.lacks(record)]
    return Examined(
        "control",
        f"{len(slots)} slots, {len(tenants)} tenants announced",
        [
            Symptom(
                "control",
                f"control does not say what the database says of {name}",
                "start the custodian; it says it again within a minute",
            )
            for name in missing
        ],
    )


def unreachable(check: str, exc: ServiceError, remedy: str) -> Examined:
    """A check that could not be made."""
    return Examined(check, "not reached", [Symptom(check, f"{exc.code}: {exc}", remedy)])
