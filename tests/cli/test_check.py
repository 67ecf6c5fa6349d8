"""`mailwicket check` tells everything, writes nothing, and knows this machine."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from gateway.cli import FAILURE, OK, main
from gateway.edge.lock import Lock
from gateway.settings_checks import busy_ports
from gateway.settings_kinds import Endpoint
from gateway.starter import starter_toml


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A starter configuration whose doors choose a free port."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mailwicket.toml"
    path.write_text(starter_toml().replace(":2525", ":0").replace(":2424", ":0"), "utf-8")
    return path


def test_a_sound_configuration_passes_and_nothing_is_written(free: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == OK
    assert capsys.readouterr().out == "no problems, 1 warning\n"
    assert [p.name for p in free.parent.iterdir()] == ["mailwicket.toml"]


def test_problems_are_counted_and_fail(free: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free.write_text(free.read_text("utf-8").replace('login = "bert"', 'login = "BERT"\nnick = "b"'), "utf-8")
    assert main(["check"]) == FAILURE
    out, err = capsys.readouterr()
    assert out == "3 problems, no warnings\n"
    assert "agent[1].login" in err
    assert "agent[1].nick" in err
    assert "queue[0].agents" in err     # bert is named there, and nobody is called so now


def test_problems_as_json_lines(free: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free.write_text(free.read_text("utf-8").replace('key = "MW"', "key = 1"), "utf-8")
    assert main(["check", "--json"]) == FAILURE
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["kind"], row["key"], row["value"]) == ("problem", "mailwicket.key", "1")


def test_a_taken_port_is_told_unless_our_own_gateway_runs(free: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        free.write_text(free.read_text("utf-8").replace('smtp = "127.0.0.1:0"', f'smtp = "127.0.0.1:{port}"'), "utf-8")
        assert main(["check"]) == FAILURE
        assert "another program listens there" in capsys.readouterr().err
        state = free.parent / "mailwicket-state"
        state.mkdir()
        with Lock(state / "lock"):
            assert main(["check"]) == OK


def test_an_address_of_another_machine_is_told() -> None:
    (problem,) = busy_ports({"listen.smtp": Endpoint(host="192.0.2.1", port=0)}, "f")
    assert "no such address" in problem.remedy


def test_a_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.toml"), "check"]) == FAILURE
    assert "mailwicket init" in capsys.readouterr().err
