"""Work beside the gateway: one request to a niced process of its own, which ends when we do.

The database's locks are the kernel's by process: whoever opens and closes a live file in the gateway itself
gives DuckDB's lock on it away (fcntl(2)). So live files are read in another process only, and what
takes memory or minutes takes it there.

Limits: one request a process; it starts in half a second.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from gateway.errors import Damaged, MailwicketError, StateError

_LOOK = 0.2     # seconds between two looks whether we shall stop
_ROOT = Path(__file__).resolve().parents[2]


class Stopped(MailwicketError):
    """The gateway stops; what was begun is taken away."""


class Aside:
    """Runs requests for edge/backup_work.py one after the other; ``stop`` ends the one under way, and all to come."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        """Stopped once ``stop`` was called."""
        if self._stopped.is_set():
            raise Stopped("the gateway stops: try again when it runs")

    def ask(self, verb: str, **args: Any) -> Any:
        """What ``verb`` answers. Raises Damaged or StateError in its words, Stopped after ``stop``."""
        self.check()
        # Our end of its input stays open until it is done: it sees the end of a killed gateway by that.
        with subprocess.Popen(
            [sys.executable, "-m", "gateway.edge.backup_work"], cwd=_ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            with contextlib.suppress(BrokenPipeError):      # it ended at once; its last words say why
                process.stdin.write(json.dumps({"verb": verb, **args}, default=str).encode() + b"\n")
                process.stdin.flush()
            answer: list[bytes] = []
            errors: list[bytes] = []
            readers = [
                threading.Thread(target=_drain, args=pair, daemon=True)
                for pair in ((process.stdout, answer), (process.stderr, errors))
            ]
            for reader in readers:
                reader.start()
            while process.poll() is None:
                if self._stopped.wait(_LOOK):
                    process.kill()
                    break
            for reader in readers:
                reader.join()
        self.check()
        return _understood(verb, process.returncode, b"".join(answer), b"".join(errors))


def _drain(pipe: Any, into: list[bytes]) -> None:
    into.append(pipe.read())


def _understood(verb: str, status: int, answer: bytes, errors: bytes) -> Any:
    if status == 0:
        return json.loads(answer)
    said = errors.decode("utf-8", "replace").strip().splitlines()
    why = said[-1] if said else f"exit status {status}"
    if why.startswith("damaged: "):
        raise Damaged(why.removeprefix("damaged: "))
    if why.startswith("refused: "):
        raise StateError(why.removeprefix("refused: "))
    raise StateError(f"backup work {verb!r} failed: {why}: check memory and disk")
