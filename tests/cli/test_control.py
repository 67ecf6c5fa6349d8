"""The control socket: only for our user, one thread per call, errors as sentences."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.control import ControlServer, NotRunning, ask
from gateway.errors import MailwicketError, StateError

Row = dict[str, Any]


def _broken(_: Row) -> Iterator[Row]:
    yield {"n": 1}
    raise MailwicketError("the disk is full; make room")


def _bug(_: Row) -> Iterator[Row]:
    raise ZeroDivisionError("planted")


def _no_file(_: Row) -> Iterator[Row]:
    raise FileNotFoundError("planted")


HANDLERS = {
    "echo": lambda args: [args],
    "count": lambda args: ({"n": n} for n in range(args["to"])),
    "kinds": lambda _: [{"at": datetime(2026, 11, 23, 10, 0, tzinfo=UTC), "error": "a column", "end": True, "t": (1, 2)}],
    "broken": _broken,
    "bug": _bug,
    "no_file": _no_file,
}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with ControlServer(tmp_path / "control.sock", HANDLERS):
        yield tmp_path / "control.sock"


def test_rows_come_in_order_and_the_stream_ends(path: Path) -> None:
    assert [row["n"] for row in ask(path, "count", {"to": 5000})] == list(range(5000))


def test_a_row_may_have_columns_called_error_and_end(path: Path) -> None:
    assert list(ask(path, "kinds")) == [
        {"at": "2026-11-23T10:00:00+00:00", "error": "a column", "end": True, "t": [1, 2]}
    ]


def test_the_actor_is_the_peer_and_cannot_be_chosen(path: Path) -> None:
    assert list(ask(path, "echo", {"x": 1, "actor": "operator:4711"})) == [
        {"x": 1, "actor": f"operator:{os.geteuid()}"}
    ]


def test_the_socket_is_for_its_owner_only(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("verb", "words"), [
    ("broken", "make room"), ("bug", "ZeroDivisionError"), ("no_file", "FileNotFoundError"),
    ("frob", "known: broken, bug, count"),
])
def test_errors_reach_the_operator_and_the_door_stays_open(path: Path, verb: str, words: str) -> None:
    with pytest.raises(MailwicketError, match=words):
        list(ask(path, verb))
    assert len(list(ask(path, "count", {"to": 1}))) == 1


@pytest.mark.parametrize("request_line", [
    b"\n", b"[]\n", b"{}\n", b'{"verb": 1}\n', b'{"verb": "echo", "args": []}\n', b"\xff\n", b"[" * 60000 + b"\n",
    b'{"verb": "echo", "x": "' + b"x" * (8 * 1024 * 1024) + b'"}\n',
])
def test_what_is_no_request_is_refused(path: Path, request_line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(request_line)
        answer = json.loads(s.makefile("rb").readline())
    assert answer["error"].startswith("not a request")


def test_a_caller_that_hangs_up_harms_nobody(path: Path) -> None:
    rows = ask(path, "count", {"to": 10**9})
    assert next(rows) == {"n": 0}
    rows.close()
    assert len(list(ask(path, "count", {"to": 3}))) == 3


def test_too_many_calls_at_once_are_told_so(tmp_path: Path) -> None:
    inside, leave = threading.Semaphore(0), threading.Event()

    def wait(_: Row) -> Iterator[Row]:
        inside.release()
        leave.wait()
        yield {}

    with ControlServer(tmp_path / "c", {"wait": wait}):
        calls = [threading.Thread(target=lambda: list(ask(tmp_path / "c", "wait"))) for _ in range(8)]
        for call in calls:
            call.start()
        for _ in calls:
            inside.acquire()
        with pytest.raises(MailwicketError, match="try again"):
            list(ask(tmp_path / "c", "wait"))
        leave.set()
        for call in calls:
            call.join()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_even_if_the_file_lets_them(path: Path, tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == 0 and str(directory).startswith("/tmp/"):
            directory.chmod(0o755)
    path.chmod(0o666)
    script = (
        "import os, socket, sys\nos.setgid(65534); os.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\n"
        "s.connect(sys.argv[1])\nsys.stdout.write(s.makefile().readline())\n"
    )
    told = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == {"error": "user id 65534 may not operate this gateway; use sudo"}


def test_without_a_gateway_the_client_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        list(ask(tmp_path / "control.sock", "tickets"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    with pytest.raises(NotRunning):
        list(ask(tmp_path / "control.sock", "tickets"))


def test_a_socket_left_by_a_dead_gateway_is_replaced_and_ours_is_removed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))

    async def live() -> None:
        server = ControlServer(tmp_path / "control.sock", HANDLERS)
        await server.start()
        rows = await asyncio.to_thread(lambda: list(ask(tmp_path / "control.sock", "count", {"to": 2})))
        assert len(rows) == 2
        await server.stop()

    asyncio.run(live())
    assert not (tmp_path / "control.sock").exists()


def test_an_answer_cut_in_the_middle_is_no_answer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "c"))
        server.listen()

        def half() -> None:
            connection, _ = server.accept()
            with connection:
                connection.makefile("rb").readline()
                connection.sendall(b'{"row": {"n": 1}}\n{"row": {"n"')

        thread = threading.Thread(target=half)
        thread.start()
        rows = ask(tmp_path / "c", "count")
        assert next(rows) == {"n": 1}
        with pytest.raises(MailwicketError, match="stopped in the middle"):
            next(rows)
        thread.join()


def test_a_path_too_long_for_a_socket_is_refused_with_the_remedy(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100) / "control.sock"
    for use in (lambda: ControlServer(long, {}), lambda: list(ask(long, "tickets"))):
        with pytest.raises(StateError, match="shorter state directory"):
            use()
