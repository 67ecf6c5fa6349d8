"""A relay that hands letters to a door: kept sessions, pipelined commands, a clock on every mail."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.mix import QUEUE, Letter


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery; times are seconds of the wall clock. ``due`` is when it should have begun."""

    letter: Letter
    spool_id: str
    due: float
    accepted: float


class Session:
    """One SMTP session. Raises OSError when the other side goes or refuses."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 120)
        self._lines = self._socket.makefile("rb")
        self._expect(b"220")
        self._socket.sendall(b"EHLO relay.example\r\n")
        self._expect(b"250")

    def deliver(self, letter: Letter, queue: str) -> str:
        """The spool id that stands in the 250."""
        self._socket.sendall(
            f"MAIL FROM:<{letter.sender}> BODY=8BITMIME\r\nRCPT TO:<{queue}>\r\nDATA\r\n".encode()   # RFC 2920 §3.1
        )
        for code in (b"250", b"250", b"354"):
            self._expect(code)
        self._socket.sendall(b"%s.\r\n" % (b"\r\n" + letter.raw).replace(b"\r\n.", b"\r\n..")[2:])
        return self._expect(b"250").split()[2].decode()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _expect(self, code: bytes) -> bytes:
        while (line := self._lines.readline())[3:4] == b"-":
            pass
        if not line.startswith(code):
            raise OSError(f"the door said {line!r} instead of {code.decode()}")
        return line


def feed(
    port: int, letters: Sequence[Letter], *, rate: float | None = None, sessions: int = 16, queue: str = QUEUE
) -> list[Sent]:
    """Hand over all letters: ``rate`` a second, or as fast as it goes. In the order of ``letters``.

    With a rate the clock of a mail starts when it was due, whether or not a session was free.
    """
    begun = time.time() + 0.1
    numbers = itertools.count()
    out: list[Sent | None] = [None] * len(letters)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            session = Session(port)
            while (number := next(numbers)) < len(letters) and not failures:
                due = begun + number / rate if rate else time.time()
                time.sleep(max(0.0, due - time.time()))
                spool_id = session.deliver(letters[number], queue)
                out[number] = Sent(letters[number], spool_id, due, time.time())
            session.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(sessions, len(letters)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [one for one in out if one is not None]
