"""A configuration file as rows of values, with every problem found on the way.

Parsing goes by the table of settings_doc.py. One bad value hides nothing else: it is left out of
its row and told, and the reading goes on.

Limits: tomllib tells no line numbers, so they are found by a scan of the text; a key inside a
multi-line string can mislead that scan, never the parser.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import Problem
from gateway.settings_doc import REQUIRED, SECTIONS, SETTINGS, Section, of_section, toml_value
from gateway.settings_kinds import did_you_mean

Row = dict[str, Any]

_SECRET_KEY = re.compile(r"pass|secret|token", re.IGNORECASE)
_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]\]?\s*(#.*)?$")
_ASSIGNMENT = re.compile(r"\s*\"?([\w-]+)\"?\s*=")
_TOML_PLACE = re.compile(r" \(at line (\d+), column \d+\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file says. A row lacks the keys whose value was bad; absent ones have their default."""

    file: str
    base: Path  # where relative paths start
    rows: dict[str, list[Row]]
    lines: dict[str, int]  # "queue[1].address" → line

    def one(self, section: str) -> Row:
        return self.rows[section][0]

    def each(self, section: str, key: str) -> Iterator[tuple[str, Any]]:
        """Place and value of ``key`` in every row that has one."""
        many = section in MANY
        for i, row in enumerate(self.rows[section]):
            if row.get(key) is not None:
                yield f"{section}[{i}].{key}" if many else f"{section}.{key}", row[key]

    def problem(self, place: str, remedy: str, value: Any = None) -> Problem:
        """A problem at ``place``, with the line of the key or of its table."""
        line = self.lines.get(place) or self.lines.get(place.rpartition(".")[0])
        return Problem(f"{self.file}:{line}" if line else self.file, place, _shown(place, value), remedy)


MANY = frozenset(s.name for s in SECTIONS if s.many)


def parse(text: str, file: str) -> tuple[Row, list[Problem]]:
    """``text`` as TOML; of a syntax error the place and the parser's words."""
    try:
        return tomllib.loads(text), []
    except tomllib.TOMLDecodeError as e:
        found = _TOML_PLACE.search(str(e))
        line = found[1] if found else str(text.count("\n") + 1)
        wrong = text.splitlines()[int(line) - 1].strip() if text.strip() else ""
        if (key := _ASSIGNMENT.match(wrong)) and _SECRET_KEY.search(key[1]):
            wrong = f"{key[1]} = ****"
        remedy = (
            f"this is not TOML: {_TOML_PLACE.sub('', str(e))}; everything else is checked when this is mended"
        )
        return {}, [Problem(f"{file}:{line}", "syntax", wrong or "(empty)", remedy)]


def read(given: Row, *, file: str, base: Path, text: str = "") -> tuple[Document, list[Problem]]:
    """The values of ``given`` by the table of settings."""
    document = Document(file=file, base=base, rows={}, lines=_lines(text))
    problems = [
        document.problem(name, _no_such_section(name), value)
        for name, value in given.items()
        if name not in {s.name for s in SECTIONS}
    ]
    for section in SECTIONS:
        tables, wrong = _tables(document, section, given.get(section.name))
        problems += wrong
        document.rows[section.name] = []
        for i, table in enumerate(tables):
            where = f"{section.name}[{i}]" if section.many else section.name
            row, wrong = _row(document, section, where, table)
            document.rows[section.name].append(row)
            problems += wrong
    return document, problems


def _tables(document: Document, section: Section, value: Any) -> tuple[list[Row], list[Problem]]:
    if value is None:
        return ([] if section.many else [{}]), []
    tables = value if isinstance(value, list) else [value]
    if isinstance(value, list) is section.many and all(isinstance(t, dict) for t in tables):
        return tables, []
    return ([] if section.many else [{}]), [
        document.problem(section.name, f"write {section.header} above its keys", value)
    ]


def _row(document: Document, section: Section, where: str, table: Row) -> tuple[Row, list[Problem]]:
    settings = {s.key: s for s in of_section(section.name)}
    problems = [
        document.problem(f"{where}.{key}", _no_such_key(section.name, key, list(settings)), value)
        for key, value in table.items()
        if key not in settings
    ]
    row: Row = {}
    for key, setting in settings.items():
        value = table.get(key, setting.default)
        if value == REQUIRED:
            remedy = f"is required: {setting.meaning} For example: {key} = {toml_value(setting.example)}"
            problems.append(document.problem(f"{where}.{key}", remedy))
            continue
        try:
            row[key] = None if value is None else _based(setting.kind.read(value), document.base)
        except ValueError as e:
            problems.append(document.problem(f"{where}.{key}", str(e), value))
    return row, problems


def _based(value: Any, base: Path) -> Any:
    return base / value if isinstance(value, Path) else value


def _no_such_section(name: str) -> str:
    home = next((s.section for s in SETTINGS if s.key == name), None)
    if home and home not in MANY:
        return f"belongs under [{home}]"
    return f"no such table; {did_you_mean(name, [s.name for s in SECTIONS])}"


def _no_such_key(section: str, key: str, known: list[str]) -> str:
    if section == "send" and _SECRET_KEY.search(key):
        return "write secrets to a file of mode 0600 and name it in password_file"
    homes = [s.section for s in SETTINGS if s.key == key]
    if homes:
        header = "[[%s]]" if homes[0] in MANY else "[%s]"
        return f"no such key here; it belongs under {header % homes[0]}"
    return f"no such key; {did_you_mean(key, known)}"


def _shown(place: str, value: Any) -> str:
    if value is None:
        return "(missing)"
    key = place.rpartition(".")[2]
    if _SECRET_KEY.search(key) and not (key.endswith(("_file", "_url")) or key == "reply_to_token"):
        return "****"
    try:
        shown = toml_value(value)
    except TypeError:
        shown = f'"{value}"'
    return shown if len(shown) <= 120 else shown[:117] + "..."


def _lines(text: str) -> dict[str, int]:
    """The line of every table header and key; the first of a name wins."""
    lines: dict[str, int] = {}
    seen: dict[str, int] = {}
    where = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            where = header[2]
            if header[1] == "[[":
                seen[where] = seen.get(where, -1) + 1
                where = f"{where}[{seen[where]}]"
            lines.setdefault(where, number)
        elif key := _ASSIGNMENT.match(line):
            lines.setdefault(f"{where}.{key[1]}" if where else key[1], number)
    return lines
