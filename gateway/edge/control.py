"""The operator's door: a unix socket in the state directory, and the client for it.

The socket has mode 0600, and the kernel tells who calls (SO_PEERCRED, unix(7)): our own user or
root. A request is one JSON line ``{"verb": …, "args": {…}}``; the answer is any number of
``{"row": {…}}`` lines, then ``{"end": true}`` or ``{"error": "…"}``. Each call runs in its own
thread beside the event loop, so the door answers when the loop does not.

Limits: Linux only; at most 8 calls at once; a handler that reads the database bounds its own time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

import structlog

from gateway.errors import MailwicketError, StateError

Row = dict[str, Any]
Handler = Callable[[Row], Iterable[Row]]

# sockaddr_un holds 108 bytes; some room is left for tools that append to the name.
_MAX_PATH = 100
_MAX_REQUEST = 8 * 1024 * 1024     # a parsed mail, for "explain"
_CALLS = 8
_REQUEST_SECONDS = 10.0
_ANSWER_SECONDS = 60.0

_log = structlog.get_logger("control")


class NotRunning(MailwicketError):
    """Nobody listens at the control socket."""


class _HungUp(Exception):
    """The other side is gone; told apart from the errors of a handler's own files."""


class ControlServer:
    """Answers calls until closed; ``handlers`` maps a verb to what yields its rows.

    A handler gets the arguments of the call and ``actor``, which the caller cannot choose.
    The state directory's lock must be held: a socket left by a dead gateway is replaced.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self.path = _checked(path)
        self.handlers = handlers
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._slots = threading.BoundedSemaphore(_CALLS)
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)

    def open(self) -> None:
        self.path.unlink(missing_ok=True)
        # On Linux the mode of the socket before bind() becomes the mode of the name: there is no
        # moment at which others could connect, and the process-wide umask stays as it is.
        os.fchmod(self._socket.fileno(), 0o600)
        self._socket.bind(os.fspath(self.path))
        self._socket.listen(16)
        self._thread.start()

    def close(self) -> None:
        """Take no more calls; those under way end with the process."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join()
            self.path.unlink(missing_ok=True)
        self._socket.close()

    async def start(self) -> None:
        self.open()

    async def stop(self) -> None:
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if not self._slots.acquire(blocking=False):
                with connection, contextlib.suppress(_HungUp):
                    _tell(connection, {"error": f"{_CALLS} calls are being answered; try again"})
                continue
            threading.Thread(target=self._serve, args=(connection,), name="control-call", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(_REQUEST_SECONDS)
                self._answer(connection)
        except _HungUp as e:
            _log.info("control call ended early", cause=str(e))
        finally:
            self._slots.release()

    def _answer(self, connection: socket.socket) -> None:
        uid = _peer_uid(connection)
        if uid not in {0, os.geteuid()}:
            _log.warning("control call refused", uid=uid)
            _tell(connection, {"error": f"user id {uid} may not operate this gateway; use sudo"})
            return
        try:
            verb, args = _request(connection)
        except ValueError as e:
            _tell(connection, {"error": f"not a request: {e}"})
            return
        handler = self.handlers.get(verb)
        if handler is None:
            _tell(connection, {"error": f"no such verb: {verb}; known: {', '.join(sorted(self.handlers))}"})
            return
        connection.settimeout(_ANSWER_SECONDS)
        try:
            for row in handler({**args, "actor": f"operator:{uid}"}):
                _tell(connection, {"row": row})
        except MailwicketError as e:
            _tell(connection, {"error": str(e)})
        except _HungUp:
            raise
        except Exception as e:  # noqa: BLE001  # a fault of one call must reach the operator, not end the door
            _log.exception("control call failed", verb=verb)
            _tell(
                connection, {"error": f"internal error ({type(e).__name__}: {e}); the gateway's log has more"}
            )
        else:
            _tell(connection, {"end": True})


def ask(path: Path, verb: str, args: Mapping[str, Any] | None = None) -> Iterator[Row]:
    """The rows that the gateway at ``path`` answers.

    NotRunning if nobody listens; MailwicketError with the gateway's words if it refuses.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        try:
            s.connect(os.fspath(_checked(path)))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning(f"no gateway listens at {path}") from None
        except PermissionError:
            raise StateError(f"{path} belongs to another user; use sudo") from None
        with contextlib.suppress(_HungUp):  # a refusal may come before our request is out
            _tell(s, {"verb": verb, "args": dict(args or {})})
        with s.makefile("rb") as lines:
            yield from _rows(lines, path)


def _rows(lines: Iterable[bytes], path: Path) -> Iterator[Row]:
    for line in _whole(lines):
        answer = json.loads(line)
        if "row" in answer:
            yield answer["row"]
        elif "error" in answer:
            raise MailwicketError(str(answer["error"]))
        else:
            return
    raise MailwicketError(f"the gateway at {path} stopped in the middle of its answer; look at its log")


def _whole(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The complete lines; a reset connection ends like a closed one."""
    with contextlib.suppress(ConnectionResetError):
        for line in lines:
            if line.endswith(b"\n"):
                yield line


def _checked(path: Path) -> Path:
    if len(os.fsencode(path)) > _MAX_PATH:
        raise StateError(
            f"{path} is longer than the {_MAX_PATH} bytes a unix socket allows;"
            " choose a shorter state directory, such as /var/lib/mailwicket"
        )
    return path


def _peer_uid(connection: socket.socket) -> int:
    # struct ucred: pid, uid, gid (unix(7)).
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def _request(connection: socket.socket) -> tuple[str, Row]:
    try:
        with connection.makefile("rb") as lines:
            line = lines.readline(_MAX_REQUEST + 1)
    except OSError as e:
        raise _HungUp(str(e)) from e
    if len(line) > _MAX_REQUEST or not line.endswith(b"\n"):
        raise ValueError(f"one line of at most {_MAX_REQUEST} bytes is expected")
    try:
        request = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(request, dict) or not isinstance(request.get("verb"), str):
        raise ValueError('{"verb": "...", "args": {...}} is expected')  # noqa: TRY004
    args = request.get("args", {})
    if not isinstance(args, dict):
        raise ValueError("args must be an object")  # noqa: TRY004
    return request["verb"], args


def _tell(connection: socket.socket, answer: Row) -> None:
    line = json.dumps(answer, default=_plain).encode() + b"\n"
    try:
        connection.sendall(line)
    except OSError as e:
        raise _HungUp(str(e)) from e


def _plain(value: object) -> object:
    """What JSON lacks: times by ISO 8601, sets and tuples as lists, the rest by its words."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
