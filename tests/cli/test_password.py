"""``mailwicket password`` and what the settings of the agents' door demand."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config import load
from gateway.edge.logins import Users
from gateway.errors import ConfigError

REST = """
[mailwicket]
host = "desk.acme.example"
reply_domain = "reply.acme.example"
[[queue]]
name = "support"
address = "support@acme.example"
[[agent]]
login = "anna"
address = "anna@acme.example"
"""


def written(tmp_path: Path, listen: str) -> Path:
    file = tmp_path / "mailwicket.toml"
    file.write_text(f"[listen]\n{listen}{REST}")
    return file


def run(file: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, typed: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return main(["password", *arguments, "--config", str(file), "--state", str(file.parent / "state")])


def test_a_password_is_set_changed_and_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, 'users_file = "users"\n')
    users = tmp_path / "users"
    assert run(file, monkeypatch, "anna", typed="a long way to the ferry\n") == 0
    assert "anna can log in" in capsys.readouterr().out
    assert Users(users).check("anna", "a long way to the ferry")
    assert users.stat().st_mode & 0o777 == 0o600
    assert run(file, monkeypatch, "anna", typed="another way\n") == 0
    assert not Users(users).check("anna", "a long way to the ferry")
    assert run(file, monkeypatch, "anna", "--remove") == 0
    assert not Users(users).check("anna", "another way")


@pytest.mark.parametrize(("listen", "login", "typed", "why"), [
    ('users_file = "users"\n', "ana", "a long way\n", 'did you mean "anna"'), ('users_file = "users"\n', "anna", "short\n", "take 8 or more"),
    ("", "anna", "a long way\n", "users_file ="),
])
def test_what_will_not_do_is_said_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], listen: str, login: str, typed: str, why: str
) -> None:
    assert run(written(tmp_path, listen), monkeypatch, login, typed=typed) == 1
    assert why in capsys.readouterr().err
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize(("listen", "key"), [
    ('submission = "127.0.0.1:4650"\nusers_file = "users"\n', "listen.tls_certificate"),
    ('submission_starttls = "127.0.0.1:4650"\n', "listen.users_file"),
    ('submission = "127.0.0.1:4650"\nsubmission_starttls = "127.0.0.1:4650"\n', "listen.submission_starttls"),
])
def test_the_door_wants_a_certificate_a_file_and_a_port_of_its_own(tmp_path: Path, listen: str, key: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(written(tmp_path, listen), state=tmp_path / "state", first_start=False)
    assert key in [problem.key for problem in told.value.problems]


def test_a_users_file_that_others_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    file, users = written(tmp_path, 'users_file = "users"\n'), tmp_path / "users"
    assert [w.key for w in load(file, state=tmp_path / "s", first_start=False).warnings if "users" in w.key] == ["listen.users_file"]
    users.write_text("")
    users.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(file, state=tmp_path / "s", first_start=False)
    users.chmod(0o600)
    users.write_text("anna:plain\n")
    with pytest.raises(ConfigError, match="mailwicket password"):
        load(file, state=tmp_path / "s", first_start=False)


@pytest.mark.parametrize(("smtp", "check", "on"), [
    ("127.0.0.1:2525", "auto", False), ("0.0.0.0:2525", "auto", True), ("127.0.0.1:2525", "on", True), ("0.0.0.0:2525", "off", False), ("off", "auto", False),
])
def test_we_look_ourselves_where_strangers_knock(tmp_path: Path, smtp: str, check: str, on: bool) -> None:
    file = written(tmp_path, f'smtp = "{smtp}"\n')
    file.write_text(file.read_text() + f'[dns]\ncheck = "{check}"\n')
    assert load(file, state=tmp_path / "s", first_start=False).dns.check is on
