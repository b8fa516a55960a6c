"""A fresh database cell for a module of tests that needs no process."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.database import prepare_database
from deploy.local.processes import in_own_loop
from deploy.local.stack import LocalStack
from store.migrate import migrate
from tests.support.world import World

_numbers = itertools.count(1)


@contextmanager
def fresh_database(stack: LocalStack, prefix: str) -> Iterator[dict[str, str]]:
    """The DSN of each login and of the superuser (`admin`), migrated; dropped at the end."""
    name = f"{prefix}_{os.getpid()}_{next(_numbers)}"
    made = prepare_database(stack.endpoints.postgres, name, stack.endpoints.passwords)
    try:
        in_own_loop(migrate(made["mk_custodian"]))
        yield made | {"admin": stack.dsn(name)}
    finally:
        World.drop_database(stack, name)
