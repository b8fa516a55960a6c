"""Steady traffic in the background: each numbered message is posted until it is answered 200, as Meta would.

What the receiver promised can then be counted: every number exactly once in the rows.
"""

import http.client
import itertools
import threading
import time
from types import TracebackType
from typing import Self

from tests.support.bodies import encode, whatsapp, whatsapp_message
from tests.support.world import World

_RETRY_S = 0.1


class Load:
    """Posts from `workers` threads, about `rate` messages a second in all. A context manager: stops and joins at its end."""

    def __init__(
        self, world: World, *, waba: str, phone_number_id: str, workers: int = 4, rate: float = 120
    ) -> None:
        self._world = world
        self._waba, self._number_id = waba, phone_number_id
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._pause_s = workers / rate
        self._began_s = int(time.time())
        self.promised: set[int] = set()
        """Numbers answered 200."""
        self.statuses: dict[int, int] = {}
        """How often each status was seen; 0 is a connection that failed."""
        self.longest_gap_s = 0.0
        """The longest time without a 200."""
        self._last = 0.0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._post, daemon=True) for _ in range(workers)]

    def __enter__(self) -> Self:
        self._last = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def await_promised(self, more: int, timeout_s: float) -> None:
        """Wait until that many more were answered 200."""
        goal = len(self.promised) + more
        self._world.wait_until(lambda: len(self.promised) >= goal, timeout_s, f"{more} more answers of 200")

    def _post(self) -> None:
        connection = self._connection()
        while not self._stopping.is_set():
            number = next(self._numbers)
            body = self.body(number)
            while True:
                try:
                    status = self._world.post_on(connection, body)
                except (OSError, http.client.HTTPException):
                    status = 0
                    connection.close()
                    connection = self._connection()
                self._count(number, status)
                if status == 200:
                    break
                # A number that was tried is finished even at the end: only so do rows and promises agree.
                time.sleep(_RETRY_S)
            time.sleep(self._pause_s)
        connection.close()

    def body(self, number: int) -> bytes:
        """The delivery with this number."""
        phone = f"55319{87_000_000 + number % 50}"
        message = whatsapp_message(f"wamid.load{number}", f"carga {number}", phone=phone, at_s=self._began_s)
        return encode(whatsapp([message], waba=self._waba, phone_number_id=self._number_id))

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._world.service.ports.receiver, timeout=30)

    def _count(self, number: int, status: int) -> None:
        with self._lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if status == 200:
                now = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now - self._last)
                self._last = now
                self.promised.add(number)
