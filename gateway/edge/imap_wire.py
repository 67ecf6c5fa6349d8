"""aioimaplib's protocol with bounds: it notices what it cannot digest, and says so at once.

Standards: RFC 3501 (§7 responses), RFC 6749 and the XOAUTH2 convention (an error comes as a
continuation that wants an empty answer).

aioimaplib 2.0.3 as it is recurses once per line, so that a thousand lines in one segment hang a
command for ever; it believes every literal's size; it never tells a waiting command that the
connection is gone; it loses the errors of its greeting; its debug lines hold whole mails and
passwords, and so do the texts of some of its exceptions. Here each of these becomes ``lost``, a
future with a reason fit for the log, and the connection is closed.

Limits: private names of the library (``_handle_line``) are overridden; pyproject.toml bounds its version.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from aioimaplib.aioimaplib import CONNECTED, SELECTED, Command, IMAP4ClientProtocol, Response, literal_data_re

MOST_LINES = 1000           # of one answer; the library's work grows with their square
ANSWER = 1 << 20            # octets of an answer that carries no mail
_PIECE_LINES = 200          # lines given to the library at once; it recurses once per line


class Doubt(Exception):
    """The connection cannot be trusted any more; the text is fit for the log."""


def quiet_library() -> None:
    """Below WARNING aioimaplib repeats what strangers and servers wrote; at DEBUG, passwords too."""
    for name in ("aioimaplib", "aioimaplib.aioimaplib"):
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)


class Wire(IMAP4ClientProtocol):
    """One connection. ``expect`` opens the account that an answer is charged to."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop)
        self._now = loop.time
        self.lost: asyncio.Future[str] = loop.create_future()
        self.closed = asyncio.Event()
        self.news = asyncio.Event()     # the server spoke of mail
        self.heard: list[bytes] = []    # untagged lines as they came; the library deletes "* " inside them
        self.heard_at = self._now()
        self._greeted = False
        self._lines, self._left = 0, ANSWER

    def expect(self, octets: int = ANSWER) -> None:
        """A command is sent now, and its answer may have so many octets."""
        self.heard.clear()
        self.heard_at = self._now()
        self._lines, self._left = 0, octets

    async def agreed(self) -> None:
        """Return when the server has agreed to IDLE."""
        await self._idle_event.wait()

    def fail(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        for task in self.tasks:
            # The greeting's task holds a lock that whoever waits for the state needs, even to be cancelled.
            task.cancel()
        if self.transport is not None:
            self.transport.abort()

    # --- What asyncio calls ---

    def data_received(self, d: bytes) -> None:
        if self.lost.done():
            return
        self.heard_at = self._now()
        self._left -= len(d)
        try:
            if self._left < 0:
                raise Doubt("the answer is longer than what was asked for")
            for piece in self._pieces(d):
                super().data_received(piece)
        except Doubt as doubt:
            self.fail(str(doubt))
        except Exception as error:  # noqa: BLE001  # whatever the library stumbles over ends the connection.
            # Its text may repeat the command that was sent, password and all.
            self.fail(f"unreadable answer ({type(error).__name__})")

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            command = self.current_command  # As the last piece has left it.
            if command is not None and command.wait_literal_data():
                end = start + command._expected_size - len(command._resp_literal_data)  # noqa: SLF001  # nobody else knows
            else:
                end = _end_of_lines(data, start)
            yield data[start:end]
            start = end

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.fail(f"connection lost: {exc}" if exc else "connection closed by the server")
        self.closed.set()

    # --- What the library calls ---

    async def welcome(self, command: bytes) -> None:
        try:
            await super().welcome(command)
        except Exception as error:  # noqa: BLE001  # nobody awaits this task.
            self.fail(f"the greeting was followed by nonsense ({type(error).__name__})")

    async def examine(self, mailbox: str) -> Response:
        """SELECT for readers; the library knows the command, but not that a folder is open after it."""
        answer: Response = await self.simple_command("EXAMINE", mailbox)
        if answer.result == "OK":
            self.state = SELECTED
        return answer

    async def capability(self) -> None:
        await super().capability()
        self.capabilities = {name.upper() for name in self.capabilities}

    def _handle_line(self, line: bytes, current_cmd: Command) -> Command | None:
        self._lines += 1
        if self._lines > MOST_LINES:
            raise Doubt(f"more than {MOST_LINES} lines in one answer")
        if self.state == CONNECTED:
            self._greet(line)
        literal = literal_data_re.match(line)
        if literal and int(literal["size"]) > self._left:
            raise Doubt(f"a literal of {literal['size'][:20].decode()} octets was announced")
        if line.startswith(b"* "):
            self._untagged(line)
        elif line.startswith(b"+") and getattr(self.pending_sync_command, "name", "") == "AUTHENTICATE":
            # The error of XOAUTH2; the tagged NO comes only after this.
            self.send("")
            return None
        return super()._handle_line(line, current_cmd)

    def _greet(self, line: bytes) -> None:
        # PREAUTH would mean that somebody else logged in; BYE says itself what it is (RFC 3501 §7.1).
        if self._greeted or not line.upper().startswith(b"* OK"):
            raise Doubt("the greeting is not that of an IMAP server" if not self._greeted else "two greetings")
        self._greeted = True

    def _untagged(self, line: bytes) -> None:
        upper = line[:64].upper()
        if upper.startswith(b"* BYE"):
            raise Doubt(f"the server says {printable(line)}")
        if upper.endswith((b" EXISTS", b" RECENT")) or self._lines > MOST_LINES // 2:
            # Half the lines are spent: ending IDLE starts a new account.
            self.news.set()
        self.heard.append(line)


def printable(line: bytes) -> str:
    """A server's words for the log: short, and nothing that drives a terminal."""
    text = line[:200].decode("ascii", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def _end_of_lines(data: bytes, start: int) -> int:
    """Where the next _PIECE_LINES lines end, or the data do."""
    for _ in range(_PIECE_LINES):
        end = data.find(b"\n", start) + 1
        if not end:
            return len(data)
        start = end
    return start
