"""No secret shows where an attacker without the files would look; memory is not dumped."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from contracts.errors import InvalidSettings
from deploy.local.node import Node
from deploy.local.processes import MODULES
from deploy.local.stack import LocalStack
from runtime.settings import ProcessSettings, load
from runtime.tls import TlsFiles
from store.custody.settings import CustodianSettings
from store.settings import StoreSettings
from tests.security.conftest import Secured
from tests.support.bodies import encode, messenger
from tests.support.servers import free_port_base

PAGE = "700300400500699"
LOGINS = ("mk_custodian", "mk_store", "mk_erasure", "mk_reader", "mk_desk")


def secret_forms(secured: Secured) -> Iterator[tuple[str, bytes]]:
    """Each secret of the installation, in each form in which it could slip out."""
    root, keys = secured.world.stack.root, secured.world.service.keys
    files = [path for path in keys.rglob("*") if path.is_file() and "public" not in path.parts]
    files = [path for path in files if path.name != "apps.json"]
    files += [*root.glob("tls/*/tls.key"), root / "tls" / "ca.key"]
    for path in files:
        content = path.read_bytes().strip()
        if path.suffix == ".key" and content.startswith(b"-----"):
            # The body of the PEM: its frame is the same in all.
            content = content.splitlines()[1]
        yield path.name, content
        yield path.name, content.hex().encode()
        yield path.name, b64encode(content).rstrip(b"=")
        yield path.name, urlsafe_b64encode(content).rstrip(b"=")
    for path in root.glob("logins/*/password"):
        yield path.parent.name, path.read_bytes().strip().rpartition(b":")[2]


def nodes(secured: Secured) -> dict[str, Node]:
    world = secured.world
    found: dict[str, Node] = {name: world.node(name) for name in MODULES}
    return found | {"kafka": world.stack.kafka, "postgres": world.stack.postgres}


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def test_no_secret_is_in_an_environment_a_title_or_a_log(secured: Secured) -> None:
    secrets = list(secret_forms(secured))
    assert len(secrets) > 50
    looked_at = 0
    for name, node in nodes(secured).items():
        places = [node.log_path]
        places += [Path(f"/proc/{pid}/{kind}") for pid in family(node.pid) for kind in ("environ", "cmdline")]
        for place in places:
            content = place.read_bytes()
            looked_at += len(content)
            for what, secret in secrets:
                assert secret not in content, f"{what} shows in {place.name} of {name}"
    assert looked_at > 10_000


def test_the_search_finds_a_planted_secret(secured: Secured) -> None:
    _, planted = next(iter(secret_forms(secured)))
    content = b"noise " + planted
    assert any(secret in content for _, secret in secret_forms(secured))
    environment = Path(f"/proc/{secured.world.node('store').pid}/environ").read_bytes()
    # What is there are the names of files.
    assert b"passfile=" in environment
    assert b"MKC_STORE_KAFKA_KEY_FILE=" in environment


@pytest.mark.parametrize("process", list(MODULES))
def test_core_dumps_are_off(secured: Secured, process: str) -> None:
    limits = Path(f"/proc/{secured.world.node(process).pid}/limits").read_text().splitlines()
    core = next(line.split() for line in limits if line.startswith("Max core file size"))
    assert core[4:6] == ["0", "0"]


@pytest.mark.parametrize("settings", [StoreSettings, CustodianSettings])
def test_settings_show_neither_dsn_nor_secret(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, settings: type[ProcessSettings]
) -> None:
    prefix = str(settings.model_config["env_prefix"])
    process = prefix.removeprefix("MKC_").removesuffix("_").lower()
    content = Path(f"/proc/{secured.world.node(process).pid}/environ").read_bytes().decode()
    for line in content.split("\0"):
        name, _, value = line.partition("=")
        if name.startswith(prefix):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv(f"{prefix}DATABASE", "postgresql://mk_store:hunter2@127.0.0.1/x")
    loaded = load(settings)
    shown = f"{loaded!r} {loaded} {loaded.summary()}"
    assert "hunter2" not in shown
    monkeypatch.setenv(f"{prefix}HEALTH_PORT", "hunter2")
    with pytest.raises(InvalidSettings) as raised:
        load(settings)
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


def test_a_certificates_key_that_others_may_read_is_refused(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = secured.world.stack.endpoints.authority
    assert authority is not None
    files = authority.files("store")
    copy = tmp_path / "tls.key"
    copy.write_bytes(files.key.read_bytes())
    copy.chmod(0o644)
    settings = CustodianSettings.model_construct(
        kafka_ca_file=files.ca, kafka_cert_file=files.certificate, kafka_key_file=copy
    )
    with pytest.raises(InvalidSettings, match="readable by others"):
        _ = settings.kafka_tls
    half = CustodianSettings.model_construct(
        kafka_ca_file=files.ca, kafka_cert_file=files.certificate, kafka_key_file=None
    )
    with pytest.raises(InvalidSettings, match="all three"):
        _ = half.kafka_tls


def test_the_repr_of_tls_files_names_no_key(secured: Secured) -> None:
    assert "tls.key" not in repr(TlsFiles(Path("ca"), Path("cert"), Path("tls.key")))


# Postgres.


async def refused(dsn: str) -> str:
    """The class of what Postgres answers; empty if it lets in."""
    try:
        connection = await asyncpg.connect(dsn, timeout=30)
    except (asyncpg.PostgresError, OSError) as exc:
        return type(exc).__name__
    await connection.close()
    return ""


@pytest.mark.parametrize("login", ["postgres", *LOGINS])
async def test_no_login_gets_in_without_its_own_password(secured: Secured, login: str) -> None:
    plain = secured.world.stack.endpoints.postgres.partition("?")[0].replace("postgres@", f"{login}@")
    database = plain.rpartition("/")[0] + "/" + secured.world.service.database
    assert await refused(database.replace("@", ":@")) == "InvalidPasswordError"
    passwords = secured.world.stack.endpoints.passwords
    assert passwords is not None
    other = passwords.ensure("mk_reader" if login == "mk_store" else "mk_store").decode()
    assert await refused(database.replace("@", f":{other}@")) == "InvalidPasswordError"
    assert await refused(database.replace("@", f":{passwords.ensure(login).decode()}@")) == ""


@pytest.mark.parametrize("name", ["router", "ingest", "mk_owner", "nobody"])
async def test_the_router_and_ingest_reach_no_database(secured: Secured, name: str) -> None:
    plain = secured.world.stack.endpoints.postgres.partition("?")[0].replace("postgres@", f"{name}:x@")
    assert await refused(plain) == "InvalidAuthorizationSpecificationError"


@pytest.mark.parametrize("process", ["router", "ingest"])
def test_the_router_and_ingest_know_no_database_and_are_connected_to_none(
    secured: Secured, process: str
) -> None:
    pid = secured.world.node(process).pid
    assert b"postgresql://" not in Path(f"/proc/{pid}/environ").read_bytes()
    plain = secured.world.stack.endpoints.postgres.partition("?")[0]
    port = int(plain.rpartition(":")[2].partition("/")[0])
    assert not _connected_to(pid, port)
    assert _connected_to(secured.world.node("store").pid, port)


def _connected_to(pid: int, port: int) -> bool:
    sockets = {path.readlink().name for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(
        row.split()[2].endswith(f":{port:04X}") and f"socket:[{row.split()[9]}]" in sockets for row in rows
    )


def test_no_process_works_as_superuser_and_each_search_path_is_pinned(secured: Secured) -> None:
    sql = secured.world.sql
    users = {
        row["usename"]
        for row in sql("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'mk-%'")
    }
    assert users == {"mk_custodian", "mk_store", "mk_erasure", "mk_desk"}
    stored = sql("SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL")
    assert {row["rolname"] for row in stored} == {"postgres", *LOGINS}
    assert all(row["rolpassword"].startswith("SCRAM-SHA-256$") for row in stored)
    pinned = sql("SELECT rolname, rolconfig FROM pg_roles WHERE rolname = ANY ($1::text[])", list(LOGINS))
    assert all(row["rolconfig"] == ["search_path=pg_catalog"] for row in pinned)


def test_a_changed_password_is_taken_up_without_a_restart(secured: Secured) -> None:
    world = secured.world
    passwords = world.stack.endpoints.passwords
    assert passwords is not None
    path = passwords.path("mk_store")
    before = path.read_text()
    changed = "f00d" * 8
    world.sql(f"ALTER ROLE mk_store PASSWORD '{changed}'")
    path.write_text(f"*:*:*:mk_store:{changed}\n")
    try:
        world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mk_store'")
        before_rows = world.row_count(secured.rival)
        world.connect(secured.rival, "messenger", {"page": PAGE})
        assert world.post(encode(messenger("m_password", "written under the new one", page=PAGE))) == 200
        world.wait_rows(secured.rival, before_rows + 1, 20)
        assert "store" not in world.dead()
    finally:
        world.sql(f"ALTER ROLE mk_store PASSWORD '{before.strip().rpartition(':')[2]}'")
        path.write_text(before)


@pytest.mark.skipif(
    not Path("/usr/lib/postgresql/15/bin/postgres").exists(), reason="Debian's PostgreSQL 15 is not installed"
)
def test_where_postgres_has_tls_nobody_gets_in_without_it() -> None:
    root = Path(tempfile.mkdtemp(prefix="mkchannels-tls-"))
    root.chmod(0o755)
    stack = LocalStack(root, port_base=free_port_base(), postgres_version="15", profile="test", secure=True)
    node = stack.postgres
    (root / "run").mkdir()
    try:
        node.start()
        dsn = node.dsn()
        assert "sslmode=verify-full" in dsn

        async def version() -> str:
            connection = await asyncpg.connect(dsn)
            try:
                found = await connection.fetchval(
                    "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                )
            finally:
                await connection.close()
            return str(found)

        assert asyncio.run(version()) in ("TLSv1.3", "TLSv1.2")
        without = dsn.replace("verify-full", "disable")
        assert asyncio.run(refused(without)) == "InvalidAuthorizationSpecificationError"
        stranger = dsn.replace(str(root / "tls" / "ca.pem"), "/etc/ssl/certs/ca-certificates.crt")
        assert asyncio.run(refused(stranger)) in ("SSLCertVerificationError", "FileNotFoundError")
    finally:
        node.stop()
        shutil.rmtree(root, ignore_errors=True)
