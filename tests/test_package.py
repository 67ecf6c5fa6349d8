"""What is installed is whole: locks, wheel, and the environment that make builds on a bare machine.

Nothing here touches the network: the wheel's libraries are those of the environment that runs the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock")
SOURCES = ("gateway", "reports", "schema", "pyproject.toml", "README.md", "LICENSE", "Makefile", *LOCKS)
# The Python that make was given: it has pip, which the environment made by it need not have.
BASE = sys._base_executable
Ran = subprocess.CompletedProcess[str]


def run(*command: str | Path, cwd: Path, **environment: str) -> Ran:
    kept = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(cwd)}
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=240,
        stdin=subprocess.DEVNULL, check=False,
    )


def tree(target: Path) -> Path:
    """A copy of what is packed, so that no test writes into the checkout."""
    target.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, target / name)
    return target


# --- Locks ----------------------------------------------------------------------------------


def locked(name: str) -> dict[str, str]:
    """Name to version; a package that only other systems need is there, too."""
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", (ROOT / name).read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_names_versions_and_hashes_and_nothing_else(lock: str) -> None:
    """No index, no URL: where from is the machine's business, what is ours."""
    text = (ROOT / lock).read_text("utf-8")
    entries = re.split(r"\n(?=[^ ])", text.rstrip("\n"))
    requirement = re.compile(r"[a-z0-9-]+(\[[a-z,-]+\])?==[\w.+!]+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [e.partition("\n")[0] for e in entries if not requirement.fullmatch(e)] == []
    assert "://" not in text


def version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:3])


@pytest.mark.parametrize(("lock", "extras"), [(LOCKS[0], ()), (LOCKS[1], ("reports", "notebooks", "dev"))])
def test_a_lock_satisfies_pyproject(lock: str, extras: tuple[str, ...]) -> None:
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *(d for extra in extras for d in project["optional-dependencies"][extra])]
    versions = locked(lock)
    for requirement in wanted:
        name, bounds = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", requirement).groups()  # type: ignore[union-attr]
        if name == "mailwicket":
            continue
        assert name in versions, f"{lock} lacks {name}; run: make lock"
        have = version(versions[name])
        for sign, bound in re.findall(r"(>=|<)([\d.]+)", bounds):
            limit = version(bound)
            assert have >= limit if sign == ">=" else have[:len(limit)] < limit, f"{name} {versions[name]} {sign}{bound}"


def test_both_locks_agree() -> None:
    """Else the tests would run with other libraries than the service."""
    service, development = locked(LOCKS[0]), locked(LOCKS[1])
    assert {n: v for n, v in service.items() if development.get(n) != v} == {}


# --- The wheel ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tree(tmp_path_factory.mktemp("source") / "tree")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=source)
    assert built.returncode == 0, built.stderr
    found = list((source / "dist").glob("mailwicket-*.whl"))
    assert len(found) == 1
    return found[0]


