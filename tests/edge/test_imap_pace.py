"""Input 40 at the pace that mailboxes are watched with: back within a minute, whatever the server does.

Time is the event loop's. It passes only while nothing happens, a thousandfold faster than on the wall, so that
a slow machine is not late and nobody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from imap_server import (
    Fault,
    Server,
    bye,
    bye_and_stays,
    closed,
    endless_line,
    half_silent,
    halved,
    huge_literal,
    noise,
    other_tag,
    reset,
    silent,
)

from gateway.edge.imap_cursor import CursorFile
from gateway.edge.imap_receive import Mailbox, MailboxEvent
from gateway.edge.imap_settings import MailboxSettings, Pace
from gateway.edge.room import Room, RoomLimits
from gateway.edge.spool import Spool

STEPS = ("greeting", "CAPABILITY", "LOGIN", "SELECT", "SIZES", "SEARCH", "BODIES", "STORE", "IDLE", "DONE")
FAULTS = (closed, halved, reset, silent, half_silent, bye, bye_and_stays, noise, other_tag, huge_literal, endless_line)
MINUTE = 60.0
NAP = 0.002     # seconds on the wall without any news …
JUMP = 2.0      # … are so many on the clock


class _Naps(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Waits for news shortly; if there is none, time passes."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        news = super().select(NAP)
        if not news:
            self.now += JUMP if timeout is None else min(JUMP, timeout)
        return news


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._naps = _Naps()
        super().__init__(self._naps)

    def time(self) -> float:
        return self._naps.now


def mail(number: int) -> bytes:
    return f"From: Ann <ann@cust.example>\r\nSubject: mail {number}\r\n\r\nhello {number}\r\n".encode()


class Watched:
    """A mailbox at its real pace, and when it was connected and lost."""

    def __init__(self, root: Path, server: Server) -> None:
        settings = MailboxSettings(
            name="support", host="127.0.0.1", port=server.port, tls="none", username="support", password=server.password,
        )
        assert settings.pace == Pace()
        self.times: list[tuple[str, float]] = []
        self.spool = Spool(root / "spool")
        self.mailbox = Mailbox(
            settings, self.spool, CursorFile(root / "INBOX.json"), rcpt="support@acme.example",
            room=Room(self.spool, RoomLimits(free_bytes=0, free_inodes=0)), on_event=self._note,
        )

    def _note(self, event: MailboxEvent) -> None:
        self.times.append((event.name, asyncio.get_running_loop().time()))

    def connected(self, since: list[float]) -> list[float]:
        return [time for name, time in self.times if name == "connected" and since and time >= since[0]]

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[Watched]:
        task = asyncio.create_task(self.mailbox.run())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def raws(self) -> Counter[bytes]:
        return Counter(self.spool.read(spool_id)[1] for spool_id in self.spool.waiting())


async def _story(root: Path, step: str, fault: Fault) -> None:
    began: list[float] = []

    async def noted(session: object, answer: bytes) -> None:
        began.append(asyncio.get_running_loop().time())
        await fault(session, answer)  # type: ignore[arg-type]

    async with Server().running() as server:
        for number in (1, 2):
            server.deliver(mail(number))
        server.once(step, noted)
        watched = Watched(root, server)
        async with watched.at_work():
            async with asyncio.timeout(3600):
                while not (back := watched.connected(began)):
                    await asyncio.sleep(1)
                    if not began and any(s.idling for s in server._sessions):
                        server.deliver(mail(server.uidnext))    # ends IDLE, so that DONE can break
            assert back[0] - began[0] <= MINUTE
            server.deliver(mail(99))
            async with asyncio.timeout(3600):
                while mail(99) not in watched.raws():
                    await asyncio.sleep(1)
        assert watched.raws() == Counter(kept.raw for kept in server.mails.values())


@pytest.mark.parametrize("step", STEPS)
def test_a_broken_server_is_left_and_a_live_one_found_within_a_minute(tmp_path: Path, step: str) -> None:
    for fault in FAULTS:
        root = tmp_path / fault.__name__
        root.mkdir()
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(_story(root, step, fault))


def test_a_server_that_was_away_for_an_hour_is_found_again_within_a_minute(tmp_path: Path) -> None:
    """The pauses grow to a minute and no further."""

    async def story() -> None:
        async with Server().running() as server:
            server.always("greeting", closed)
            watched = Watched(tmp_path, server)
            async with watched.at_work():
                await asyncio.sleep(3600)
                lost = [time for name, time in watched.times if name == "lost"]
                assert 3600 / MINUTE / 2 < len(lost) < 3600 / 30, "neither asleep nor a storm"
                server.always("greeting", None)
                server.deliver(mail(1))
                opened = asyncio.get_running_loop().time()
                async with asyncio.timeout(3600):
                    while not watched.raws():
                        await asyncio.sleep(1)
                back = next(time for name, time in watched.times if name == "connected")
                assert back - opened <= MINUTE + JUMP

    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(story())
