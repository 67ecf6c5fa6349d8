"""The gateway as an operating system sees it: a process that can be killed, and a state directory that stays.

``Site`` is one desk on a fixed loopback port, so that a peer finds it again after every death.
``Peer`` is a mail server's client: one SMTP session, kept as long as it holds. ``Books`` reads the
database of a stopped gateway.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.core.lifecycle import fold
from gateway.edge.control import ask
from gateway.edge.store import Store
from gateway.edge.tables import EVENT, TICKET

CHECKOUT = Path(__file__).resolve().parents[2]
DESK = "support@acme.example"
PATIENCE = 60.0
TOML = """\
[mailwicket]
state = "state"
host = "desk.acme.example"
key = "ABC"
reply_domain = "reply.acme.example"

[listen]
smtp = "127.0.0.1:{port}"
lmtp = "off"

[send]
maildir = "world"

[[relay]]
name = "loopback"
networks = ["127.0.0.1/32"]

[[queue]]
name = "support"
address = ["support@acme.example"]
agents = ["anna"]

[[agent]]
login = "anna"
address = ["anna@acme.example"]

# This is about counting, so nothing may be left out for being too much.
[budgets]
acks_per_address_hour = 1000000
acks_per_address_day = 1000000
acks_per_domain_hour = 1000000
automatic_per_ticket_hour = 1000000
automatic_per_ticket_day = 1000000
tickets_per_address_hour = 1000000

[log]
format = "json"
"""


class Lost(Exception):  # noqa: N818  # that is what happened to the answer
    """The other side went away before it answered."""


class Died(Exception):  # noqa: N818
    """The gateway ended before it was ready; the text is its log."""


class Peer:
    """One SMTP session. Every trouble is ``Lost``; the caller opens another one."""

    def __init__(self, port: int) -> None:
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        except OSError as error:
            raise Lost(str(error)) from error
        self._lines = self._socket.makefile("rb")
        self._expect(b"220")
        self._ask(b"EHLO peer.example", b"250")

    def deliver(self, mail_from: str, rcpt_to: str, raw: bytes) -> str:
        """Returns the spool id that stands in the 250; from that on the gateway answers for the mail."""
        self._ask(f"MAIL FROM:<{mail_from}>".encode(), b"250")
        self._ask(f"RCPT TO:<{rcpt_to}>".encode(), b"250")
        self._ask(b"DATA", b"354")
        # RFC 5321 §4.5.2: a leading dot is doubled.
        stuffed = (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:]
        return self._ask(stuffed + b".", b"250").split()[2].decode()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _ask(self, data: bytes, code: bytes) -> bytes:
        try:
            self._socket.sendall(data + b"\r\n")
        except OSError as error:
            self._lose(error)
        return self._expect(code)

    def _expect(self, code: bytes) -> bytes:
        try:
            while (line := self._lines.readline())[3:4] == b"-":
                pass
        except OSError as error:
            self._lose(error)
        if line.endswith(b"\n") and line.startswith(code):
            return line
        self.close()
        # 4xx asks to come again (RFC 5321 §4.2.1); a gateway that stops says 421.
        if not line.endswith(b"\n") or line.startswith(b"4"):
            raise Lost(repr(line))
        raise AssertionError(f"refused for good: {line!r}")

    def _lose(self, error: OSError) -> None:
        self.close()
        raise Lost(str(error)) from error


def wire(raw: bytes) -> bytes:
    """``raw`` as mail on the wire: lines end in CRLF, the last one too; a lone CR stays."""
    raw = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def until(what: Callable[[], Any], words: str, seconds: float = PATIENCE) -> Any:
    """The first true answer; a hang, not slowness, is what ends in failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:.0f} s for {words}")


