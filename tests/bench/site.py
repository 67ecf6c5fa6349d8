"""One desk under measurement: its configuration, its process, and what it says of itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench import procfs
from tests.bench.feed import Session
from tests.bench.mix import Letter
from tests.crash.process import CHECKOUT, Site, until

AGENTS = 10
LONG = 900.0
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
{way}

[[relay]]
name = "loopback"
networks = ["127.0.0.1/32"]

[[queue]]
name = "support"
address = ["support@acme.example"]
agents = ["a1"]

[[queue]]
name = "sales"
address = ["sales@acme.example"]
{agents}
[log]
format = "json"
"""
AGENT = '\n[[agent]]\nlogin = "a{n}"\naddress = ["a{n}@acme.example"]\n'


@dataclass
class Desk(Site):
    """``sink`` is the port of a null SMTP server; without one, mail of ours goes to a Maildir."""

    sink: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        way = f'smarthost = "127.0.0.1:{self.sink}"\ntls = "none"' if self.sink else 'maildir = "world"'
        agents = "".join(AGENT.format(n=n) for n in range(1, AGENTS + 1))
        self.config.write_text(TOML.format(port=self.port, way=way, agents=agents), "utf-8")

    @property
    def gate(self) -> Path:
        return self.root / "hold"

    @property
    def outgoing_gate(self) -> Path:
        return self.root / "hold-sending"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def launch(self, *, hold: bool = False, silent: bool = False, rooms: Path | None = None) -> None:
        """A new process; with ``hold`` its pipeline waits for ``release``, with ``silent`` its postman for ``send``."""
        self.lives += 1
        words = ["--hold", str(self.gate), "--hold-sending", str(self.outgoing_gate)]
        for wanted, gate in ((hold, self.gate), (silent, self.outgoing_gate)):
            if wanted:
                gate.touch()
        if rooms:
            words += ["--rooms", str(rooms)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.launch", *words, "serve", "--config", str(self.config)],
                cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

    def release(self) -> None:
        self.gate.unlink(missing_ok=True)

    def send(self) -> None:
        self.outgoing_gate.unlink(missing_ok=True)

    @contextlib.contextmanager
    def running(self, *, hold: bool = False, silent: bool = False, rooms: Path | None = None) -> Iterator[None]:
        """A ready gateway for the length of the block."""
        self.launch(hold=hold, silent=silent, rooms=rooms)
        try:
            self.ready()
            yield
            self.stop_slowly()
        finally:
            self.abandon()

    def stop_slowly(self) -> None:
        """SIGTERM; a full spool and a large store may take their time."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(LONG)

    def first_250(self, letter: Letter) -> float:
        """When the first mail was accepted; the door may not be open yet."""
        end = time.time() + LONG
        while time.time() < end and not self.died():
            with contextlib.suppress(OSError):
                session = Session(self.port)
                session.deliver(letter, "support@acme.example")
                session.close()
                return time.time()
            time.sleep(0.005)
        raise AssertionError(self.log.read_text("utf-8"))

    # --- How far it is ---

    def waiting(self) -> int:
        """Mails that are accepted and not committed; read from the directory, so the gateway does not notice."""
        with contextlib.suppress(FileNotFoundError):
            return sum(1 for _ in (self.state / "spool" / "in").iterdir())
        return 0

    def committed(self) -> float:
        """Wait until nothing waits; the time."""
        until(lambda: not self.waiting() or self._alive(), "an empty spool", LONG)
        return time.time()

    def drained(self) -> float:
        """Wait until all mail of ours has left; the time."""
        until(lambda: not self.ask("status")[0]["undelivered"] or self._alive(), "an empty outbox", LONG)
        return time.time()

    def _alive(self) -> bool:
        if self.died():
            raise AssertionError(f"the gateway ended: {self.log.read_text('utf-8')[-3000:]}")
        return False

    def cpu(self) -> tuple[float, float]:
        return procfs.cpu_seconds(self.pid)

    def decided(self, wanted: int = 0) -> dict[str, tuple[float, dict[str, Any]]]:
        """The canonical line of each mail of this life, and when it was written, by spool id.

        Waits for ``wanted`` lines: a mail's line follows its commit.
        """
        out: dict[str, tuple[float, dict[str, Any]]] = {}

        def read() -> bool:
            out.clear()
            with self.log.open(encoding="utf-8") as lines:
                for line in lines:
                    if '"event": "mail"' in line and line.endswith("\n"):
                        row = json.loads(line)
                        out[row["spool_id"]] = datetime.fromisoformat(row["timestamp"]).timestamp(), row
            return len(out) >= wanted

        until(read, f"{wanted} decided mails")
        return out
