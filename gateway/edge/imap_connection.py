"""One IMAP connection, from connect to close. Every call ends in an answer or in Doubt.

Standards: RFC 3501, 2177 (IDLE), 4315 (UIDPLUS), 6851 (MOVE), 8314 (implicit TLS); SASL XOAUTH2.

Only items whose answers cannot be misread are asked for: numbers, the internal date, flags, and the
mail as a literal. ENVELOPE and BODYSTRUCTURE hold text of strangers, and aioimaplib counts parentheses
in it. Limits: no STARTTLS, COMPRESS, CONDSTORE; a folder's UIDs must fit SEARCH bytes, some 500,000.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aioimaplib.aioimaplib import Response, quoted

from gateway.edge.imap_cursor import MAX_UID
from gateway.edge.imap_settings import MailboxSettings
from gateway.edge.imap_wire import ANSWER, Doubt, Wire, printable, quiet_library
from gateway.edge.oauth import TokenSource

DONE = "$MailwicketDone"
SEARCH = 4 << 20
_FETCH = re.compile(rb"(?:\* )?\d+ FETCH \(")
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,19})\b")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_FLAGS = re.compile(rb"\bFLAGS \(([^()]*)\)")
_BODY = re.compile(rb"\bBODY\[\](?:<0>)? \{\d+\}$")
_NUMBERS = re.compile(rb"[\d ]*")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What SELECT told. ``uidnext`` is None if the server keeps it to itself."""

    uidvalidity: int
    uidnext: int | None
    read_only: bool
    keywords: bool      # whether it keeps flags of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A mail before it is fetched; ``date`` is in Unix seconds, 0 if unknown."""

    uid: int
    size: int
    date: int
    done: bool          # bears our flag