@dataclass
class Site:
    """A configured desk below ``root``. ``stop`` and ``kill`` leave no process behind."""

    root: Path
    port: int = field(default=0)
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0

    def __post_init__(self) -> None:
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self.root.mkdir(parents=True, exist_ok=True)
        self.config = self.root / "mailwicket.toml"
        self.config.write_text(self.toml(), "utf-8")

    def toml(self) -> str:
        return TOML.format(port=self.port)

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def world(self) -> Path:
        """The Maildir that takes the place of everybody we write to."""
        return self.root / "world" / "new"

    # --- Living and dying ---

    def start(self, *prefix: str) -> None:
        """A new process; ``prefix`` is a program that runs it."""
        self.lives += 1
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "gateway", "serve", "--config", str(self.config)],
                cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

    def ready(self) -> None:
        """Wait until doors and database are open."""
        until(lambda: self.said("ready") or self.died(), "a ready gateway")
        if not self.said("ready"):
            raise Died(self.log.read_text("utf-8"))

    def died(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """kill -9, and nothing of it may stay."""
        assert self.process is not None
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        # A parser sees the end of its input; it must not outlive the gateway by more than one mail.
        until(lambda: not any(map(_alive, workers)), "the parsers to follow their gateway")

    def stop(self) -> None:
        """SIGTERM, as a service manager does, and a good end."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.log.read_text("utf-8")

    def stop_traced(self) -> bool:
        """The same below a prefix, which keeps signals to itself; whether it was a good end."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int((self.state / "lock").read_text("ascii")), signal.SIGTERM)
        return self.process.wait(PATIENCE) == 0

    def abandon(self) -> None:
        if not self.died():
            assert self.process is not None
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def workers(self) -> list[int]:
        """Process ids of the parsers."""
        assert self.process is not None
        found: list[int] = []
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{self.process.pid}/task").iterdir():
                found += map(int, (task / "children").read_text("ascii").split())
        return found

    # --- What it says ---

    @property
    def log(self) -> Path:
        return self.root / f"life-{self.lives:03}.log"

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log lines of this life that are called ``event``."""
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        return [row for line in lines if line.startswith("{") and line.endswith("}") and (row := json.loads(line))["event"] == event]

    def ask(self, verb: str, **args: object) -> list[dict[str, Any]]:
        return list(ask(self.state / "control.sock", verb, args))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command line tool."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", *words, "--config", str(self.config)],
            cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE,
        )

    def quiet(self) -> None:
        """Wait until every accepted mail is decided and every mail of ours has left; a slow machine may take its time."""
        left, moved = (-1, -1), time.monotonic()
        while left != (0, 0):
            status = self.ask("status")[0]
            now = status["waiting"], status["undelivered"]
            if now != left:
                left, moved = now, time.monotonic()
            assert time.monotonic() - moved < 2 * PATIENCE, f"{left[0]} mails wait to be decided, {left[1]} to be sent, and nothing moves"
            time.sleep(0.02)

    def dump_hash(self) -> str:
        """Of the database as the running gateway has it."""
        return str(self.ask("dump")[0]["dump_hash"])

    @contextlib.contextmanager
    def books(self) -> Iterator[Books]:
        """The database; only while no gateway runs."""
        store = Store.open(self.state, read_only=True)
        try:
            yield Books(store)
        finally:
            store.close()

    def sent(self) -> dict[int, bytes]:
        """What left us, by the outbox id that is its name; without the two lines the delivery put before it."""
        return {
            int(path.name.partition(".")[0]): path.read_bytes().split(b"\r\n", 2)[2]
            for path in self.world.iterdir()
        }


class Books:
    """Questions to the database of a stopped gateway."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._cursor = store.reader()

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self._cursor.execute(sql, list(parameters)).fetchall()

    def raw(self) -> Iterator[tuple[str, str]]:
        """Spool id and sha256 of every stored mail."""
        for month in sorted(self.store.files.mail_seq):
            found = self._cursor.execute(f'SELECT spool_id, bytes FROM "mail-{month}".raw')
            while page := found.fetchmany(500):
                yield from ((spool_id, hashlib.sha256(raw).hexdigest()) for spool_id, raw in page)

    def assert_folded(self) -> int:
        """Every ticket is the fold of its events, and no event lacks its ticket. How many tickets."""
        stored = {ticket.id: ticket for ticket in TICKET.fetch(self._cursor, "true")}
        events: dict[int, list[Any]] = {}
        for event in EVENT.fetch(self._cursor, "true ORDER BY seq"):
            events.setdefault(event.ticket, []).append(event)
        assert events.keys() == stored.keys()
        different = [number for number, ticket in stored.items() if fold(events[number]) != ticket]
        assert not different
        return len(stored)

    def assert_sent_once(self, sent: dict[int, bytes]) -> None:
        """The world has every mail of the outbox, once, with the bytes that were decided."""
        outbox = dict(self.rows("SELECT id, sha256 FROM outbox"))
        assert {number: hashlib.sha256(raw).hexdigest() for number, raw in sent.items()} == outbox
        states = self.rows("SELECT state, count(*) FROM delivery GROUP BY state")
        assert states == ([("sent", len(outbox))] if outbox else [])
        assert self.rows("SELECT outbox FROM delivery ORDER BY 1") == [(number,) for number in sorted(outbox)]

    def assert_spool_told(self, spool: Path) -> None:
        """Nothing waits, nothing was set aside, and each kept mail has exactly one processed row."""
        assert [p.name for room in ("in", "bad", "tmp") for p in (spool / room).iterdir()] == []
        kept = sorted(p.name for p in (spool / "done").glob("*/*/*"))
        assert [i for (i,) in self.rows("SELECT spool_id FROM processed ORDER BY 1")] == kept

    def assert_seq_unbroken(self) -> None:
        """Events are numbered without gap or double: nothing was decided twice or forgotten."""
        seqs = [seq for (seq,) in self.rows("SELECT seq FROM event ORDER BY 1")]
        assert seqs == list(range(1, len(seqs) + 1))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def environment_number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))
