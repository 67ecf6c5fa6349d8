"""The unit that `mailwicket init --systemd` prints: sound for systemd, hardened, for this installation."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import OK, main
from gateway.starter import systemd_unit

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def analyze(*args: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE
    return subprocess.run([ANALYZE, *args], capture_output=True, text=True, check=False)


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """As the operator makes it: what is printed, redirected into a file."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--systemd"]) == OK
    path = tmp_path / "mailwicket.service"
    path.write_text(capsys.readouterr().out, "utf-8")
    return path


@needs_systemd
def test_systemd_finds_nothing_to_say(unit: Path) -> None:
    told = analyze("verify", str(unit))
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


@needs_systemd
def test_systemd_would_complain_of_a_mistake(unit: Path) -> None:
    """Shows that the test above can fail."""
    unit.write_text(unit.read_text("utf-8").replace("Type=notify", "Tpye=notify"), "utf-8")
    assert "Tpye" in analyze("verify", str(unit)).stderr


@needs_systemd
def test_exposure_is_at_most_2_of_10(unit: Path) -> None:
    told = analyze("security", "--offline=true", "--threshold=20", str(unit))
    score = re.search(r"exposure level for \S+: ([0-9.]+)", told.stdout)
    assert score
    assert float(score[1]) <= 2.0
    assert told.returncode == 0


def test_paths_with_blanks_and_specifiers_reach_the_command_as_they_are() -> None:
    text = systemd_unit(Path("/srv/my desk/100%/$HOME/mailwicket.toml"))
    assert '--config "/srv/my desk/100%%/$$HOME/mailwicket.toml" --state' in text


def test_the_command_is_this_installation(unit: Path) -> None:
    command = re.search(r"^ExecStart=(\S+)", unit.read_text("utf-8"), re.MULTILINE)
    assert command
    assert Path(command[1]).parent == Path(sys.executable).parent or Path(command[1]).name == "mailwicket"


def test_a_configuration_at_home_stays_visible() -> None:
    assert "ProtectHome=read-only" in systemd_unit(Path("/home/anna/mailwicket.toml"))


def test_what_the_gateway_needs_is_not_taken_away(unit: Path) -> None:
    """Parsers set limits (@resources), polars maps executable pages, the config exit code is final."""
    lines = unit.read_text("utf-8").splitlines()
    assert "SystemCallFilter=~@privileged" in lines
    assert not [line for line in lines if line.startswith("SystemCallFilter=~") and "@resources" in line]
    assert not [line for line in lines if line.startswith("MemoryDenyWriteExecute")]
    assert "RestartPreventExitStatus=2" in lines
