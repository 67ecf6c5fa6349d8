"""The README tells the truth: its tables are those of the code, and nothing that a user can name is missing.

Run as a program, this file writes the tables anew.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from gateway import cli  # noqa: E402
from gateway.core.command_table import COMMANDS  # noqa: E402
from gateway.edge import rules  # noqa: E402
from gateway.settings_doc import SETTINGS, settings_table  # noqa: E402

README = ROOT / "README.md"
TEXT = README.read_text("utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |\n" for cells in lines)


def commands_table() -> str:
    rows = []
    for row in COMMANDS:
        keys = [key.partition("=")[0].capitalize() for key in row.keys]
        also = [f"`#{alias}`" for alias in row.aliases] + [f"`{key}:`" for key in keys]
        who = ("customers, " if row.customer is not None else "") + ("light agents" if row.who == "light" else f"{row.who}s")
        rows.append((f"`{row.syntax}`", row.help, who, " ".join(also), "yes" if row.by_rule else ""))
    return table(("command", "meaning", "who", "also", "by rule"), rows)


def verbs_table() -> str:
    rows = []
    for verb in cli.COMMANDS:
        words = ["mailwicket", verb.name]
        for names, options in verb.arguments:
            if names[-1] == "--json":
                continue
            word = names[-1] if names[-1].startswith("-") else str(options.get("metavar", names[0]))
            if names[-1].startswith("-") and "action" not in options:
                word += f" {options.get('metavar', names[-1].lstrip('-').upper())}"
            if options.get("nargs") == "+":
                word += " …"
            optional = names[-1].startswith("-") or options.get("nargs") == "?"
            words.append(f"[{word}]" if optional else word)
        rows.append((f"`{' '.join(words)}`", verb.help))
    return table(("command", "what it does"), rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "commands": commands_table,
    "rules": rules.documentation,
    "settings": settings_table,
    "verbs": verbs_table,
}


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_table_is_that_of_the_code(name: str) -> None:
    found = block(name).search(TEXT)
    assert found, f"README.md has no <!-- {name} --> … <!-- /{name} -->"
    assert found[2] == BLOCKS[name](), "renew it with: .venv/bin/python tests/test_docs.py"


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"README.md has no section {title}"
    return found[1]


def test_every_setting_command_and_verb_is_named() -> None:
    """The same through other eyes: a table that lost a row in its generator would pass the test above."""
    for setting in SETTINGS:
        assert f"`{setting.key}`" in section("Settings")
    for row in COMMANDS:
        for word in (row.name, *row.aliases):
            assert re.search(rf"`#{re.escape(word)}\b", section("Commands in a mail")), word
    for verb in cli.COMMANDS:
        assert f"`mailwicket {verb.name}" in section("The command line")
        for names, _ in verb.arguments:
            assert names[-1] in section("The command line") or not names[-1].startswith("-")


def test_every_library_has_its_reason_and_no_other_is_named() -> None:
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted} - {"mailwicket"}
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", section("Libraries"), re.MULTILINE)[1:]
    told = {re.sub(r"\[(.+?)\]\(.*\)", r"\1", name): why for cell, why in rows for name in cell.split(", ")}
    assert set(told) - {"---"} == names
    assert all(len(why) > 10 for name, why in told.items() if name != "---")


def test_every_library_is_used() -> None:
    """Whoever is no longer imported leaves the list."""
    waived = {"aioimaplib": "the mailbox way is to come", "tzdata": "zoneinfo finds it by itself", "vl-convert-python": "altair loads it by itself"}
    imported = set()
    for package in ("gateway", "reports"):
        for path in (ROOT / package).rglob("*.py"):
            imported |= set(re.findall(r"^\s*(?:import|from) (\w+)", path.read_text("utf-8"), re.MULTILINE))
    modules = {"mail-parser": "mailparser", "great-tables": "great_tables", "dnspython": "dns"}
    project = PYPROJECT["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["reports"]]:
        name = re.split(r"[\[<>=]", requirement)[0]
        assert modules.get(name, name) in imported or name in waived, name


def test_the_first_screen_has_both_commands() -> None:
    first = TEXT.splitlines()[:16]
    assert [line for line in first if line.startswith("make demo ")]
    assert [line for line in first if line.startswith("make test ")]


def test_the_rooms_of_the_journey_exist() -> None:
    for name in re.findall(r"`((?:edge|mime|core)/\w+)`", section("The life of a mail")):
        assert (ROOT / "gateway" / f"{name}.py").is_file(), name
    for name in re.findall(r"`((?:gateway|tests)/[\w/]+\.\w+)`", TEXT):
        assert (ROOT / name).is_file(), name


def test_links_and_sections_of_the_checkout_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


def toml_blocks() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("text", toml_blocks())
def test_every_example_of_configuration_is_valid(text: str, tmp_path: Path) -> None:
    """Each example, completed by what it leaves to the reader, loads without a problem."""
    from gateway import config

    given = tomllib.loads(text)
    rest = {
        "mailwicket": '[mailwicket]\nhost = "desk.acme.example"\nreply_domain = "reply.acme.example"\n',
        "queue": '[[queue]]\nname = "support"\naddress = ["support@acme.example"]\n',
        "agent": '[[agent]]\nlogin = "anna"\naddress = ["anna@acme.example"]\n',
    }
    for name in set(re.findall(r'"/etc/mailwicket/([\w.-]+)"', text)) - {"users"}:   # `mailwicket password` makes that one
        (tmp_path / name).write_text("secret\n")
        (tmp_path / name).chmod(0o600)
    text = text.replace('"/etc/mailwicket/', f'"{tmp_path}/')
    file = tmp_path / "mailwicket.toml"
    file.write_text(text + "".join(more for name, more in rest.items() if name not in given), "utf-8")
    loaded = config.load(file, state=tmp_path / "state", first_start=False)
    assert loaded.policy.queues[0].name == "support"


@pytest.mark.servers
def test_the_five_minutes_work_as_they_are_written(tmp_path: Path) -> None:
    """Every command of the section, in its order, by a shell in an empty directory; only the ports are others."""
    if shutil.which("swaks") is None:
        assert os.environ.get("MAILWICKET_SERVERS") != "required", "apt install swaks"
        pytest.skip("swaks is not installed")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        smtp, lmtp = (s.getsockname()[1] for s in (one, other))
    file = tmp_path / "mailwicket.toml"
    assert cli.main(["init", "--config", str(file)]) == 0
    file.write_text(file.read_text("utf-8").replace("127.0.0.1:2525", f"127.0.0.1:{smtp}").replace(":2424", f":{lmtp}"), "utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", section("Five minutes"), re.DOTALL | re.MULTILINE)
    serve, write, answer = (
        b.replace(".venv/bin/mailwicket", f"{sys.executable} -m gateway").replace("127.0.0.1:2525", f"127.0.0.1:{smtp}")
        for b in blocks
    )

    def sh(script: str) -> str:
        ran = subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def until(script: str, words: str) -> str:
        """Run it again until it says so, as a reader would; the time limit of the test ends it."""
        while words not in (said := sh(script)):
            pass
        return said

    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)}
    with subprocess.Popen(["sh", "-c", f"exec {serve}"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as desk:
        assert desk.stderr
        try:
            assert any(" ready " in line for line in desk.stderr)
            swaks, tickets, rest = write.partition(f"{sys.executable} -m gateway tickets")
            sh(swaks)
            until(tickets + rest.partition("\n")[0], "MW-1")
            until("ls mailwicket-state/outgoing/new", "000000000003")
            said = sh(rest.partition("\n")[2])
            assert "nothing names a ticket" in said
            assert said.count("Delivered-To:") == 3
            swaks, show, _ = answer.partition(f"{sys.executable} -m gateway show")
            sh(swaks)
            until(f"{show} MW-1", "status     solved")
        finally:
            desk.send_signal(signal.SIGINT)
            told = desk.communicate(timeout=60)[1]
    assert desk.returncode == 0, told


def test_every_command_shown_in_a_mail_is_one() -> None:
    from gateway.core.command_line import names

    for word in re.findall(r"(?<![\w`#(])#([a-z_]+)\b", re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", TEXT, flags=re.DOTALL)):
        assert word in names(), word


def test_every_target_of_the_makefile_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"(?:`|^)make ([a-z]+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


if __name__ == "__main__":
    for name_, made in BLOCKS.items():
        TEXT = block(name_).sub(lambda found, made=made: found[1] + made() + found[3], TEXT)  # type: ignore[misc]
    README.write_text(TEXT, "utf-8")
