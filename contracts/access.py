"""Who may do what on Kafka: made from the declarations of the topics, and from grants. Pure.

A process gets WRITE where it is declared a producer, READ where it is declared a consumer, and its consumer group.
Everything else is refused by the servers. Only the custodian changes permissions. Must never hold a client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.topics import (
    STATIC_TOPICS,
    TENANT_PREFIX,
    TopicSpec,
    slot_topics,
    tenant_events_topic,
    tenant_keys_topic,
)

READER_NAME: Final = re.compile(r"reader-[a-z0-9][a-z0-9-]{0,50}")
"""What a downstream service's certificate may say its name is: none of our processes is named so, and without a dot no
reader's groups begin with another's."""
READERS_GROUPS: Final = "reader-"
"""What the consumer groups of all downstream services begin with."""
ROUTER_GROUP: Final = "mk.router.v1"
CLUSTER: Final = "kafka-cluster"
_PRINCIPALS: Final = {"operators": "operator"}
_BY_GRANT: Final = "downstream"
_OURS: Final = "mk."


class Resource(StrEnum):
    """What a permit is about."""

    TOPIC = "topic"
    GROUP = "group"
    CLUSTER = "cluster"


class Operation(StrEnum):
    """Kafka's operations, as far as anybody is allowed one. READ and WRITE imply DESCRIBE."""

    READ = "read"
    WRITE = "write"
    CREATE = "create"
    ALTER = "alter"
    DESCRIBE = "describe"
    DESCRIBE_CONFIGS = "describe_configs"


@dataclass(frozen=True, slots=True, order=True)
class Permit:
    """`principal` (the CN of a certificate) may do `operation` on the resource of that name, or that begins so."""

    principal: str
    operation: Operation
    resource: Resource
    name: str
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.principal} {self.operation} {self.resource} {self.name}{'*' * self.is_prefix}"

    @property
    def is_kept_by_custodian(self) -> bool:
        """Whether the custodian adds and removes it (a slot's, a grant's); the others are put there at installation."""
        return self.principal.startswith("reader-") or (
            self.resource is Resource.TOPIC and self.name.startswith(TENANT_PREFIX)
        )


def static_permits() -> frozenset[Permit]:
    """What an installation needs before its processes start."""
    topic, group, cluster = Resource.TOPIC, Resource.GROUP, Resource.CLUSTER
    permits = set(_declared(STATIC_TOPICS))
    permits |= {
        Permit("router", Operation.READ, group, ROUTER_GROUP),
        Permit("store", Operation.READ, group, "mk.store.", is_prefix=True),
        Permit("erasure", Operation.READ, group, "mk.erasure.", is_prefix=True),
        # Which downstream services have committed past an erasure's notice: it sees their groups and joins none.
        Permit("erasure", Operation.DESCRIBE, group, READERS_GROUPS, is_prefix=True),
        # Grants and slots come and go with the custodian, so it alone may change what others may.
        Permit("custodian", Operation.ALTER, cluster, CLUSTER),
        Permit("custodian", Operation.CREATE, topic, _OURS, is_prefix=True),
    }
    for principal in ("custodian", "operator", "erasure"):
        # `mkc ledger` and `mkc doctor`: how far everybody is, and whether topics and permits are as declared. Erasure says
        # until when copies on topics can be read, and looks at ends and configurations for that, at no record.
        permits |= {
            Permit(principal, Operation.DESCRIBE, group, ROUTER_GROUP),
            Permit(principal, Operation.DESCRIBE, topic, _OURS, is_prefix=True),
            Permit(principal, Operation.DESCRIBE_CONFIGS, topic, _OURS, is_prefix=True),
        }
        if principal != "erasure":
            permits.add(Permit(principal, Operation.DESCRIBE, cluster, CLUSTER))
    return frozenset(permits)


def slot_permits(slot: str) -> frozenset[Permit]:
    """What our own processes need on a slot's two topics."""
    return frozenset(_declared(slot_topics(slot, 1)))


def grant_permits(reader: str, slot: str) -> frozenset[Permit]:
    """What a downstream service may while a grant for the tenant of `slot` is active. Raises ValueError for a name that
    no reader may have.

    Not the outcomes of erasures, although downstream is declared a reader: that topic holds all tenants'.
    """
    if not READER_NAME.fullmatch(reader):
        raise ValueError("not a reader's name")
    return frozenset(
        {
            Permit(reader, Operation.READ, Resource.TOPIC, tenant_events_topic(slot)),
            Permit(reader, Operation.READ, Resource.TOPIC, tenant_keys_topic(slot)),
            Permit(reader, Operation.READ, Resource.GROUP, groups_of(reader), is_prefix=True),
        }
    )


def groups_of(reader: str) -> str:
    """What the names of a downstream service's consumer groups begin with."""
    return f"{reader}."


def _declared(specs: Iterable[TopicSpec]) -> Iterator[Permit]:
    for spec in specs:
        for operation, names in ((Operation.WRITE, spec.producers), (Operation.READ, spec.consumers)):
            for name in names:
                if name != _BY_GRANT:
                    yield Permit(_PRINCIPALS.get(name, name), operation, Resource.TOPIC, spec.name)
