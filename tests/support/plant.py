"""A router as its own process on the real Kafka, with everything around it played by the contracts alone.

Control records are signed with keys made here, blocks are sealed as a receiver seals them, events are opened with the
tenant's private half. Each goes to Kafka under its own certificate; what is looked at is looked at by the administrator.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts import topics
from contracts.access import Operation, Permit, Resource, static_permits
from contracts.block import Delivery, pack
from contracts.headers import MK_COUNT, MK_SIZE
from contracts.hybrid import HybridPrivateKey
from contracts.key_file import RAW_KEYS, current_key
from contracts.sealing import NO_TENANT
from deploy.local.environment import certificate_settings
from deploy.local.stack import Endpoints, LocalStack
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.files import write_atomic
from runtime.kafka.clients import Producer, acknowledged
from tests.support.plant_seen import Watched, known
from tests.support.servers import free_port
from tests.support.world import delete_topics

REPOSITORY = Path(__file__).resolve().parents[3]
ROUTING_KEY = b"r" * 32


class Plant(Watched):
    """Everything around one router. Create with `Plant.on`."""

    def __init__(self, endpoints: Endpoints, root: Path) -> None:
        root.mkdir(mode=0o755, parents=True)
        super().__init__(endpoints, root)
        self.raw_keys_file = root / "raw_keys.json"
        self.health_port = free_port()
        self.epochs = EpochSource(self.ingest, SystemClock())
        self.producer = Producer(self.kafka, "plant-ingest", tls=endpoints.kafka_tls("ingest"))
        self.processes: list[asyncio.subprocess.Process] = []
        self.overrides: dict[str, str] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, stack: LocalStack, folder: Path) -> "AsyncIterator[Plant]":
        """Fresh topics and keys; the router's processes end with the context."""
        plant = cls(stack.endpoints, folder)
        await asyncio.to_thread(delete_topics, stack.endpoints)
        await plant.make_topics(topics.STATIC_TOPICS)
        reads = Permit("router", Operation.READ, Resource.GROUP, plant.settings["MKC_ROUTER_GROUP"])
        await plant.permit([*static_permits(), reads])
        write_atomic(folder / "router.key", plant.router_key)
        signers = {"custodian": base64.b64encode(plant.custodian.public_raw).decode()}
        write_atomic(folder / "signers.json", json.dumps(signers).encode())
        plant.secrets.put("routing", ROUTING_KEY)
        await plant.producer.start()
        await plant._control.start()
        try:
            yield plant
        finally:
            for process in plant.processes:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            await plant.producer.stop()
            await plant._control.stop()
            await plant.forbid([reads])
            shutil.rmtree(folder, ignore_errors=True)

    # The router.

    @property
    def settings(self) -> dict[str, str]:
        """The router's environment."""
        return {
            "MKC_ROUTER_KAFKA": self.kafka,
            "MKC_ROUTER_HEALTH_PORT": str(self.health_port),
            "MKC_ROUTER_SIGNING_KEY_FILE": str(self.root / "router.key"),
            "MKC_ROUTER_CONTROL_SIGNERS_FILE": str(self.root / "signers.json"),
            "MKC_ROUTER_SECRETS_DIR": str(self.root / "secrets"),
            "MKC_ROUTER_RAW_KEYS_FILE": str(self.raw_keys_file),
            # Of its own: a group waits for members that were killed, and remembers offsets of deleted topics.
            "MKC_ROUTER_GROUP": f"mk.router.{self.root.name}",
            **certificate_settings(self.endpoints.authority, "router"),
            **self.overrides,
        }

    async def start(self, *, wait: bool = True, under: Sequence[str] = ()) -> asyncio.subprocess.Process:
        """Start a router process (`under` a module of Python, a profiler for instance), and wait until it is ready."""
        environment = {**os.environ, **self.settings}
        with (self.root / "router.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *under,
                "-m",
                "router",
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        if wait:

            async def ready_or_gone() -> bool:
                assert process.returncode is None, f"the router ended: {self.log[-400:]}"
                return (await self.page("/readyz"))[0] == 200

            await self.until(ready_or_gone, 20, "the router to be ready")
        return process

    @staticmethod
    async def stop(process: asyncio.subprocess.Process, number: int = signal.SIGTERM) -> int:
        """Signal the router and wait for its end."""
        process.send_signal(number)
        return await asyncio.wait_for(process.wait(), 60)

    @property
    def log(self) -> str:
        """All routers' log so far."""
        return (self.root / "router.log").read_text(errors="replace")

    async def page(self, path: str) -> tuple[int, str]:
        """One page of the health server; status 0 if nobody answers."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.health_port)
        except OSError:
            return 0, ""
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read()).decode()
        finally:
            writer.close()
        return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]

    async def metric(self, sample: str) -> float:
        """One sample of the metrics page."""
        _, text = await self.page("/metrics")
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        raise AssertionError(f"no sample {sample}")

    # What a receiver does.

    def sealed(
        self,
        bodies: Sequence[bytes],
        *,
        app: str = "main",
        epochs: EpochSource | None = None,
        recipient: HybridPrivateKey | None = None,
    ) -> tuple[bytes, list[tuple[str, bytes]]]:
        """A block's value and headers."""
        if recipient is None:
            published = RAW_KEYS.decode(self.raw_keys_file.read_bytes(), known(self.router_signer, "router"))
            key = current_key(published, datetime.now(UTC))
        else:
            key = recipient.public, datetime.now(UTC) + timedelta(days=1)
        now_ms = int(time.time() * 1000)
        compressed, size = pack([Delivery(app, now_ms, body) for body in bodies])
        headers = [(MK_COUNT, b"%d" % len(bodies)), (MK_SIZE, b"%d" % size)]
        return (epochs or self.epochs).seal(topics.RAW, NO_TENANT, key, compressed, headers)

    async def post(self, *bodies: object, partition: int = 0, app: str = "main") -> int:
        """Publish one block with these deliveries (bytes, or JSON to be); its offset."""
        encoded = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        value, headers = self.sealed(encoded, app=app)
        return await self.publish(value, headers, partition=partition)

    async def publish(self, value: bytes, headers: Any, *, partition: int = 0) -> int:
        """Publish a raw record as it is; its offset."""
        future = await self.producer.send(topics.RAW, value, headers=headers, partition=partition)
        return int((await acknowledged(future)).offset)

    # The operator.

    async def mkc(self, *arguments: str) -> tuple[int, list[Any]]:
        """`mkc … --json` as a process of its own: exit code and the objects it printed."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MKC_")
        } | self.settings
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "runtime.mkc",
            *arguments,
            "--json",
            cwd=self.root,
            env={**environment, "PYTHONPATH": str(REPOSITORY)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, [json.loads(line) for line in out.decode().splitlines()]
