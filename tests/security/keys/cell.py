"""A copy of a prepared database cell for each test: two tenants, no process, rotations driven step by step."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from runtime.files import SecretFolder
from store.custody.epochs.rotation import Plan, Rotation
from store.custody.epochs.sql import TenantSchema
from store.database import connected
from store.keys.keyring import LocalKeyring
from store.lanes.keks import WrappedKek
from store.lanes.reading import CellReader, find_tenant
from tests.integration.store.cell import Cell
from tests.support.world import Tenant, World


class Killed(BaseException):
    """What a test raises where the process would be killed: nobody catches it."""


@dataclass(slots=True)
class KeyCell:
    """One database, its keyring and its exports."""

    world: World
    tenants: tuple[Tenant, Tenant]
    batch: int = 7
    lasts: timedelta = timedelta(days=7)
    cell: Cell = field(init=False)

    def __post_init__(self) -> None:
        self.cell = Cell(self.world)

    @property
    def keys(self) -> Path:
        """Where every key lies."""
        return self.world.service.root / "keys"

    @property
    def places(self) -> tuple[Path, Path]:
        """Of exports."""
        return self.keys / "exports-1", self.keys / "exports-2"

    def provider(self) -> LocalKeyring:
        """The custodian's."""
        return LocalKeyring(SecretFolder(self.keys / "store" / "secrets"), SecretFolder(self.keys / "escrow"))

    def root_files(self) -> list[str]:
        """Root keys in keyring and escrow."""
        folders = (self.keys / "store" / "secrets", self.keys / "escrow")
        return sorted(path.name for folder in folders for path in folder.glob("root-*"))

    @asynccontextmanager
    async def custodian(self) -> AsyncIterator[Any]:
        """A connection as `mk_custodian`."""
        async with connected(self.cell.dsn("mk_custodian"), "test") as connection:
            yield connection

    def rotation(self, connection: Any, reached: Callable[[str], None] = lambda _step: None) -> Rotation:
        """As the custodian has it, in small batches."""
        plan = Plan(self.lasts, self.places, batch=self.batch, slice_s=0.05)
        return Rotation(connection, self.provider(), plan, reached)

    def ask(self, kind: str = "rotate") -> None:
        """What `mkc keys rotate` writes."""
        self.world.sql("INSERT INTO mk.key_request (kind, requested_by) VALUES ($1, 'test')", kind)

    async def rotate(self, reached: Callable[[str], None] = lambda _step: None) -> Rotation:
        """A whole rotation, as far as it goes."""
        self.ask()
        async with self.custodian() as connection:
            rotation = self.rotation(connection, reached)
            while not await rotation.advance():
                pass
        return rotation

    async def finish(self) -> None:
        """Go on with whatever stands, as a custodian that was started again."""
        async with self.custodian() as connection:
            rotation = self.rotation(connection)
            while not await rotation.advance():
                pass

    def roots(self) -> dict[int, str]:
        """Root epochs and their states, as the database has them."""
        return {row[0]: row[1] for row in self.world.sql("SELECT epoch, state FROM mk.root_epoch")}

    def waits_for(self, root: int) -> str | None:
        """Why that root epoch is not destroyed yet."""
        found = self.world.sql("SELECT waits_for FROM mk.root_epoch WHERE epoch = $1", root)
        return None if found[0][0] is None else str(found[0][0])

    def epochs(self, tenant: Tenant) -> dict[int, str]:
        """A tenant's epochs and their states."""
        return {row[0]: row[1] for row in self.world.sql(f"SELECT epoch, state FROM {tenant.schema}.epoch")}

    def dek_epochs(self, tenant: Tenant) -> set[int | None]:
        """What the tenant's subjects name."""
        return {row[0] for row in self.world.sql(f"SELECT DISTINCT dek_epoch FROM {tenant.schema}.subject")}

    async def read(self, tenant: Tenant) -> list[bytes | None]:
        """Every message, decrypted as the reading commands do; None: erased."""
        async with self.cell.connection("mk_reader") as connection, connection.transaction():
            found = await find_tenant(connection, tenant.name)
            await connection.execute(found.statements.enter_reader())
            epochs = [WrappedKek(*row) for row in await connection.fetch(found.statements.read_epochs)]
            reader = CellReader(found, self.provider(), epochs)
            rows = await connection.fetch(found.statements.read_messages, None, None)
            return [await reader.read(row) for row in rows]


def schema_of(tenant: Tenant) -> TenantSchema:
    """As rotations name it."""
    return TenantSchema(tenant.tenant, tenant.schema)
