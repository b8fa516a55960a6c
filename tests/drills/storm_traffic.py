"""What rages in the storm: webhooks of six writers with replays, redeliveries, unsends and imports, and who is erased.

Every body is posted until it is answered 200. Random, but from a seed. Must never judge: `tests.support.resurrection` does.
"""

import http.client
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from tests.support.bodies import delivery, encode, whatsapp, whatsapp_message
from tests.support.world import World

WABA: Final = "700100200300477"
NUMBER_ID: Final = "700200300400577"
INSTAGRAM: Final = "17847001002003077"
_DAY_S: Final = 86_400
_KEPT: Final = 4_000
_RETRY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes: on WhatsApp with a Brazilian mobile number, or on Instagram."""

    number: int

    @property
    def is_on_whatsapp(self) -> bool:
        """Every second one."""
        return self.number % 2 == 0

    @property
    def identifier(self) -> tuple[str, str]:
        """Kind and value, as an operator would give it; every fourth number without its ninth digit."""
        if not self.is_on_whatsapp:
            return "igsid", f"71{self.number:014d}"
        phone = f"55319{80_000_000 + self.number}"
        return "phone", phone[:4] + phone[5:] if self.number % 8 == 0 else phone


class Writers:
    """Threads that post. A context manager: all have stopped at its end."""

    def __init__(
        self, world: World, people: int, *, seed: int, writers: int = 6, pause_s: float = 0.0
    ) -> None:
        self._world, self._people, self._seed, self._pause_s = world, people, seed, pause_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._sent: list[bytes] = []
        self._mids: list[tuple[Person, str]] = []
        self._next = 0
        self.posted = {"new": 0, "replayed": 0, "unsent": 0, "unsent_before": 0, "imported": 0}
        self.failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(writers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, writer: int) -> None:
        try:
            self._write(random.Random(self._seed * 1_000 + writer))
        except BaseException as exc:
            self.failures.append(exc)

    def _write(self, chance: random.Random) -> None:
        connection = self._connect()
        while not self._stopping.is_set():
            body = self._body(chance)
            while True:
                try:
                    status = self._world.post_on(connection, body)
                except (OSError, http.client.HTTPException):
                    connection.close()
                    connection = self._connect()
                    status = 0
                if status == 200:
                    break
                # What was tried is finished even at the end: the checker counts what was promised.
                time.sleep(_RETRY_S)
            time.sleep(self._pause_s)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._world.service.ports.receiver, timeout=8)

    def _body(self, chance: random.Random) -> bytes:
        with self._lock:
            if self._sent and chance.random() < 0.4:
                self.posted["replayed"] += 1
                return chance.choice(self._sent)
            self._next += 1
            number = self._next
            kind, body = self._new(chance, number)
            self.posted[kind] += 1
            self._sent.append(body)
            if len(self._sent) > _KEPT:
                del self._sent[: _KEPT // 2]
            return body

    def _new(self, chance: random.Random, number: int) -> tuple[str, bytes]:
        drawn = chance.random()
        person = Person(chance.randrange(self._people))
        if drawn < 0.08 and self._mids:
            person, mid = chance.choice(self._mids)
            return "unsent", encode(instagram(person, mid, is_deleted=True))
        if drawn < 0.10:
            person = Person(person.number | 1)
            mid = f"mid.storm{number}"
            self._sent.append(encode(instagram(person, mid, text=f"tarde {number}")))
            return "unsent_before", encode(instagram(person, mid, is_deleted=True))
        if drawn < 0.15:
            person = Person(person.number & ~1)
            return "imported", encode(history(person, number, chance.randrange(1, 60) * _DAY_S))
        if person.is_on_whatsapp:
            message = whatsapp_message(
                f"wamid.storm{number}", f"tempestade {number}", phone=full_phone(person)
            )
            return "new", encode(whatsapp([message], waba=WABA, phone_number_id=NUMBER_ID))
        mid = f"mid.storm{number}"
        self._mids.append((person, mid))
        return "new", encode(instagram(person, mid, text=f"tempestade {number}"))


def full_phone(person: Person) -> str:
    """The number as WhatsApp writes it, whatever form the operator knows."""
    return f"55319{80_000_000 + person.number}"


def instagram(
    person: Person, mid: str, *, text: str | None = None, is_deleted: bool = False
) -> dict[str, Any]:
    """A direct message, or its unsend (META.md section 13)."""
    at = int(time.time() * 1000)
    message: dict[str, Any] = {"mid": mid}
    message |= {"is_deleted": True} if is_deleted else {"text": text}
    item = {
        "sender": {"id": person.identifier[1]},
        "recipient": {"id": INSTAGRAM},
        "timestamp": at,
        "message": message,
    }
    return delivery("instagram", [{"id": INSTAGRAM, "time": at, "messaging": [item]}])


def history(person: Person, number: int, age_s: int) -> dict[str, Any]:
    """One imported message of long ago (META.md section 8)."""
    phone = full_phone(person)
    message = whatsapp_message(
        f"wamid.old{number}", f"antiga {number}", phone=phone, at_s=int(time.time()) - age_s
    )
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "553133445566", "phone_number_id": NUMBER_ID},
        "history": [
            {
                "metadata": {"phase": 0, "chunk_order": 1, "progress": 10},
                "threads": [{"id": phone, "messages": [message]}],
            }
        ],
    }
    return delivery(
        "whatsapp_business_account", [{"id": WABA, "changes": [{"field": "history", "value": value}]}]
    )


class Every:
    """Does something again and again in a thread of its own, until the context ends; errors are kept, not swallowed."""

    def __init__(self, pause_s: float, act: Callable[[], None]) -> None:
        self._pause_s, self._act = pause_s, act
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.times = 0
        self.failures: list[BaseException] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stopping.wait(self._pause_s):
            try:
                self._act()
                self.times += 1
            except BaseException as exc:
                self.failures.append(exc)
                return