def test_the_wheel_carries_schema_templates_and_figures(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = {n for n in file.namelist() if ".dist-info/" not in n}
    wanted = {
        p.relative_to(ROOT).as_posix()
        for folder in ("gateway", "reports", "schema") for p in (ROOT / folder).rglob("*")
        if p.is_file() and p.suffix in {".py", ".sql", ".j2", ".txt", ".md"}
    }
    assert names == wanted
    for part in ("schema/0001_base.sql", "schema/mail/", "schema/published/", "gateway/templates/de/", "reports/sql/"):
        assert [n for n in names if n.startswith(part)], part


def test_the_wheel_asks_for_no_more_than_pyproject_says(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        told = file.read(next(n for n in file.namelist() if n.endswith(".dist-info/METADATA"))).decode()
        entry = file.read(next(n for n in file.namelist() if n.endswith("entry_points.txt"))).decode()
    plain = {re.split(r"[<>=]", r)[0] for r in re.findall(r"^Requires-Dist: ([^;\n]+)$", told, re.MULTILINE)}
    assert plain == {re.split(r"[<>=]", r)[0] for r in PYPROJECT["project"]["dependencies"]}
    assert "mailwicket = gateway.cli:main" in entry


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the libraries of requirements.lock, linked one by one: no extra is there."""
    place = tmp_path_factory.mktemp("i") / "env"
    venv.create(place, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    for name in locked(LOCKS[0]):
        for top in {f.parts[0] for f in metadata.files(name) or () if not f.parts[0].startswith("..")} - {"__pycache__"}:
            (site / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    installed = run(
        BASE, "-m", "pip", "--python", place / "bin/python", "install", "--quiet", "--no-index", "--no-deps",
        "--disable-pip-version-check", wheel, cwd=place,
    )
    assert installed.returncode == 0, installed.stderr
    return place / "bin"


def test_the_environment_of_the_smoke_test_has_no_extras(installed: Path) -> None:
    """Else the tests below would not notice an import of what only developers have."""
    for name in ("pytest", "hypothesis", "altair", "great_tables", "jupyter_core"):
        assert "ModuleNotFoundError" in run(installed / "python", "-c", f"import {name}", cwd=installed).stderr, name
    where = run(installed / "python", "-c", "import gateway; print(gateway.__file__)", cwd=installed)
    assert str(ROOT) not in where.stdout
    assert "site-packages" in where.stdout


def test_the_installed_command_works_from_anywhere(installed: Path, tmp_path: Path) -> None:
    command = installed / "mailwicket"
    helped = run(command, "--help", cwd=tmp_path)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert run(command, "version", cwd=tmp_path).stdout == f"mailwicket {PYPROJECT['project']['version']}\n"
    assert run(command, "init", cwd=tmp_path).returncode == 0
    _move_doors(tmp_path / "mailwicket.toml")
    checked = run(command, "check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("no problems")
    assert f"ExecStart={command}" in run(command, "init", "--systemd", cwd=tmp_path).stdout


def test_the_installed_service_makes_a_ticket_of_a_mail(installed: Path, tmp_path: Path) -> None:
    command = installed / "mailwicket"
    assert run(command, "init", cwd=tmp_path).returncode == 0
    port = _move_doors(tmp_path / "mailwicket.toml")
    kept = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        [str(command), "serve"], cwd=tmp_path, env=kept, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = _until(process, " ready ")
            with smtplib.SMTP("127.0.0.1", port) as smtp:
                smtp.sendmail("ann@cust.example", ["support@mailwicket.localhost"],
                              "From: ann@cust.example\r\nTo: support@mailwicket.localhost\r\nSubject: It burns\r\n\r\nHelp\r\n")
            said += _until(process, "disposition=apply")
            listed = run(command, "tickets", "--json", cwd=tmp_path)
            assert '"subject": "It burns"' in listed.stdout, said + listed.stderr
        finally:
            process.send_signal(signal.SIGTERM)
            rest = process.communicate(timeout=60)[1]
        assert process.returncode == 0, rest
    offline = run(command, "show", "MW-1", cwd=tmp_path)
    assert "It burns" in offline.stdout, offline.stderr


def _until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended before it said {words!r}: {said}")


def _move_doors(file: Path) -> int:
    """Other ports than those of the desk for trying, which may run on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        smtp, lmtp = (s.getsockname()[1] for s in (one, other))
    text = file.read_text("utf-8").replace("127.0.0.1:2525", f"127.0.0.1:{smtp}").replace("127.0.0.1:2424", f"127.0.0.1:{lmtp}")
    file.write_text(text, "utf-8")
    return int(smtp)


# --- make on a bare machine -----------------------------------------------------------------


def python(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
    path.chmod(0o755)
    return path


def test_make_names_a_python_that_is_too_old_and_the_remedy(tmp_path: Path) -> None:
    old = python(tmp_path / "python3.9", '[ "$1" = --version ] && { echo Python 3.9.2; exit 0; }\nexit 1')
    made = run("make", f"PYTHON={old}", "demo", cwd=tree(tmp_path / "tree"))
    assert made.returncode != 0
    assert f"needs Python 3.11 or newer; {old} is Python 3.9.2" in made.stderr
    assert "apt install python3" in made.stderr
    assert "make PYTHON=" in made.stderr
    assert not (tmp_path / "tree/.venv").exists()


def test_make_names_a_missing_pip_and_the_remedy(tmp_path: Path) -> None:
    bare = python(tmp_path / "python", f'case "$*" in "-m pip"*) exit 1;; esac\nexec "{BASE}" "$@"')
    made = run("make", f"PYTHON={bare}", "demo", cwd=tree(tmp_path / "tree"))
    assert made.returncode != 0
    assert "apt install python3-pip" in made.stderr


@pytest.mark.parametrize("folder", ["tree", "a tree with blanks"])
def test_make_needs_no_ensurepip(folder: str, tmp_path: Path) -> None:
    """Debian's python3 without python3-venv: `-m venv` leaves half an environment and fails."""
    debian = python(tmp_path / "python", (
        'case " $* " in *" --without-pip "*) ;; *" -m venv "*) mkdir -p "$3/bin"; exit 1;; esac\n'
        f'exec "{BASE}" "$@"'
    ))
    source = tree(tmp_path / folder)
    # The libraries would come from the network; here the lock is empty and they are those of the tests.
    (source / "requirements.lock").write_text("", "utf-8")
    made = run("make", f"PYTHON={debian}", ".venv/.runtime", cwd=source)
    assert made.returncode == 0, made.stderr
    libraries = sysconfig.get_path("purelib")
    helped = run(source / ".venv/bin/mailwicket", "--help", cwd=tmp_path, PYTHONPATH=libraries)
    assert helped.returncode == 0, helped.stderr
    assert "help desk" in helped.stdout
    assert not (source / ".venv/bin/pip").exists()


def test_ci_installs_the_servers_and_forbids_to_skip_them() -> None:
    text = (ROOT / ".ci/run").read_text("utf-8")
    assert os.access(ROOT / ".ci/run", os.X_OK)
    for server in ("postfix", "dovecot-imapd", "dovecot-lmtpd", "swaks", "s-nail"):
        assert server in text
    assert "MAILWICKET_SERVERS=required" in text
    assert text.rstrip().endswith("make test")
