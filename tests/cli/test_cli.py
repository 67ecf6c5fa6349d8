"""The command line from the outside: exit codes, sentences, the gateway or its files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import cli
from gateway.cli import COMMANDS, FAILURE, OK, TEMPORARY, USAGE, main
from gateway.edge.control import ControlServer
from gateway.edge.lock import Lock
from gateway.errors import AlreadyRunning, ConfigError, Damaged, Permanent, Temporary


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAILWICKET_CONFIG", raising=False)


def run(*args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)}
    return subprocess.run([sys.executable, "-W", "error", "-m", "gateway", *args],
                          capture_output=True, text=True, env=environment, check=False)


def test_help_has_one_line_for_every_command() -> None:
    told = run("--help")
    assert told.returncode == OK
    for command in COMMANDS:
        assert re.search(rf"^    {command.name}\s+{re.escape(command.help)}$", told.stdout, re.MULTILINE)


@pytest.mark.parametrize("args", [(), ("frob",), ("tickets", "--frob"), ("show",), ("import",)])
def test_a_wrong_command_line_is_2(args: tuple[str, ...]) -> None:
    told = run(*args)
    assert told.returncode == USAGE
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(("error", "code"), [
    (ConfigError([]), USAGE), (AlreadyRunning("x"), TEMPORARY), (Damaged("x"), FAILURE),
    (Temporary(451, "4.3.0", "x"), TEMPORARY), (Permanent(550, "5.1.1", "x"), FAILURE), (OSError(28, "full"), TEMPORARY),
    (ZeroDivisionError(), FAILURE),
])
def test_exit_codes(error: Exception, code: int) -> None:
    assert cli.exit_code(error) == code


def test_a_wrong_configuration_stops_serve_with_2_and_every_problem() -> None:
    Path("mailwicket.toml").write_text('[mailwicket]\nhost = 1\nkey = "x"\n', "utf-8")
    told = run("serve")
    assert told.returncode == USAGE
    assert "mailwicket.toml:2: mailwicket.host = 1" in told.stderr
    assert "mailwicket.toml:3: mailwicket.key" in told.stderr
    assert "Traceback" not in told.stderr


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in run("--debug", "--config", "none.toml", "tickets").stderr
    assert "Traceback" in run("tickets", "--debug", "--config", "none.toml").stderr
    assert "Traceback" not in run("--config", "none.toml", "tickets").stderr


def test_the_environment_names_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILWICKET_CONFIG", "elsewhere.toml")
    assert "elsewhere.toml" in run("tickets").stderr


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    """A state directory with somebody at its control socket."""
    state = tmp_path / "mailwicket-state"
    state.mkdir()
    return state


def test_tickets_come_from_the_running_gateway_with_their_filters(
    gateway: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def tickets(args: dict[str, object]) -> list[dict[str, object]]:
        asked.append(args)
        return [{"key": "ABC-1", "subject": "Printer"}]

    with ControlServer(gateway / "control.sock", {"tickets": tickets}):
        assert main(["tickets", "--status", "open", "--json"]) == OK
        assert json.loads(capsys.readouterr().out) == {"key": "ABC-1", "subject": "Printer"}
        assert main(["tickets"]) == OK
        assert "Printer" in capsys.readouterr().out
    assert asked == [{"status": "open", "actor": f"operator:{os.geteuid()}"}, {"actor": f"operator:{os.geteuid()}"}]


def test_a_backup_is_asked_for_with_the_whole_path(gateway: Path, tmp_path: Path) -> None:
    asked = []
    with ControlServer(gateway / "control.sock", {"backup": lambda args: asked.append(args["directory"]) or []}):
        assert main(["backup", "here"]) == OK
    assert asked == [str(tmp_path / "here")]


def test_without_a_gateway_but_with_its_lock_taken_the_way_out_is_told(
    gateway: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lock(gateway / "lock"):
        assert main(["tickets"]) == TEMPORARY
    assert f"process {os.getpid()} holds {gateway}" in capsys.readouterr().err


def test_a_refusal_of_the_gateway_is_one_sentence(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ControlServer(gateway / "control.sock", {}):
        assert main(["show", "ABC-1"]) == FAILURE
    assert capsys.readouterr().err == "mailwicket: no such verb: show; known:\n"


def test_a_reader_that_closes_the_pipe_is_no_error(gateway: Path) -> None:
    rows = [{"key": "ABC-1", "subject": "x" * 200}] * 20_000
    with ControlServer(gateway / "control.sock", {"tickets": lambda _: rows}):
        environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)}
        with subprocess.Popen([sys.executable, "-m", "gateway", "tickets", "--json"], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
            assert p.stdout
            assert p.stderr
            p.stdout.readline()
            p.stdout.close()
            assert p.wait() == OK
            assert p.stderr.read() == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own a directory for somebody else")
def test_nobody_writes_into_the_state_of_another_user(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Root's files there could not be opened by the service."""
    os.chown(gateway, 65534, 65534)
    assert main(["restore", "backup"]) == FAILURE
    assert "sudo -u '#65534'" in capsys.readouterr().err


def test_version() -> None:
    assert run("version").stdout.startswith("mailwicket ")


def test_lines_of_the_log_never_stand_in_the_answer() -> None:
    script = (
        "import sys, structlog\nfrom gateway import cli\n"
        "loud = cli.Command(name='loud', run=lambda _: structlog.get_logger().error('planted') or 0, help='x')\n"
        "cli.COMMANDS = (loud,)\nsys.exit(cli.main(['loud']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert told.stdout == ""
    assert "planted" in told.stderr
