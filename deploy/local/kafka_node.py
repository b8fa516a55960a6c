"""The local Kafka: one KRaft node run from its jars, without scripts and without Docker."""

import asyncio
import base64
import concurrent.futures
import importlib
import os
import signal
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final, Literal

from deploy.local.certificates import ADMIN, Authority
from deploy.local.errors import LocalStackError
from deploy.local.kafka_libs import CONFIG_DIR, class_path, ensure_libs, java
from deploy.local.node import Launch, Node, minimal_environment, port_answers
from deploy.local.process import write_atomically
from runtime.tls import client_context

Profile = Literal["run", "test", "bench"]


class KafkaNode(Node):
    """A broker and controller in one process, reachable at `bootstrap`."""

    name = "kafka"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        root: Path,
        *,
        client_port: int,
        controller_port: int,
        cache: Path,
        version: str,
        profile: Profile,
        jvm_options: Sequence[str] = (),
        authority: Authority | None = None,
        internal_port: int = 0,
    ) -> None:
        """`authority`: whose certificates it asks of everybody, on a port more; None: plain, for this machine only."""
        ports = (
            (client_port, controller_port)
            if authority is None
            else (client_port, controller_port, internal_port)
        )
        super().__init__(root / "run", root / "kafka", ports)
        self._authority = authority
        self._internal_port = internal_port
        self.bootstrap = f"127.0.0.1:{client_port}"
        self.version = version
        self._client_port = client_port
        self._controller_port = controller_port
        self._cache = cache
        self._profile = profile
        self._jvm_options = jvm_options

    def admin_tls(self) -> ssl.SSLContext | None:
        """How its administrator connects; None where everybody may."""
        if self._authority is None:
            return None
        return client_context(self._authority.files(ADMIN), "the stack's certificates")

    def _prepare(self) -> tuple[Launch, str]:
        if self._authority is not None:
            self._authority.prepare()
        libs = ensure_libs(self._cache, self.version)
        properties = self._properties()
        properties_file = self._run_dir / "kafka.properties"
        write_atomically(properties_file, properties)
        runtime = [str(java()), *self._heap(), *self._archive(), *self._jvm_options]
        runtime += [f"-Dlog4j2.configurationFile={CONFIG_DIR / 'log4j2.properties'}", "-cp", class_path(libs)]
        self._format(runtime, properties_file)
        launch = Launch([*runtime, "kafka.Kafka", str(properties_file)], self._run_dir, minimal_environment())
        return launch, launch.fingerprint(properties)

    def _properties(self) -> str:
        text = Template((CONFIG_DIR / "server.properties").read_text()).substitute(
            client_port=self._client_port, controller_port=self._controller_port, data_dir=self.data_dir
        )
        if self._authority is not None:
            # Of a setting that stands twice Kafka takes the last.
            text += "\n" + Template((CONFIG_DIR / "secure.properties").read_text()).substitute(
                client_port=self._client_port,
                internal_port=self._internal_port,
                controller_port=self._controller_port,
                keystore=self._authority.node_keystore,
                ca=self._authority.ca,
            )
        if self._profile == "test":
            text += "\n" + (CONFIG_DIR / "test.properties").read_text()
        return text

    def _heap(self) -> list[str]:
        if self._profile == "bench":
            return ["-Xms1g", "-Xmx1g", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError"]
        # The first compiler alone starts faster; the second pays off only under minutes of load.
        options = ["-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1"]
        return [*options, "-XX:+ExitOnOutOfMemoryError"]

    def _archive(self) -> list[str]:
        archive = archive_path(self._cache, self.version)
        return [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []

    def _format(self, runtime: Sequence[str], properties_file: Path) -> None:
        made_by = self.data_dir / "made-by-version"
        if made_by.exists():
            if (found := made_by.read_text()) != self.version:
                # Going back to an older metadata version is not supported by Kafka, and it says so obscurely.
                raise LocalStackError(
                    f"{self.data_dir} was made by Kafka {found}, not {self.version}: use another root, or `make clean-data`."
                )
            return
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            *runtime,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            new_cluster_id(),
            "-c",
            str(properties_file),
        ]
        result = subprocess.run(
            [*command, "--ignore-formatted"],
            cwd=self._run_dir,
            env=minimal_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            said = result.stderr + result.stdout
            _refuse_old_java(said)
            lines = said.strip().splitlines() or ["it wrote nothing"]
            raise LocalStackError(f"Kafka's data directory could not be made: {lines[0][:300]}")
        made_by.write_text(self.version)

    def _cluster_id(self) -> str:
        lines = (self.data_dir / "meta.properties").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("cluster.id="))

    def _ended_for_now(self, log_tail: str) -> bool:
        _refuse_old_java(log_tail)
        return False

    def _load_client(self) -> None:
        importlib.import_module("aiokafka.admin")

    def _answers(self, timeout_s: float) -> bool:
        if not port_answers(self._client_port):
            return False
        # Our cluster id: another Kafka on this port is not this node.
        return cluster_id_at(self.bootstrap, timeout_s, self.admin_tls()) == self._cluster_id()


def _refuse_old_java(said: str) -> None:
    if "UnsupportedClassVersionError" in said:
        raise LocalStackError(
            f"{java()} is too old for Kafka, which needs Java 17 or newer: apt-get install openjdk-17-jre-headless,"
            " or point JAVA_HOME at one."
        )


def new_cluster_id() -> str:
    """Sixteen random bytes as Kafka writes them."""
    while True:
        cluster_id = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
        # One in 64 would begin like an option, which the format command then refuses.
        if not cluster_id.startswith("-"):
            return cluster_id


def archive_path(cache: Path, version: str) -> Path:
    """Where the class archive for this Kafka on this Java lies; another Java would silently ignore it."""
    binary = java()
    stamp = f"{binary.parent.parent.name}-{int(binary.stat().st_mtime)}"
    return cache / f"kafka-{version}" / f"{stamp}.jsa"


_REQUESTS: Final = 8
"""More than it takes to learn a cluster's id: connect, versions, metadata, describe, find."""


def cluster_id_at(bootstrap: str, timeout_s: float, tls: ssl.SSLContext | None = None) -> str | None:
    """The id of the cluster that answers there, or None if none does within the time."""
    # An own thread, because the caller may be inside a running event loop.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(_describe(bootstrap, timeout_s, tls))).result()


async def _describe(bootstrap: str, timeout_s: float, tls: ssl.SSLContext | None) -> str | None:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap,
        request_timeout_ms=max(1, int(timeout_s * 1000)),
        security_protocol="SSL" if tls else "PLAINTEXT",
        ssl_context=tls,
    )
    try:
        # Each request gives up by itself. A client that is cancelled while it connects would leave its connection open.
        async with asyncio.timeout(timeout_s * _REQUESTS):
            await admin.start()
            cluster = await admin.describe_cluster()
            # The first group of a new cluster waits about a second for the offsets topic: have it made now.
            await admin.find_coordinator("local-stack-warm-up")
    except (KafkaError, TimeoutError, OSError):
        return None
    finally:
        await admin.close()
    return str(cluster["cluster_id"])
