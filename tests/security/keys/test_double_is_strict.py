"""The double of Vault's protocol answers as OpenBao does: the same requests to both, where OpenBao was built."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

import pytest

from tests.support.key_policies import POLICIES, Paths
from tests.support.key_server import KeyServer
from tests.support.transit_server import served

AAD, OTHER, PLAIN = (b64encode(one).decode() for one in (b"aad", b"other", b"k" * 32))
KEY: Final = {"type": "aes256-gcm96", "exportable": False, "allow_plaintext_backup": False}
ITEM: Final = {"batch_input": [{"plaintext": PLAIN, "associated_data": AAD}]}


@pytest.fixture
def both(openbao_server: KeyServer) -> Any:
    """First OpenBao, whose keys and secrets of an earlier test are gone, then the double."""
    for key in openbao_server.root_keys():
        openbao_server.must("POST", f"transit/keys/{key}/config", {"deletion_allowed": True})
        openbao_server.must("DELETE", f"transit/keys/{key}")
    for secret in openbao_server.secrets("mk-store", "mk-router"):
        openbao_server.must("DELETE", f"secret/metadata/{secret}")
    with served() as double:
        yield openbao_server, double


def told(server: KeyServer, method: str, path: str, fields: Any = None) -> Any:
    """What a client of ours looks at: the status, the fields it reads, and whether there is an error."""
    status, body = server.call(method, path, fields)
    data = body.get("data") or {}
    results = [
        (sorted(set(one) & {"plaintext", "ciphertext", "error"}), one.get("plaintext"))
        for one in data.get("batch_results", ())
    ]
    words = (
        "no handler for route",
        "key not found",
        "check-and-set",
        "deletion is not allowed",
        "not found",
        "permission denied",
    )
    said = [word for word in words if word in str(body.get("errors", ""))]
    read = {
        name: data[name] for name in ("type", "exportable", "allow_plaintext_backup", "data") if name in data
    }
    listed = sorted(data["keys"]) if isinstance(data.get("keys"), list) else []
    return status, results, said, read, listed


def alike(both: tuple[KeyServer, KeyServer], method: str, path: str, fields: Any = None) -> int:
    """Asks both; the status."""
    first, second = (told(server, method, path, fields) for server in both)
    assert first == second, (method, path)
    return int(first[0])


def test_transits_answers_are_the_same(both: tuple[KeyServer, KeyServer]) -> None:
    assert alike(both, "GET", "transit/keys?list=true") == 404
    assert alike(both, "GET", "transit/keys/mk-root-1") == 404
    assert alike(both, "POST", "transit/decrypt/mk-root-1", {"batch_input": [{"ciphertext": "x"}]}) == 400
    assert [alike(both, "POST", "transit/keys/mk-root-1", KEY) for _ in range(2)] == [200, 200]
    assert alike(both, "GET", "transit/keys/mk-root-1") == 200
    assert alike(both, "GET", "transit/keys?list=true") == 200
    wraps = [
        server.must("POST", "transit/encrypt/mk-root-1", ITEM)["data"]["batch_results"][0]["ciphertext"]
        for server in both
    ]
    for change in (
        lambda text: text,
        lambda text: text.replace("v1", "v0", 1),
        lambda text: text.replace("v1", "v2", 1),
        lambda text: text.replace("v1", "v+1", 1),
        lambda text: text.replace("v1", "v01", 1),
        lambda text: text.replace("v1", "vx", 1),
        lambda text: text[:40] + "\n" + text[40:],
        lambda text: text + "\r\n",
        lambda text: " " + text,
        lambda text: text[:-1],
        lambda text: text[:20],
        lambda text: text[:9],
        lambda _: "",
        lambda _: "x",
    ):
        for aad in (AAD, OTHER):
            first, second = (
                told(
                    server,
                    "POST",
                    "transit/decrypt/mk-root-1",
                    # One that opens beside it: a batch is told item by item.
                    {
                        "batch_input": [
                            {"ciphertext": change(wrap), "associated_data": aad},
                            {"ciphertext": wrap, "associated_data": AAD},
                        ]
                    },
                )
                for server, wrap in zip(both, wraps, strict=True)
            )
            assert first == second, change(wraps[0])
    assert alike(both, "DELETE", "transit/keys/mk-root-1") == 400
    assert alike(both, "DELETE", "transit/keys/mk-root-2") == 400
    assert alike(both, "POST", "transit/keys/mk-root-2/config", {"deletion_allowed": True}) == 400
    assert alike(both, "POST", "transit/keys/mk-root-1/config", {"deletion_allowed": True}) == 200
    assert alike(both, "DELETE", "transit/keys/mk-root-1") == 204
    assert alike(both, "GET", "transit/keys/mk-root-1") == 404
    # What is not mounted is no missing key.
    assert alike(both, "GET", "absent/keys/mk-root-1") == 404
    assert told(both[0], "GET", "absent/keys/mk-root-1") != told(both[0], "GET", "transit/keys/mk-root-1")
    # Whoever may make keys makes one by using it.
    assert alike(both, "POST", "transit/encrypt/mk-root-3", ITEM) == 200
    assert alike(both, "GET", "transit/keys?list=true") == 200


def test_the_kv_engines_answers_are_the_same(both: tuple[KeyServer, KeyServer]) -> None:
    data, metadata = "secret/data/mk-store/a", "secret/metadata/mk-store/a"
    first, second = {"content": "eA=="}, {"content": "eQ=="}
    listing = "secret/metadata/mk-store?list=true"
    assert [alike(both, "GET", path) for path in (listing, data, metadata)] == [404, 404, 404]
    assert alike(both, "POST", metadata, {"max_versions": 1}) == 204
    # Metadata alone is listed, and has no content.
    assert [alike(both, "GET", path) for path in (listing, data, metadata)] == [200, 404, 200]
    assert alike(both, "POST", data, {"data": first, "options": {"cas": 0}}) == 200
    assert alike(both, "POST", data, {"data": first, "options": {"cas": 0}}) == 400
    assert alike(both, "POST", data, {"data": second, "options": {}}) == 200
    assert alike(both, "GET", data) == 200
    assert [server.secrets("mk-store") for server in both] == [{"mk-store/a": 1}] * 2
    assert [alike(both, "DELETE", metadata) for _ in range(2)] == [204, 204]
    assert [alike(both, "GET", path) for path in (listing, data, metadata)] == [404, 404, 404]
    assert alike(both, "POST", data, {"data": first, "options": {"cas": 0}}) == 200
    assert alike(both, "POST", data, {"data": second, "options": {}}) == 200
    # Without metadata's limit every version stays, until the write after one was set.
    assert [server.secrets("mk-store") for server in both] == [{"mk-store/a": 2}] * 2
    assert alike(both, "POST", metadata, {"max_versions": 1}) == 204
    assert alike(both, "POST", data, {"data": first, "options": {}}) == 200
    assert [server.secrets("mk-store") for server in both] == [{"mk-store/a": 1}] * 2


@pytest.mark.parametrize("process", POLICIES)
def test_a_token_may_the_same(both: tuple[KeyServer, KeyServer], process: str) -> None:
    for server in both:
        server.must("POST", "transit/keys/mk-root-1", KEY)
        server.put("mk-router/routing", b"r" * 32)
        server.put("mk-store/transport-1", b"t" * 32)
    paths: Paths = POLICIES[process]
    limited = [
        KeyServer(server.name, server.url, server.token(f"mk-{process}", paths), "", server.ca)
        for server in both
    ]
    pair = (limited[0], limited[1])
    write = {"data": {"content": "eA=="}, "options": {}}
    statuses = [
        alike(pair, method, path, fields)
        for method, path, fields in (
            ("GET", "transit/keys/mk-root-1", None),
            ("GET", "transit/keys?list=true", None),
            ("GET", "transit/export/encryption-key/mk-root-1", None),
            ("POST", "transit/encrypt/mk-root-1", ITEM),
            ("POST", "transit/encrypt/mk-root-9", ITEM),
            ("POST", "transit/decrypt/mk-root-1", {"batch_input": [{"ciphertext": "x"}]}),
            ("POST", "transit/keys/mk-root-2", KEY),
            ("POST", "transit/keys/mk-root-1/config", {"deletion_allowed": False}),
            ("DELETE", "transit/keys/mk-root-1", None),
            *(
                (method, f"secret/{kind}/{name}", fields)
                for name in ("mk-store/transport-1", "mk-store/transport-2", "mk-router/routing",
                             "mk-router/pseudonym-1", "mk-erasure/details-1", "mk-erasure/transport-1")
                for method, kind, fields in (
                    ("POST", "data", write), ("POST", "metadata", {"max_versions": 1}), ("GET", "data", None),
                    ("DELETE", "metadata", None),
                )
            ),
            *(("GET", f"secret/metadata/mk-{zone}?list=true", None) for zone in ("store", "router", "erasure")),
        )
    ]  # fmt: skip
    # Each is let in to some of it, and nobody to all.
    assert 403 in statuses
    assert set(statuses) & {200, 204, 400}
