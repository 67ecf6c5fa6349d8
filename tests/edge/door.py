"""A real door on port 0 and a peer that says exactly the octets it is told to say."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from gateway.core.model import Envelope
from gateway.edge.durable import DISK, Disk
from gateway.edge.smtp_receive import Door, DoorSettings, Limits
from gateway.edge.spool import Spool

OURS = frozenset({"support@acme.example", "billing@acme.example", "t-1@reply.acme.example"})
QUICK = Limits(slow_seconds=0.0)
SETTINGS = DoorSettings(hostname="mx.acme.example", limits=QUICK)
HEADER = b"From: a@kunde.example\r\nSubject: x\r\n\r\n"
_visitors: list[Peer] = []  # closed with the door
START = b"EHLO kunde.example\r\nMAIL FROM:<a@kunde.example>\r\nRCPT TO:<support@acme.example>\r\n"


class Peer:
    """Sends octets, reads replies; a reply of several lines comes as one text."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def reply(self) -> str:
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 20)).decode()
            if not line:
                raise ConnectionResetError("closed")
            lines.append(line.removesuffix("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, data: bytes) -> str:
        """One command, one reply."""
        self.writer.write(data + b"\r\n")
        return await self.reply()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> list[str]:
        """Every line up to the end of the connection; an end by reset is one too."""
        with contextlib.suppress(ConnectionError):
            return (await asyncio.wait_for(self.reader.read(), 20)).decode().splitlines()
        return []

    async def mail(self, raw: bytes, to: bytes = b"support@acme.example", hello: bytes = b"EHLO") -> str:
        """A whole transaction; the first reply that is no 2xx or 3xx, or the last one."""
        answer = ""
        mail_from = b"MAIL FROM:<a@kunde.example>"
        for command in (
            hello + b" kunde.example",
            mail_from,
            b"RCPT TO:<" + to + b">",
            b"DATA",
            raw + b"\r\n.",
        ):
            answer = await self.say(command)
            if answer[0] not in "23":
                break
        return answer

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Close with RST, as a crashed host does."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def opened(
    root: Path,
    settings: DoorSettings = SETTINGS,
    *,
    disk: Disk = DISK,
    knows: Callable[[str], bool] = OURS.__contains__,
    relay_of: Callable[[str], str | None] = lambda peer: None,
    **limits: float,
) -> AsyncIterator[Door]:
    """A door that listens while the block runs; ``limits`` replace those of QUICK."""
    changed = replace(settings, limits=replace(settings.limits, **limits))  # type: ignore[arg-type]
    door = Door(changed, Spool(root, disk), knows=knows, relay_of=relay_of)
    await door.start("127.0.0.1", 0)
    try:
        yield door
    finally:
        await door.stop(0.5)
        while _visitors:
            await _visitors.pop().close()


async def visit(door: Door, greeting: bool = True) -> Peer:
    peer = Peer(*await asyncio.open_connection("127.0.0.1", door.port, limit=1 << 20))
    _visitors.append(peer)
    if greeting:
        await peer.reply()
    return peer


def stored(root: Path) -> list[tuple[Envelope, bytes]]:
    """What a fresh process would find accepted."""
    spool = Spool(root)
    return [spool.read(spool_id) for spool_id in spool.waiting()]


def leftovers(root: Path) -> list[str]:
    return [path.name for path in (root / "tmp").iterdir()]
