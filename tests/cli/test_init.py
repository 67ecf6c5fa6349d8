"""`mailwicket init` writes what works as it is and what the table says."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli import OK, USAGE, main
from gateway.config import load
from gateway.settings_doc import SECTIONS, SETTINGS
from gateway.settings_file import read
from gateway.starter import TRIAL, starter_toml


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAILWICKET_CONFIG", raising=False)


def test_the_written_file_is_the_desk_for_trying() -> None:
    assert main(["init"]) == OK
    written, trial = load(Path("mailwicket.toml")), load(None)
    assert replace(written, file=None, warnings=()) == replace(trial, warnings=())


def test_every_setting_stands_in_the_file_with_its_meaning() -> None:
    text = starter_toml()
    for setting in SETTINGS:
        assert f"{setting.key} = " in text
        assert setting.meaning in text


def test_the_file_with_all_its_comments_taken_off_is_understood() -> None:
    """The examples in comments are themselves valid: nobody shall uncomment a mistake."""
    lines = [line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
             for line in starter_toml().splitlines() if "shows a setting" not in line]
    given = tomllib.loads("\n".join(lines))
    document, problems = read(given, file="f", base=Path("/"))
    assert problems == []
    assert {s.name for s in SECTIONS} == set(given)
    assert document.one("rule")["when"]


def test_trial_values_are_all_declared() -> None:
    assert read(TRIAL, file="f", base=Path("/"))[1] == []


def test_nothing_is_overwritten_without_force(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mailwicket.toml").write_text("mine", "utf-8")
    assert main(["init"]) == USAGE
    assert Path("mailwicket.toml").read_text("utf-8") == "mine"
    assert "--force" in capsys.readouterr().err
    assert main(["init", "--force"]) == OK
    assert Path("mailwicket.toml").read_text("utf-8") == starter_toml()


def test_the_systemd_unit_is_printed_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mailwicket.toml").write_text("mine", "utf-8")
    assert main(["init", "--systemd"]) == OK
    out = capsys.readouterr().out
    assert "ExecStart=" in out
    assert f"--config {Path.cwd() / 'mailwicket.toml'}" in out
    assert [p.name for p in Path.cwd().iterdir()] == ["mailwicket.toml"]
    assert Path("mailwicket.toml").read_text("utf-8") == "mine"
