"""The rule book: predicates in SQL over the relation ``mail``, checked at load, evaluated set-wise.

A rule's ``when`` is one scalar expression (architecture decision 7, ruling 9). It is read as
DuckDB's own parse tree and compared with what is allowed here, node by node: what is not named
in a table of this module is refused. It then runs in a DuckDB connection of its own that has no
file, no network, no extensions and a locked configuration, over text that is cut to TEXT_LIMIT.

Safety rests on the tables, not on DuckDB's memory limit: ``repeat('a', 1e9)`` was measured to
pass that. So no allowed function returns more than it was given; ``||``, ``replace`` and lists are
left out for that. RE2 has no catastrophic patterns.

Limits: an expression that fails on a row (a cast, say) does not hit there. A batch that takes
longer than SECONDS is interrupted and then tried rule by rule; a rule that is interrupted alone
does not hit, and stands in ``RuleBook.failed``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from difflib import get_close_matches
from typing import Any

import duckdb

from gateway.core.command_line import parse_action
from gateway.core.policy import Rule
from gateway.core.rows import MailFacts
from gateway.errors import ConfigError, Problem

EXPRESSION_LIMIT = 4_000        # characters of a ``when``
TEXT_LIMIT = 65_536            # characters of a mail's text that rules see
DEPTH_LIMIT = 60                # nesting of a ``when``
SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of ``mail``: the documentation, the check and the table are made from it."""

    name: str
    type: str
    means: str
    example: str


RELATION: tuple[Column, ...] = (
    Column(name="sender", type="VARCHAR", means="address in From, lower case",
           example="sender = 'ann@acme.example'"),
    Column(name="domain", type="VARCHAR", means="its domain",
           example="domain in ('acme.example', 'acme.test')"),
    Column(name="subject", type="VARCHAR", means="decoded subject", example="subject ilike '%invoice%'"),
    Column(name="text", type="VARCHAR", means="what the author newly wrote",
           example="text ~ '(?i)\\brefund\\b'"),
    Column(name="queue", type="VARCHAR", means="queue it came to", example="queue = 'support'"),
    Column(name="mail_class", type="VARCHAR",
           means="human, out_of_office, auto_reply, generated, bulk, bounce, complaint, receipt or own",
           example="mail_class = 'bulk'"),
    Column(name="level", type="INTEGER", means="how sure the sender is, 0 to 4", example="level >= 1"),
    Column(name="agent", type="BOOLEAN", means="the sender's address is an agent's", example="not agent"),
    Column(name="signal", type="VARCHAR",
           means="what tied it to its ticket: token, signed_id, reference, subject or none",
           example="signal = 'none'"),
    Column(name="ticket", type="BIGINT", means="number of the matched ticket, null for a new one",
           example="ticket is null"),
    Column(name="status", type="VARCHAR", means="status of the matched ticket, null for a new one",
           example="status = 'solved'"),
    Column(name="priority", type="VARCHAR", means="priority of the matched ticket, null for a new one",
           example="priority = 'low'"),
    Column(name="attachments", type="INTEGER", means="number of attachments", example="attachments > 0"),
    Column(name="size", type="BIGINT", means="octets of the whole mail", example="size > 1000000"),
    Column(name="received_at", type="TIMESTAMP", means="when it came in, UTC",
           example="extract(hour from received_at) >= 18"),
)
COLUMNS = {column.name: column for column in RELATION}

