"""The walls of the house stand: who may import whom, how big a room may be, and that the maps are true."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(p for package in ("gateway", "reports") for p in (ROOT / package).rglob("*.py"))

# What a decision may be made of: values, text, and arithmetic.
PURE = {
    "__future__", "base64", "bisect", "collections", "dataclasses", "datetime", "difflib", "enum", "functools", "gateway",
    "hashlib", "heapq", "hmac", "html", "ipaddress", "itertools", "json", "math", "operator", "re", "string", "types", "typing",
    "unicodedata",
}
# Each library has one door. A new module at a library is a decision, and is made here.
DOORS = {
    "aiosmtpd": r"edge\.smtp_\w+",
    "aiosmtplib": r"edge\.smtp_send|demo",
    "aioimaplib": r"edge\.imap_\w+",
    "cryptography": r"edge\.dkim",
    "dns": r"edge\.dns",
    "duckdb": r"edge\.\w+|counter",
    "jinja2": r"mime\.compose",
    "mailparser": r"mime\.library",
    "msgspec": r"edge\.\w+",
    "nh3": r"mime\.text",
    "rich": r"cli|show|demo|explain|importer",
}
MODULE, CORE_MODULE, FUNCTION = 450, 320, 60
# What is larger, its bound, and why; whoever cuts it below the rule takes it off the list.
LARGE: dict[str, int] = {}


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""


# --- Walls ----------------------------------------------------------------------------------


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"], cwd=root, capture_output=True, text=True,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}, check=False,
    )


def test_the_import_contracts_are_kept() -> None:
    told = lint_imports(ROOT)
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize(("file", "line", "broken"), [
    ("gateway/core/subject.py", "import os", "core is pure"),
    ("gateway/core/subject.py", "from gateway.edge import durable", "edge and mime meet only"),
    ("gateway/core/policy.py", "import duckdb", "core is pure"),
    ("gateway/edge/spool.py", "from gateway.mime import parse", "edge and mime meet only"),
    ("gateway/mime/parse.py", "from gateway.edge import spool", "edge and mime meet only"),
    ("gateway/edge/store.py", "from gateway import pipeline", "edge and mime meet only"),
    ("reports/desk.py", "from gateway.core import model", "gateway and reports meet only"),
])
def test_a_breach_breaks_the_build(file: str, line: str, broken: str, tmp_path: Path) -> None:
    """Shows that the test above can fail, once for each wall."""
    for package in ("gateway", "reports"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / file
    path.write_text(path.read_text("utf-8").replace("\nimport ", f"\n{line}\nimport ", 1), "utf-8")
    if line not in path.read_text("utf-8"):
        path.write_text(path.read_text("utf-8") + f"\n{line}\n", "utf-8")
    told = lint_imports(tmp_path)
    assert told.returncode == 1
    assert re.search(rf"^{broken}.*BROKEN", told.stdout, re.MULTILINE | re.DOTALL), told.stdout


def test_core_imports_nothing_but_values() -> None:
    """A list of what is allowed: what nobody thought of forbidding stays outside, too."""
    strange = {
        (module(path), name)
        for path in SOURCES if path.is_relative_to(ROOT / "gateway" / "core")
        for name in imported(path) if name.partition(".")[0] not in PURE
    }
    assert strange == set()
    of_ours = {
        (module(path), name)
        for path in SOURCES if path.is_relative_to(ROOT / "gateway" / "core")
        for name in imported(path) if re.match(r"gateway\.(?!core|errors)", name)
    }
    assert of_ours == set()


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str) -> None:
    users = {module(p) for p in SOURCES for name in imported(p) if name.partition(".")[0] == library}
    strange = {u for u in users if not re.fullmatch(rf"gateway\.(?:{DOORS[library]})|reports\.\w+", u)}
    assert strange == set()


# --- Sizes ----------------------------------------------------------------------------------


def sizes() -> Iterator[tuple[str, int, int]]:
    """Each module and function with its lines and what the rule allows."""
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text("utf-8")
        yield name, len(text.splitlines()), CORE_MODULE if name.startswith("gateway/core/") else MODULE
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1, FUNCTION


def test_rooms_and_functions_can_be_read_in_one_sitting() -> None:
    found = list(sizes())
    assert [f"{name}: {lines} lines, at most {LARGE.get(name, most)}" for name, lines, most in found
            if lines > LARGE.get(name, most)] == []


def test_the_list_of_large_ones_holds_no_small_one() -> None:
    needed = {name for name, lines, most in sizes() if lines > most}
    assert set(LARGE) - needed == set()


# --- Maps -----------------------------------------------------------------------------------


def test_the_room_map_is_the_folder() -> None:
    folder, mapped = "", set()
    for line in (gateway.__doc__ or "").splitlines():
        if found := re.match(r"    (\w+)/ +\S", line):
            folder = f"{found[1]}/"
            mapped.add(folder)
        elif found := re.match(r"(    |      )(\w+\.\w+) +\S", line):
            mapped.add((folder if len(found[1]) == 6 else "") + found[2])
    package = ROOT / "gateway"
    files = {p.relative_to(package).as_posix() for pattern in ("*.py", "*.txt", "*/*.py") for p in package.glob(pattern)}
    folders = {f"{p.name}/" for p in package.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert mapped == {f for f in files if not f.endswith("__init__.py")} | folders, "gateway/__init__.py is the map"


def test_every_room_says_what_it_is() -> None:
    silent = [module(p) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]
    assert silent == []


RFC = re.compile(r"^(\d+)  (Yes|Partial|No) +(\S.*)$")


def cited() -> set[int]:
    found = set()
    for path in [*SOURCES, *(ROOT / "schema").rglob("*.sql"), *(ROOT / "gateway/templates").rglob("*.j2")]:
        text = path.read_text("utf-8")
        found |= {int(n) for n in re.findall(r"RFC[- ]?(\d{3,5})", text)}
        # "Standards: RFC 5321, 1870 (SIZE), 2034 and 3463"; what stands in brackets are words and sections.
        for paragraph in re.findall(r"^Standards: (.*?)(?:\n\n|\"\"\")", text, re.DOTALL | re.MULTILINE):
            found |= {int(n) for n in re.findall(r"(?<![\d§.])\d{4}(?![\d.])", re.sub(r"\([^)]*\)", "", paragraph))}
    return found


def test_the_list_of_standards_is_that_of_the_code() -> None:
    lines = [line for line in (ROOT / "gateway/rfc.txt").read_text("utf-8").splitlines() if line and line[0] != "#"]
    rows = [RFC.match(line) for line in lines]
    assert None not in rows, [line for line, row in zip(lines, rows, strict=True) if row is None]
    listed = {int(row[1]): row[2] for row in rows if row}
    assert list(listed) == sorted(listed)
    assert cited() - set(listed) == set(), "cited and not listed"
    assert {n for n, how in listed.items() if how != "No"} - cited() == set(), "listed as followed and nowhere cited"


# --- What shall not be committed ------------------------------------------------------------


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_path_of_a_developers_machine_is_committed() -> None:
    paths = re.compile(r"/home/(?!anna\b)\w+/|/Users/\w+/|/root/\w|(?<![\w.$}])/work/|\.pyenv|/opt/pypi")
    found = []
    for path in committed():
        if path.suffix == ".lock" or path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
            if paths.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_no_mail_of_others_and_no_state_is_committed() -> None:
    strange = {".eml", ".mbox", ".duckdb", ".wal", ".log", ".pem", ".key"}
    assert [p for p in committed() if p.suffix in strange and "tests/mails" not in p.as_posix()] == []


def test_notebooks_are_committed_without_outputs() -> None:
    import json

    for path in committed():
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text("utf-8"))["cells"]
            assert [c for c in cells if c.get("outputs") or c.get("execution_count")] == [], path
