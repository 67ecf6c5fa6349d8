"""A small IMAP server that keeps its word until a test tells it at which command to break it, and how.

A fault gets the right answer and the session, and may do with them what it likes: cut, replace, keep
silent, close. ``once`` breaks the next such answer, ``always`` every one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Fault = Callable[["Session", bytes], Awaitable[None]]
FIRST_DATE = "07-Nov-2026 09:30:00 +0000"
CAPABILITIES = "IMAP4rev1 IDLE UIDPLUS MOVE AUTH=XOAUTH2 SASL-IR"


@dataclass
class Kept:
    """A mail in the folder."""

    raw: bytes
    date: str = FIRST_DATE
    flags: set[str] = field(default_factory=set)
    size: int | None = None     # what is claimed, if not the truth


class Server:
    """One account with one folder. ``said`` holds every command as it came."""

    def __init__(self, capabilities: str = CAPABILITIES, password: str = 'pa ss"w\\rd') -> None:
        self.capabilities, self.password = capabilities, password
        self.uidvalidity, self.uidnext = 1_700_000_000, 1
        self.permanent = r"\Answered \Flagged \Deleted \Seen \*"
        self.mails: dict[int, Kept] = {}
        self.processed: list[bytes] = []
        self.tokens: set[str] = set()
        self.said: list[str] = []
        self.logins = self.delivered = 0
        self.port = 0
        self._once: dict[str, list[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self._sessions: set[Session] = set()

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.drop_all()
            while self._sessions:
                await asyncio.sleep(0.01)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        self._sessions.add(session)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await session.run()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            self._sessions.discard(session)

    # --- What tests do ---

    def once(self, step: str, *faults: Fault) -> None:
        self._once.setdefault(step, []).extend(faults)

    def always(self, step: str, fault: Fault | None) -> None:
        if fault is None:
            self._always.pop(step, None)
        else:
            self._always[step] = fault

    def fault(self, step: str) -> Fault | None:
        waiting = self._once.get(step)
        return waiting.pop(0) if waiting else self._always.get(step)

    @property
    def broken(self) -> bool:
        """Whether every fault that was ordered once has come to pass."""
        return not any(self._once.values())

    def deliver(self, raw: bytes, uid: int | None = None, **more: object) -> int:
        uid = uid or self.uidnext
        self.uidnext = max(self.uidnext, uid + 1)
        self.mails[uid] = Kept(raw, **more)  # type: ignore[arg-type]
        self.mails = dict(sorted(self.mails.items()))
        self.delivered += 1
        for session in self._sessions:
            session.news()
        return uid

    def push(self, data: bytes) -> None:
        """Say something to whoever idles."""
        for session in self._sessions:
            if session.idling:
                session.writer.write(data)

    def drop_all(self) -> None:
        for session in self._sessions:
            session.writer.transport.abort()


class Session:
    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.idling = False
        self.told = 0       # how many deliveries this client has heard of
        self.asked: list[int] = []

    async def run(self) -> None:
        await self._reply("greeting", f"* OK [CAPABILITY {self.server.capabilities}] ready\r\n".encode())
        while line := await self.reader.readline():
            command = line.decode().strip()
            self.server.said.append(command)
            tag, _, rest = command.partition(" ")
            verb = rest.split(" ")[1] if rest.upper().startswith("UID ") else rest.split(" ")[0]
            handler = getattr(self, f"_{verb.lower()}", None)
            if handler is None:
                self.writer.write(f"{tag} BAD what?\r\n".encode())
            else:
                await handler(tag, rest)
            await self.writer.drain()

    async def _reply(self, step: str, answer: bytes) -> None:
        fault = self.server.fault(step)
        if fault:
            await fault(self, answer)
        else:
            self.writer.write(answer)
        await self.writer.drain()

    def news(self) -> None:
        """Tell whoever idles, at once or as soon as he does (RFC 3501 §5.2)."""
        if self.idling and self.told != self.server.delivered:
            self.told = self.server.delivered
            self.writer.write(f"* {len(self.server.mails)} EXISTS\r\n".encode())

    async def close(self) -> None:
        await self.writer.drain()
        self.writer.close()
        raise ConnectionResetError("a fault")

    async def _capability(self, tag: str, _: str) -> None:
        await self._reply("CAPABILITY", f"* CAPABILITY {self.server.capabilities}\r\n{tag} OK done\r\n".encode())

    async def _login(self, tag: str, rest: str) -> None:
        self.server.logins += 1
        escaped = self.server.password.replace("\\", "\\\\").replace('"', '\\"')
        right = rest == f'LOGIN "support" "{escaped}"'
        await self._reply("LOGIN", f"{tag} OK in\r\n".encode() if right else f"{tag} NO [AUTHENTICATIONFAILED] no\r\n".encode())

    async def _authenticate(self, tag: str, rest: str) -> None:
        import base64

        self.server.logins += 1
        given = base64.b64decode(rest.split(" ")[2]).decode()
        user, bearer = re.fullmatch("user=(.*)\x01auth=Bearer (.*)\x01\x01", given).groups()  # type: ignore[union-attr]
        if user == "support" and bearer in self.server.tokens:
            await self._reply("AUTHENTICATE", f"{tag} OK in\r\n".encode())
            return
        # As Google and Dovecot do: the error as a challenge, the NO after an empty answer.
        self.writer.write(b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n")
        assert await self.reader.readline() == b"\r\n"
        self.writer.write(f"{tag} NO [AUTHENTICATIONFAILED] no\r\n".encode())

    async def _select(self, tag: str, _: str) -> None:
        server = self.server
        self.told = server.delivered
        await self._reply("SELECT", (
            f"* FLAGS (\\Seen)\r\n* OK [PERMANENTFLAGS ({server.permanent})] limited\r\n* {len(server.mails)} EXISTS\r\n"
            f"* 0 RECENT\r\n* OK [UIDVALIDITY {server.uidvalidity}] valid\r\n* OK [UIDNEXT {server.uidnext}] next\r\n"
            f"{tag} OK [READ-WRITE] selected\r\n"
        ).encode())

    def _chosen(self, uids: str) -> list[int]:
        last = max(self.server.mails, default=0)
        found: set[int] = set()
        for item in uids.split(","):
            low, _, high = item.partition(":")
            first, end = int(low), last if high == "*" else int(high or low)
            # RFC 3501 §9 seq-range: the order does not matter, so n:* always has the last mail.
            found |= {uid for uid in self.server.mails if min(first, end) <= uid <= max(first, end)}
        return sorted(found)

    async def _search(self, tag: str, rest: str) -> None:
        uids = " ".join(map(str, self._chosen(rest.split(" ")[3])))
        await self._reply("SEARCH", f"* SEARCH {uids}".rstrip().encode() + f"\r\n{tag} OK done\r\n".encode())

    async def _fetch(self, tag: str, rest: str) -> None:
        self.asked = self._chosen(rest.split(" ")[2])
        bodies = "BODY.PEEK[]" in rest
        partial = re.search(r"BODY.PEEK\[\]<0.(\d+)>", rest)
        answer = b"".join(self.fetched(uid, bodies, int(partial[1]) if partial else None) for uid in self.asked)
        await self._reply("BODIES" if bodies else "SIZES", answer + f"{tag} OK done\r\n".encode())

    def fetched(self, uid: int, bodies: bool, most: int | None = None) -> bytes:
        mail = self.server.mails[uid]
        number = list(self.server.mails).index(uid) + 1
        if bodies:
            raw, where = mail.raw[:most], "" if most is None else "<0>"     # RFC 3501 §7.4.2: the origin octet only
            return f"* {number} FETCH (UID {uid} BODY[]{where} {{{len(raw)}}}\r\n".encode() + raw + b")\r\n"
        size = len(mail.raw) if mail.size is None else mail.size
        flags = " ".join(sorted(mail.flags))
        return f'* {number} FETCH (UID {uid} RFC822.SIZE {size} INTERNALDATE "{mail.date}" FLAGS ({flags}))\r\n'.encode()

    async def _store(self, tag: str, rest: str) -> None:
        _, _, uids, how, flags = rest.split(" ", 4)
        assert how == "+FLAGS.SILENT"
        for uid in self._chosen(uids):
            self.server.mails[uid].flags |= set(flags.strip("()").split())
        await self._reply("STORE", f"{tag} OK done\r\n".encode())

    async def _move(self, tag: str, rest: str) -> None:
        answer = b""
        for uid in self._chosen(rest.split(" ")[2]):
            answer += f"* {list(self.server.mails).index(uid) + 1} EXPUNGE\r\n".encode()
            self.server.processed.append(self.server.mails.pop(uid).raw)
        await self._reply("MOVE", answer + f"{tag} OK done\r\n".encode())

    async def _copy(self, tag: str, rest: str) -> None:
        self.server.processed += [self.server.mails[uid].raw for uid in self._chosen(rest.split(" ")[2])]
        await self._reply("COPY", f"{tag} OK done\r\n".encode())

    async def _expunge(self, tag: str, rest: str) -> None:
        for uid in self._chosen(rest.split(" ")[2]):  # Fails without UIDs: a bare EXPUNGE is nobody's right here.
            if r"\Deleted" in self.server.mails[uid].flags:
                del self.server.mails[uid]
        await self._reply("EXPUNGE", f"{tag} OK done\r\n".encode())

    async def _idle(self, tag: str, _: str) -> None:
        self.idling = True
        await self._reply("IDLE", b"+ idling\r\n")
        self.news()
        line = await self.reader.readline()
        self.idling = False
        if line.strip() == b"DONE":
            await self._reply("DONE", f"{tag} OK done\r\n".encode())


# --- Faults ---------------------------------------------------------------------------------


async def closed(session: Session, answer: bytes) -> None:
    await session.close()


async def halved(session: Session, answer: bytes) -> None:
    session.writer.write(answer[: len(answer) // 2])
    await session.close()


async def reset(session: Session, answer: bytes) -> None:
    session.writer.transport.abort()


async def silent(session: Session, answer: bytes) -> None:
    """Takes the command and never answers it, nor anything else."""
    await session.reader.read()


async def half_silent(session: Session, answer: bytes) -> None:
    session.writer.write(answer[: len(answer) // 2])
    await session.reader.read()


async def bye(session: Session, answer: bytes) -> None:
    session.writer.write(b"* BYE Disconnected for maintenance\r\n")
    await session.close()


async def bye_and_stays(session: Session, answer: bytes) -> None:
    session.writer.write(b"* BYE going\r\n")
    await session.reader.read()


async def noise(session: Session, answer: bytes) -> None:
    session.writer.write(b"\x00\xff\xfe * ]]> {12\r\n" * 50)
    await session.close()


async def other_tag(session: Session, answer: bytes) -> None:
    session.writer.write(b"ZZZZ99 OK somebody else's\r\n")
    await session.reader.read()


async def huge_literal(session: Session, answer: bytes) -> None:
    session.writer.write(b"* 1 FETCH (UID 1 BODY[] {99999999999}\r\n" + b"x" * 1000)
    await session.reader.read()


async def endless_line(session: Session, answer: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            session.writer.write(b"x" * 65_536)
            await session.writer.drain()
    await session.close()


def before(lines: bytes) -> Fault:
    """Says ``lines`` first and then the right answer, all in one segment."""

    async def fault(session: Session, answer: bytes) -> None:
        session.writer.write(lines + answer)

    return fault


def on_uid(uid: int, fault: Fault) -> Fault:
    """Breaks only the answers that have to do with one mail."""

    async def maybe(session: Session, answer: bytes) -> None:
        if uid in session.asked:
            await fault(session, answer)
        else:
            session.writer.write(answer)

    return maybe


def refused(session_answer: bytes = b"NO [CANNOT] not today") -> Fault:
    async def fault(session: Session, answer: bytes) -> None:
        tag = answer.strip().split(b"\r\n")[-1].split(b" ")[0]
        session.writer.write(tag + b" " + session_answer + b"\r\n")

    return fault
