"""The lock and the words to the service manager."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.edge.lock import Lock, held
from gateway.edge.notify import Notifier, notify, watchdog_interval
from gateway.errors import AlreadyRunning, StateError


def test_a_second_gateway_is_told_who_and_what_to_do(tmp_path: Path) -> None:
    with Lock(tmp_path / "lock"):
        assert held(tmp_path / "lock")
        with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()} holds .*--state"), Lock(tmp_path / "lock"):
            pass
        assert held(tmp_path / "lock")
    with Lock(tmp_path / "lock"):
        pass


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom gateway.edge.lock import Lock\n"
        "with Lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "lock")], stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning, match=f"process {other.pid}"), Lock(tmp_path / "lock"):
            pass
        other.send_signal(signal.SIGKILL)
    assert not held(tmp_path / "lock")
    with Lock(tmp_path / "lock"):
        pass


def test_a_spawned_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    with Lock(tmp_path / "lock"):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        assert not held(tmp_path / "lock")
    finally:
        child.communicate(b"\n")


def test_looking_at_the_lock_makes_no_file(tmp_path: Path) -> None:
    assert not held(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


def test_a_missing_state_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="does not exist"), Lock(tmp_path / "none" / "lock"):
        pass


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_hears_every_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool) -> None:
    name = f"mailwicket-{os.getpid()}" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else name)
        notifier = Notifier()
        assert notifier.ready("2 doors")

        assert notifier.alive()
        assert notifier.stopping()
        heard = [manager.recv(100) for _ in range(3)]
    assert heard == [b"READY=1\nSTATUS=2 doors", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize("where", ["", "relative", "vsock:2:1234", "/nowhere/at/all"])
def test_without_a_manager_nothing_fails(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    assert not notify("READY=1")


@pytest.mark.parametrize(("usec", "pid", "seconds"), [
    ("60000000", None, 30.0), ("60000000", "own", 30.0), ("60000000", "1", None), ("0", None, None), ("x", None, None),
    (None, None, None),
])
def test_the_watchdog_is_fed_twice_as_often_as_asked(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, seconds: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert watchdog_interval() == seconds
