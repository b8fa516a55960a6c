"""Kafka's permissions (ACLs) as a set of permits: read, add, remove.

aiokafka has the messages of the protocol and no calls for them. Must never decide who may do what.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import (
    CreateAclsRequest,
    DeleteAclsRequest,
    DescribeAclsRequest,
)

from contracts.access import Operation, Permit, Resource
from contracts.errors import BrokerUnavailable, broker_error
from runtime.kafka.admin import AdminConnection

_ANY, _LITERAL, _PREFIXED = 1, 3, 4
_ALLOW: Final = 3
_USER: Final = "User:"
_EVERY_HOST: Final = "*"
_RESOURCES: Final = {Resource.TOPIC: 2, Resource.GROUP: 3, Resource.CLUSTER: 4}
_OPERATIONS: Final = {
    Operation.READ: 3,
    Operation.WRITE: 4,
    Operation.CREATE: 5,
    Operation.ALTER: 7,
    Operation.DESCRIBE: 8,
    Operation.DESCRIBE_CONFIGS: 10,
}
_RESOURCE_OF: Final = {number: resource for resource, number in _RESOURCES.items()}
_OPERATION_OF: Final = {number: operation for operation, number in _OPERATIONS.items()}
_NO_AUTHORIZER: Final = 54
_PER_REQUEST: Final = 500


class _Create(CreateAclsRequest):  # type: ignore[misc]  # aiokafka has no types
    """Many at once."""

    API_KEY = CreateAclsRequest.API_KEY

    def __init__(self, rows: Collection[tuple[Any, ...]]) -> None:
        self._rows = rows

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(list(self._rows))


class _Delete(DeleteAclsRequest):  # type: ignore[misc]  # aiokafka has no types
    """Many at once."""

    API_KEY = DeleteAclsRequest.API_KEY

    def __init__(self, rows: Collection[tuple[Any, ...]]) -> None:
        self._rows = rows

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(list(self._rows))


class _Describe(DescribeAclsRequest):  # type: ignore[misc]  # aiokafka has no types
    """All of them, in the form that names the pattern."""

    API_KEY = DescribeAclsRequest.API_KEY

    def __init__(self) -> None:
        super().__init__(_ANY, None, _ANY, None, None, _ANY, _ANY)


class AclAdmin(AdminConnection):
    """Raises BrokerUnavailable, or AccessRefused for a client that may not."""

    async def existing(self) -> tuple[frozenset[Permit], int]:
        """All permits, and how many entries there are beside them that no permit of ours can say (a DENY, a host, another
        operation)."""
        response = await self._ask(_Describe())
        if response.error_code == _NO_AUTHORIZER:
            raise BrokerUnavailable("this Kafka checks no permissions: it has no authorizer")
        self._require(response.error_code, "permissions cannot be described")
        found: set[Permit] = set()
        others = 0
        for resource_type, name, pattern, entries in response.resources:
            for principal, host, operation, permission in entries:
                resource, wanted = _RESOURCE_OF.get(resource_type), _OPERATION_OF.get(operation)
                plain = permission == _ALLOW and host == _EVERY_HOST and principal.startswith(_USER)
                if resource is None or wanted is None or not plain or pattern not in (_LITERAL, _PREFIXED):
                    others += 1
                    continue
                who = principal.removeprefix(_USER)
                found.add(Permit(who, wanted, resource, name, is_prefix=pattern == _PREFIXED))
        return frozenset(found), others

    async def add(self, permits: Iterable[Permit]) -> None:
        """Nothing happens to those that stand already."""
        for rows in _parts(permits):
            response = await self._ask(_Create(rows))
            for code, _ in response.creation_responses:
                self._require(code, "permissions cannot be added")

    async def remove(self, permits: Iterable[Permit]) -> None:
        """Takes effect at once, also on connections that are open."""
        for rows in _parts(permits):
            response = await self._ask(_Delete(rows))
            for code, _, _ in response.filter_responses:
                self._require(code, "permissions cannot be removed")

    async def _ask(self, request: Any) -> Any:
        try:
            return await self._client._send_request(request)
        except KafkaError as exc:
            raise broker_error(exc, "Kafka does not answer about permissions") from exc

    @staticmethod
    def _require(code: int, text: str) -> None:
        if code:
            exc = for_code(code)()
            raise broker_error(exc, text) from exc


def _parts(permits: Iterable[Permit]) -> Iterable[list[tuple[Any, ...]]]:
    rows = [
        (
            _RESOURCES[one.resource],
            one.name,
            _PREFIXED if one.is_prefix else _LITERAL,
            _USER + one.principal,
            _EVERY_HOST,
            _OPERATIONS[one.operation],
            _ALLOW,
        )
        for one in sorted(permits)
    ]
    return (rows[at : at + _PER_REQUEST] for at in range(0, len(rows), _PER_REQUEST))
