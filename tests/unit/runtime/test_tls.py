"""A TLS connection that ends: our goodbye is sent, and the other side's is not waited for."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from deploy.local.certificates import NODE, Authority
from runtime.tls import client_context

pytestmark = pytest.mark.kafka  # It stands for one: a socket of this machine.


@contextmanager
def silent_server(authority: Authority) -> Iterator[tuple[int, list[bytes]]]:
    """Shakes hands, then reads what comes without ever saying anything: its port, and how its reading ended."""
    files = authority.files(NODE)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files.certificate, files.key)
    heard: list[bytes] = []
    client_is_gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as tls:
                while part := tls.recv(100):
                    heard.append(part)
                # Read to the end of the TLS stream: a socket that is only cut would have raised.
                heard.append(b"<goodbye>")
                client_is_gone.wait(60)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            client_is_gone.set()
            thread.join()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_closing_waits_for_nobodys_goodbye(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    authority = Authority(tmp_path / "tls")
    authority.prepare()
    context = client_context(authority.issue("ingest"), "test")

    async def talk(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"last words")
        writer.close()
        # The loops' own patience is 30 s.
        async with asyncio.timeout(10):
            await writer.wait_closed()

    with silent_server(authority) as (port, heard), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(talk(port))
    assert heard == [b"last words", b"<goodbye>"]