# Functions by the name that the parse tree has for them; operators are functions there.
FUNCTIONS = frozenset({
    "~~", "!~~", "~~*", "!~~*", "like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape",
    "regexp_matches", "regexp_full_match", "contains", "starts_with", "prefix", "ends_with", "suffix", "^@",
    "lower", "upper", "lcase", "ucase", "trim", "ltrim", "rtrim", "strip_accents",
    "left", "right", "substring", "substr", "split_part",
    "length", "len", "strlen", "instr", "strpos", "position",
    "+", "-", "*", "/", "//", "%", "abs", "round", "floor", "ceil", "greatest", "least",
    "date_part", "hour", "minute", "day", "month", "year", "week", "dayofweek", "isodow",
    "weekday", "dayname",
})
# (class, type) of the other nodes. Not here, so refused: SUBQUERY, WINDOW, STAR, PARAMETER, LAMBDA …
NODES = frozenset({
    ("FUNCTION", "FUNCTION"), ("CONJUNCTION", "CONJUNCTION_AND"), ("CONJUNCTION", "CONJUNCTION_OR"),
    ("COMPARISON", "COMPARE_EQUAL"), ("COMPARISON", "COMPARE_NOTEQUAL"), ("COMPARISON", "COMPARE_LESSTHAN"),
    ("COMPARISON", "COMPARE_GREATERTHAN"), ("COMPARISON", "COMPARE_LESSTHANOREQUALTO"),
    ("COMPARISON", "COMPARE_GREATERTHANOREQUALTO"), ("COMPARISON", "COMPARE_DISTINCT_FROM"),
    ("COMPARISON", "COMPARE_NOT_DISTINCT_FROM"), ("BETWEEN", "COMPARE_BETWEEN"), ("CASE", "CASE_EXPR"),
    ("OPERATOR", "COMPARE_IN"), ("OPERATOR", "COMPARE_NOT_IN"), ("OPERATOR", "OPERATOR_NOT"),
    ("OPERATOR", "OPERATOR_IS_NULL"), ("OPERATOR", "OPERATOR_IS_NOT_NULL"), ("OPERATOR", "OPERATOR_COALESCE"),
    ("OPERATOR", "OPERATOR_NULLIF"), ("CONSTANT", "VALUE_CONSTANT"), ("COLUMN_REF", "COLUMN_REF"),
    ("CAST", "OPERATOR_CAST"),
})
CAST_TYPES = frozenset({"BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "DATE", "TIMESTAMP", "TIME"})

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false", "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
    "allow_community_extensions": "false", "allow_unsigned_extensions": "false",
    "memory_limit": "256MB", "threads": "1", "max_temp_directory_size": "0B",
}


class RuleBook:
    """The enabled rules of a configuration, ready to run. Raises ConfigError if one is unfit."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        connection = _connect() if rules else None
        problems = _problems(rules, "mailwicket.toml", connection) if connection else []
        if problems:
            raise ConfigError(problems)
        self._rules = tuple(rule for rule in rules if rule.enabled)
        self._connection = connection if self._rules else None
        self.failed: dict[str, str] = {}     # rule name -> why it did not finish on the last batch

    def hits(self, rows: list[MailFacts], texts: list[str]) -> list[tuple[str, ...]]:
        """For each mail the names of the rules that hit, in file order; ``stop`` is the caller's."""
        if self._connection is None or not rows:
            return [() for _ in rows]
        self.failed = {}
        _fill(self._connection, rows, texts)
        try:
            return self._run(self._rules, len(rows))
        except duckdb.Error:
            return self._one_by_one(len(rows))

    def _one_by_one(self, count: int) -> list[tuple[str, ...]]:
        hits: list[tuple[str, ...]] = [() for _ in range(count)]
        for rule in self._rules:
            try:
                hits = [old + new for old, new in zip(hits, self._run((rule,), count), strict=True)]
            except duckdb.Error as error:
                self.failed[rule.name] = str(error).partition("\n")[0]
        return hits

    def _run(self, rules: tuple[Rule, ...], count: int) -> list[tuple[str, ...]]:
        connection = self._connection
        assert connection is not None  # hits() asked
        columns = ", ".join(f"coalesce({_guarded(rule.when)}, false)" for rule in rules)
        query = f"SELECT {columns} FROM mail ORDER BY ordinal"  # noqa: S608  # refusal() has read them
        watch = threading.Timer(SECONDS, connection.interrupt)
        watch.start()
        try:
            found = connection.execute(query).fetchall()
        finally:
            watch.cancel()
        assert len(found) == count
        return [tuple(r.name for r, hit in zip(rules, row, strict=True) if hit) for row in found]


def check(rules: tuple[Rule, ...], file: str) -> list[Problem]:
    """Every trouble of every rule, disabled ones too: place, value, remedy."""
    return _problems(rules, file, _connect()) if rules else []


def _problems(rules: tuple[Rule, ...], file: str, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
    problems: list[Problem] = []
    names = [rule.name for rule in rules]
    for number, rule in enumerate(rules, start=1):
        place = f"[[rule]] {rule.name or f'number {number}'}"
        if not rule.name or set(rule.name) & set(" \t\r\n"):
            remedy = 'a name is one word: name = "invoices"'
            problems.append(Problem(file, f"{place} name", repr(rule.name), remedy))
        elif names.index(rule.name) != number - 1:
            remedy = "another rule has this name; give it its own"
            problems.append(Problem(file, f"{place} name", rule.name, remedy))
        if why := refusal(rule.when, connection):
            problems.append(Problem(file, f"{place} when", rule.when[:200], why))
        refused = ((line, _bad_action(line)) for line in rule.then)
        problems += [Problem(file, f"{place} then", line, why) for line, why in refused if why]
        if not rule.then and not rule.stop:
            remedy = 'say what it does: then = ["#priority high"]'
            problems.append(Problem(file, f"{place} then", "[]", remedy))
    return problems


def refusal(when: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Why ``when`` is not a fit predicate, with the remedy; '' if it is."""
    if len(when) > EXPRESSION_LIMIT:
        return f"it is longer than {EXPRESSION_LIMIT} characters; split it into two rules"
    if "\0" in when:
        return "it holds a NUL character; remove it"
    if _brackets(when) > DEPTH_LIMIT:
        # Before DuckDB sees it: 3,000 open brackets kept its parser busy for 15 s (2.0.0).
        return f"it nests deeper than {DEPTH_LIMIT}; split it into two rules"
    try:
        why = _tree_refusal(_tree(connection, when), _tree(connection, "true"))
        return why or _bind_refusal(when, connection)
    except _Unreadable as error:
        example = COLUMNS["subject"].example
        return f"it cannot be read as SQL ({error}); write one expression such as {example}"
    except RecursionError:
        return f"it nests deeper than {DEPTH_LIMIT}; split it into two rules"


def _brackets(when: str) -> int:
    """How deep brackets nest, those in quoted text included."""
    depth = deepest = 0
    for char in when:
        depth += (char in "([{") - (char in ")]}" and depth > 0)
        deepest = max(deepest, depth)
    return deepest


def documentation() -> str:
    """The relation as a Markdown table, for ``mailwicket init`` and the README."""
    rows = "".join(f"| `{c.name}` | {c.type} | {c.means} | `{c.example}` |\n" for c in RELATION)
    return f"| column | type | meaning | example |\n|---|---|---|---|\n{rows}"


# --- The parse tree ---------------------------------------------------------------------------


class _Unreadable(Exception):
    """DuckDB's parser does not take it."""


def _tree(connection: duckdb.DuckDBPyConnection, expression: str) -> dict[str, Any]:
    # In brackets, a second statement, a FROM or a LIMIT is a syntax error and not part of the tree;
    # the line end keeps a trailing comment from hiding the bracket.
    found = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({expression}\n)"]).fetchone()
    tree: dict[str, Any] = json.loads(found[0]) if found else {"error": True}
    if tree.get("error"):
        raise _Unreadable(str(tree.get("error_message", "")).partition("\n")[0][:200])
    return tree


def _tree_refusal(tree: dict[str, Any], plain: dict[str, Any]) -> str:
    """The statement around the expression must be exactly that of ``SELECT true``."""
    statements = tree.get("statements", [])
    if len(statements) != 1 or len(statements[0]["node"].get("select_list", [])) != 1:
        return "it must be one expression"
    expression = statements[0]["node"].pop("select_list")[0]
    plain["statements"][0]["node"].pop("select_list")
    for node, depth in _nodes(expression, 0):
        if depth > DEPTH_LIMIT:
            return f"it nests deeper than {DEPTH_LIMIT}; split it into two rules"
        if why := _node_refusal(node):
            return why
    return "" if tree == plain else "it must be one expression, without FROM, WHERE, LIMIT or the like"


def _nodes(value: Any, depth: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Every expression node, whatever the field it hangs in."""
    stack = [(value, depth)]
    while stack:
        item, level = stack.pop()
        if isinstance(item, dict):
            if "class" in item:
                yield item, level
                level += 1
            stack += [(child, level) for child in item.values()]
        elif isinstance(item, list):
            stack += [(child, level) for child in item]


def _node_refusal(node: dict[str, Any]) -> str:
    kind = (node["class"], node.get("type"))
    if kind == ("TYPE", "TYPE"):
        name = node.get("type_name")
        known = name in CAST_TYPES and not node.get("children") and not node.get("schema")
        return "" if known else f"type {name} is not allowed; use one of {', '.join(sorted(CAST_TYPES))}"
    if kind not in NODES:
        what = str(kind[1]).lower().replace("_", " ")
        return f"{what} is not allowed in a rule; {_ADVICE.get(kind[0], _USE_PLAIN)}"
    if kind[0] == "COLUMN_REF":
        return _column_refusal(node["column_names"])
    if kind[0] == "FUNCTION":
        return _function_refusal(node)
    return ""


_USE_PLAIN = "compare columns with values, joined by AND, OR and NOT"
_ADVICE = {
    "SUBQUERY": "write the values out: domain in ('a.example', 'b.example')",
    "STAR": "name the columns you mean",
    "PARAMETER": "write the value itself",
    "WINDOW": "a rule sees one mail at a time",
    "LAMBDA": "a rule needs no functions of its own",
}


def _column_refusal(path: list[str]) -> str:
    name = path[-1].lower()
    if name in COLUMNS and (len(path) == 1 or [p.lower() for p in path] == ["mail", name]):
        return ""
    near = get_close_matches(name, COLUMNS, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}" if near else f"there are {', '.join(COLUMNS)}"
    return f"there is no column {'.'.join(path)}; {hint}? Text stands in single quotes: 'like this'"


def _function_refusal(node: dict[str, Any]) -> str:
    name = str(node["function_name"]).lower()
    extras = [node.get("filter"), node.get("distinct"), node.get("schema"), node.get("catalog"),
              node.get("export_state"), (node.get("order_bys") or {}).get("orders")]
    if name in FUNCTIONS and not any(extras):
        return ""
    near = get_close_matches(name, FUNCTIONS, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else (
        "use =, like, ilike, ~ (regular expression), in, contains, starts_with, lower, length …")
    return f"function {name} is not allowed in a rule; {hint}"


# --- The connection ---------------------------------------------------------------------------


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=_CONFIG)
    columns = ", ".join(f'"{c.name}" {c.type}' for c in RELATION)
    connection.execute(f"CREATE TABLE mail (ordinal INTEGER, {columns})")
    connection.execute("SET lock_configuration = true")
    return connection


def _guarded(when: str) -> str:
    """A row on which the expression fails does not hit."""
    return f"TRY(({when}\n))"


def _bind_refusal(when: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Types: DuckDB binds it over the empty table, and it must be a BOOLEAN."""
    try:
        query = f"SELECT {_guarded(when)} FROM mail LIMIT 0"  # noqa: S608  # its tree has been read
        shape = connection.execute(query).description
    except duckdb.Error as error:
        said = str(error).partition("\n")[0][:200]
        return f"it does not fit its columns ({said}); see the types in the documentation"
    kind = str(shape[0][1])
    if kind not in ("BOOLEAN", "BOOL", "bool"):
        return f"it gives {kind}, and a rule needs true or false; compare it with a value"
    return ""


def _fill(connection: duckdb.DuckDBPyConnection, rows: list[MailFacts], texts: list[str]) -> None:
    """One insert for the whole batch: a list a column, unnested side by side."""
    values: list[list[Any]] = [list(range(len(rows)))]
    for column in RELATION:
        if column.name == "text":
            values.append([text[:TEXT_LIMIT] for text in texts])
        elif column.name == "received_at":
            values.append([row.received_at.astimezone(UTC).replace(tzinfo=None) for row in rows])
        else:
            values.append([getattr(row, column.name) for row in rows])
    types = ["INTEGER", *(column.type for column in RELATION)]
    unnested = ", ".join(f"unnest(?::{kind}[])" for kind in types)
    connection.execute("DELETE FROM mail")
    connection.execute(f"INSERT INTO mail SELECT {unnested}", values)  # types of RELATION


def _bad_action(line: str) -> str:
    try:
        parse_action(line)
    except ValueError as error:
        return str(error)
    return ""
