"""The double's KV engine, version 2: secrets with versions, of which metadata may stand alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

_MOST_VERSIONS: Final = 10
"""Kept where nobody said how many."""


@dataclass(slots=True)
class KvSecret:
    """Metadata, and the versions that are kept by number."""

    most: int = _MOST_VERSIONS
    current: int = 0
    versions: dict[int, dict[str, str]] = field(default_factory=dict, repr=False)


class KvEngine:
    """What lies at `secret`. Source: openbao.org/api-docs/secret/kv/kv-v2."""

    def __init__(self) -> None:
        self.secrets: dict[str, KvSecret] = {}

    def answer(self, method: str, path: str, fields: dict[str, Any]) -> web.Response:
        """One request that its token may make."""
        kind, _, name = path.partition("/")
        if kind == "metadata":
            return self._metadata(method, name, fields)
        if kind == "data" and method == "POST":
            return self._write(name, fields)
        if kind == "data" and method == "GET":
            found = self.secrets.get(name)
            if found is None or not found.current:
                return _errors(404)
            return _data({"data": found.versions[found.current], "metadata": {"version": found.current}})
        return _errors(400, "unsupported path")

    def _metadata(self, method: str, name: str, fields: dict[str, Any]) -> web.Response:
        if method == "LIST":
            folder = name.rstrip("/") + "/"
            names = sorted(one.removeprefix(folder) for one in self.secrets if one.startswith(folder))
            return _data({"keys": names}) if names else _errors(404)
        if method == "POST":
            assert set(fields) <= {"max_versions"}, sorted(fields)
            # Versions beyond it stay until the next write.
            self.secrets.setdefault(name, KvSecret()).most = fields["max_versions"] or _MOST_VERSIONS
            return web.Response(status=204)
        if method == "GET":
            found = self.secrets.get(name)
            if found is None:
                return _errors(404)
            return _data({"max_versions": found.most, "versions": {str(one): {} for one in found.versions}})
        self.secrets.pop(name, None)
        return web.Response(status=204)

    def _write(self, name: str, fields: dict[str, Any]) -> web.Response:
        assert set(fields) <= {"data", "options"}, sorted(fields)
        known = self.secrets.get(name, KvSecret())
        if fields.get("options", {}).get("cas", known.current) != known.current:
            return _errors(400, "check-and-set parameter did not match the current version")
        self.secrets[name] = known
        known.current += 1
        known.versions[known.current] = fields["data"]
        for old in [one for one in known.versions if one <= known.current - known.most]:
            del known.versions[old]
        return _data({"version": known.current})


def _data(data: dict[str, Any]) -> web.Response:
    return web.json_response({"request_id": "1", "data": data})


def _errors(status: int, *reasons: str) -> web.Response:
    return web.json_response({"errors": list(reasons)}, status=status)