class Connection:
    """Use as ``async with``; after a Doubt, only closing is left."""

    def __init__(self, settings: MailboxSettings, tokens: TokenSource | None) -> None:
        self._settings, self._pace, self._tokens = settings, settings.pace, tokens
        self._wire = Wire()
        self._can_idle = True

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
            await self._log_in()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop the connection; LOGOUT would only be one more answer to wait for."""
        self._wire.fail("closed")
        if self._wire.transport is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._wire.closed.wait()

    # --- Coming in ---

    async def _connect(self) -> None:
        quiet_library()
        host, port = self._settings.host, self._settings.port
        context = None
        if self._settings.tls == "implicit":
            context = await asyncio.to_thread(ssl.create_default_context, cafile=self._settings.cafile)
        try:
            async with asyncio.timeout(self._pace.connect):
                await asyncio.get_running_loop().create_connection(lambda: self._wire, host, port, ssl=context)
        except TimeoutError:
            raise Doubt(f"connect: no answer in {self._pace.connect:g} s") from None
        except (OSError, UnicodeError) as error:
            raise Doubt(f"connect: {error}") from None
        # The library's own welcome asks for the capabilities before the state changes.
        await self._answer(self._wire.wait("NONAUTH"), "greeting")

    async def _log_in(self) -> None:
        user = self._settings.username
        if self._tokens is None:
            if "LOGINDISABLED" in self._wire.capabilities:  # RFC 3501 §6.2.3: MUST NOT try it then
                raise Doubt("login: the server takes no password here")
            password = self._settings.password or ""
            answer = await self._answer(self._wire.login(quoted(user), password), "login")
        else:
            answer = await self._authenticate(self._tokens)
            if answer.result != "OK":
                # It may have been withdrawn before its time: once more with a fresh one.
                self._tokens.refused()
                answer = await self._authenticate(self._tokens)
            if answer.result != "OK":
                self._tokens.refused()
        if answer.result != "OK":
            said = printable(_last(answer))
            if self._settings.password:
                said = said.replace(self._settings.password, "****")
            raise Doubt(f"login as {user} refused: {said}: check username and password or token")
        await self._answer(self._wire.capability(), "CAPABILITY")

    async def _authenticate(self, tokens: TokenSource) -> Response:
        if "AUTH=XOAUTH2" not in self._wire.capabilities:
            raise Doubt("login: the server does not offer XOAUTH2")
        token = await tokens.token()
        answer: Response = await self._answer(self._wire.xoauth2(self._settings.username, token), "XOAUTH2")
        return answer

    async def select(self, folder: str, *, read_only: bool = False) -> Selected:
        """Open a folder; ``read_only`` by EXAMINE, so that nothing in it can change (RFC 3501 §6.3.2)."""
        ask = self._wire.examine if read_only else self._wire.select
        answer = await self._answer(ask(folder_name(folder)), f"SELECT {folder}")
        if answer.result != "OK":
            raise Doubt(f"SELECT {folder} refused: {printable(_last(answer))}: check the folder's name")
        said = b"\n".join(self._wire.heard)
        uidvalidity = _coded(rb"UIDVALIDITY (\d{1,10})", said)
        if uidvalidity is None:
            raise Doubt(f"SELECT {folder}: no UIDVALIDITY, so mails cannot be told apart")
        uidnext = _coded(rb"UIDNEXT (\d{1,10})", said)
        permanent = re.search(rb"\[PERMANENTFLAGS \(([^()\n]*)\)\]", said, re.IGNORECASE)
        flags = permanent[1].lower().split() if permanent else [rb"\*"]
        return Selected(
            uidvalidity=int(uidvalidity), uidnext=int(uidnext) if uidnext else None,
            read_only=b"[READ-ONLY]" in _last(answer).upper(),
            keywords=rb"\*" in flags or DONE.lower().encode() in flags,
        )

    # --- Reading ---

    async def above(self, uid: int) -> list[int]:
        """The UIDs greater than ``uid``, ascending."""
        self._wire.news.clear()
        if uid >= MAX_UID:
            return []
        # RFC 3501 §6.4.8: n:* names at least the last mail, also when n is greater: hence the filter.
        return sorted(found for found in await self._search(f"{uid + 1}:*") if found > uid)

    async def listed(self, uids: Iterable[int]) -> set[int]:
        """Which of ``uids`` the server still has."""
        wanted = set(uids)
        return await self._search(_set(wanted)) & wanted if wanted else set()

    async def _search(self, uids: str) -> set[int]:
        answer = await self._answer(self._wire.search("UID", uids, charset=None, by_uid=True), "UID SEARCH", SEARCH)
        self._ok(answer, "UID SEARCH")
        if not all(_NUMBERS.fullmatch(line) for line in answer.lines[:-1]):
            raise Doubt("UID SEARCH: the answer holds something else than numbers")
        found = {int(number) for line in answer.lines[:-1] for number in line.split()}
        if found and not (min(found) > 0 and max(found) <= MAX_UID):
            raise Doubt("UID SEARCH: the answer holds what is no UID")
        return found

    async def describe(self, uids: str | Sequence[int]) -> dict[int, Described]:
        """Size, date and our flag of the mails that are there; ``uids`` is a set of at most 100."""
        wanted = uids if isinstance(uids, str) else _set(uids)
        items = "(UID RFC822.SIZE INTERNALDATE FLAGS)"
        answer = await self._answer(self._wire.fetch(wanted, items, by_uid=True), "UID FETCH sizes")
        self._ok(answer, "UID FETCH sizes")
        return {d.uid: d for text, _ in mails(answer.lines[:-1]) if (d := _described(text))}

    async def fetch(self, uids: Sequence[int], size: int, *, most: int | None = None) -> dict[int, bytes]:
        """The mails as they are, left unseen; ``size`` is what they were said to have together.

        With ``most`` only that many octets from the start of each (RFC 3501 §6.4.5, partial).
        """
        # Exchange guesses RFC822.SIZE; an eighth more is still no attack.
        allowed = size + size // 8 + ANSWER
        item = "(UID BODY.PEEK[])" if most is None else f"(UID BODY.PEEK[]<0.{most}>)"
        answer = await self._answer(self._wire.fetch(_set(uids), item, by_uid=True), "UID FETCH", allowed)
        self._ok(answer, "UID FETCH")
        found = {}
        for text, body in mails(answer.lines[:-1]):
            uid = _UID.search(_FLAGS.sub(b"", text))
            if uid and body is not None and int(uid[1]) in uids:
                found[int(uid[1])] = body
        return found

    # --- Leaving a mark; the mail is durable by now ---

    async def mark(self, uids: Sequence[int], flags: str) -> str:
        """Add flags; '' or the server's refusal."""
        answer = await self._answer(self._wire.uid("STORE", _set(uids), "+FLAGS.SILENT", f"({flags})"), "UID STORE")
        return "" if answer.result == "OK" else printable(_last(answer))

    async def move(self, uids: Sequence[int], folder: str) -> str:
        """Move to ``folder``; '' or why not. Never a bare EXPUNGE: it would remove what others deleted."""
        chosen, target = _set(uids), folder_name(folder)
        capabilities = self._wire.capabilities
        if "MOVE" in capabilities:
            steps: list[tuple[str, ...]] = [("MOVE", chosen, target)]
        elif "UIDPLUS" in capabilities:
            deleted = ("STORE", chosen, "+FLAGS.SILENT", r"(\Deleted)")
            steps = [("COPY", chosen, target), deleted, ("EXPUNGE", chosen)]
        else:
            return "the server has neither MOVE nor UIDPLUS"
        for step in steps:
            answer = await self._answer(self._wire.uid(*step), f"UID {step[0]}")
            if answer.result != "OK":
                return f"UID {step[0]}: {printable(_last(answer))}"
        return ""

    # --- Waiting ---

    async def wait(self, seconds: float) -> None:
        """Return when the server speaks of mail or the time is over."""
        if self._can_idle and "IDLE" in self._wire.capabilities and not self._wire.news.is_set():
            await self._idle(seconds)
        else:
            await self._race([asyncio.create_task(self._wire.news.wait())], seconds)
        if self._wire.lost.done():
            raise Doubt(self._wire.lost.result())

    async def _idle(self, seconds: float) -> None:
        wire, silence = self._wire, self._pace.silence
        wire.expect()
        idle = asyncio.create_task(wire.idle())
        agreed = asyncio.create_task(wire.agreed())
        news = asyncio.create_task(wire.news.wait())
        try:
            await self._race([idle, agreed], silence, keep=True)
            if idle.done() and not wire.lost.done():
                # RFC 2177: NO or BAD instead of the continuation; then polling has to do.
                self._can_idle = False
                return
            if not agreed.done() and not wire.lost.done():
                raise Doubt(f"IDLE: silent for {silence:g} s")
            await self._race([idle, news], seconds, keep=True)
            if not wire.lost.done():
                wire.idle_done()
                await self._race([idle], silence, keep=True)
            if not idle.done():
                raise Doubt(wire.lost.result() if wire.lost.done() else f"DONE: silent for {silence:g} s")
        finally:
            await _drop(idle, agreed, news)
            while not wire.idle_queue.empty():
                wire.idle_queue.get_nowait()

    async def _race(self, tasks: list[asyncio.Task[Any]], seconds: float, *, keep: bool = False) -> None:
        """Until one of the tasks is done, the connection is lost, or time is over."""
        try:
            await asyncio.wait({*tasks, self._wire.lost}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not keep:
                await _drop(*tasks)

    # --- The one way to ask ---

    async def _answer(self, asking: Coroutine[Any, Any, Any], what: str, octets: int = ANSWER) -> Any:
        """Await a command of the library, which by itself may wait for ever."""
        wire, pace = self._wire, self._pace
        loop = asyncio.get_running_loop()
        wire.expect(octets)
        last = loop.time() + 4 * pace.silence + octets / pace.slowest
        task = loop.create_task(asking)
        try:
            while not task.done():
                left = min(wire.heard_at + pace.silence, last) - loop.time()
                if wire.lost.done() or left <= 0:
                    raise Doubt(f"{what}: {wire.lost.result() if wire.lost.done() else 'the server is silent'}")
                await self._race([task], left, keep=True)
            return task.result()
        except Doubt:
            raise
        except Exception as error:  # noqa: BLE001  # any trouble is Doubt (REQ-I1).
            # The library's texts may repeat the command, password and all.
            raise Doubt(f"{what}: {type(error).__name__}") from None
        finally:
            if not task.done():
                wire.fail(f"{what}: given up")
            await _drop(task)

    def _ok(self, answer: Response, what: str) -> None:
        if answer.result != "OK":
            raise Doubt(f"{what} refused: {printable(_last(answer))}")


def mails(lines: Sequence[bytes | bytearray]) -> Iterator[tuple[bytes, bytes | None]]:
    """The mails of a FETCH answer: what was said about each, and its body if that came as a literal."""
    text, body, seen = b"", None, False
    for line in lines:
        if isinstance(line, bytearray):
            # The library hands literals out as bytearray, lines as bytes.
            if _BODY.search(text):
                body = bytes(line)
            continue
        if _FETCH.match(line):
            if seen:
                yield text, body
            text, body, seen = line, None, True
        else:
            text += b" " + line
    if seen:
        yield text, body


def _described(text: bytes) -> Described | None:
    flags = _FLAGS.search(text)
    rest = _FLAGS.sub(b"", text)  # A flag may be called anything, UID too.
    uid, size, date = _UID.search(rest), _SIZE.search(rest), _DATE.search(rest)
    if not uid or not size:
        return None
    names = flags[1].lower().split() if flags else []
    return Described(
        uid=int(uid[1]), size=int(size[1]), date=internal_date(date[1]) if date else 0, done=DONE.lower().encode() in names
    )


def internal_date(text: bytes) -> int:
    """RFC 3501 §9 date-time, `` 7-Nov-2026 09:30:00 +0100``, in Unix seconds; 0 if it is none."""
    try:
        day, month, rest = text.decode("ascii").strip().split("-", 2)
        number = _MONTHS.index(month.lower()) + 1
        return max(int(datetime.strptime(f"{int(day):02} {number:02} {rest}", "%d %m %Y %H:%M:%S %z").timestamp()), 0)
    except (ValueError, OverflowError):
        return 0


def folder_name(name: str) -> str:
    """A folder's name on the wire: modified UTF-7 (RFC 3501 §5.1.3), quoted."""
    pieces = re.split(r"([^\x20-\x7e]+)", name)
    encoded = "".join(_utf7(piece) if number % 2 else piece.replace("&", "&-") for number, piece in enumerate(pieces))
    return str(quoted(encoded))


def _utf7(text: str) -> str:
    return "&" + base64.b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"


def _coded(pattern: bytes, said: bytes) -> bytes | None:
    found = re.search(rb"(?m)^\* OK \[" + pattern + rb"\]", said, re.IGNORECASE)
    return found[1] if found else None


def _last(answer: Response) -> bytes:
    return bytes(answer.lines[-1]) if answer.lines else b""


def _set(uids: Iterable[int]) -> str:
    return ",".join(map(str, sorted(uids)))


async def _drop(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
