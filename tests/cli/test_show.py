"""What the terminal is given: strangers' text is shown, never obeyed."""

from __future__ import annotations

import io
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gateway import show

HOSTILE = "\x1b[2J\x1b]0;title\x07[red]b[/red]\u202egnp\u2066\x9b31m\x90q\x9c\r\x08:smile: \ud800"
TICKET: dict[str, Any] = {
    "key": "ABC-1", "subject": "Printer", "status": "open", "priority": "high", "queue": "support",
    "assignee": "anna", "requester": "rita@customer.example", "created_at": "2026-11-23T09:00:00+00:00",
    "updated_at": "2026-11-23T10:32:05+00:00", "messages": 2,
}


def shown(view: Any, rows: list[dict[str, Any]], *, json_lines: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False, emoji=False)
    assert show.show(iter(rows), view, json_lines=json_lines, console=console) == len(rows)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(("text", "expected"), [
    ("plain ✓ grün", "plain ✓ grün"),
    ("a\x1b[31mb\x1b[0m", "ab"),
    ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
    ("a\x1b]0;title\x07b", "ab"),
    ("a\x9b2Jb", "ab"),
    ("a\x1bPq payload\x1b\\b", "ab"),
    ("a\x1bcb", "ab"),
    ("a\x1b", "a"),
    ("\u202egnp.exe", "gnp.exe"),
    ("a\u2028b\x85c\nd", "a b c d"),
    ("zero\u200bwidth\ufeff", "zerowidth"),
    ("tag\U000e0041", "tag"),
    (None, ""),
    (["a", "b"], "a, b"),
])
def test_controls_are_taken_out(text: object, expected: str) -> None:
    assert show.clean(text) == expected


@given(st.text())
def test_nothing_is_left_that_could_drive_a_terminal(text: str) -> None:
    for c in show.clean(text, lines=True):
        assert c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"}
        assert unicodedata.bidirectional(c) not in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize("view", [show.tickets, show.outbox, show.spool])
def test_hostile_cells_are_text_and_markup_is_shown(view: Any) -> None:
    column = {show.tickets: "subject", show.outbox: "subject", show.spool: "from"}[view]
    text = shown(view, [{column: HOSTILE}])
    assert "[red]b[/red]gnp" in text
    assert ":smile:" in text
    assert not set(text) & set("\x1b\x07\x08\r\x90\x9b\x9c\u202e\u2066")


def test_a_list_of_tickets() -> None:
    head, line = shown(show.tickets, [TICKET]).splitlines()
    assert head.split() == ["key", "status", "priority", "queue", "assignee", "requester", "updated", "messages", "subject"]
    assert line.split() == ["ABC-1", "open", "high", "support", "anna", "rita@customer.example", "2026-11-23", "10:32",
                            "2", "Printer"]


def test_nothing_to_list_is_said() -> None:
    assert shown(show.tickets, []) == "No tickets.\n"
    assert shown(show.tickets, [], json_lines=True) == ""


def test_a_ticket_with_mails_events_and_reasons() -> None:
    row = {
        "ticket": TICKET,
        "messages": [
            {"at": "2026-11-23T09:00:00+00:00", "author": "rita@customer.example", "kind": "mail", "public": True,
             "text": "It burns.\n\n  [bold]Help[/bold]" + HOSTILE, "attachments": [{"name": "a.png", "size": 10}],
             "disposition": "apply", "hold": None},
            {"at": "2026-11-23T10:00:00+00:00", "author": "bert", "kind": "note", "public": False, "text": "hm",
             "attachments": ["b.txt"], "disposition": "hold", "hold": "unsure"},
        ],
        "events": [{"at": "2026-11-23T09:00:00+00:00", "kind": "created", "after": "support"}],
        "decisions": [{"spool_id": "s1", "code": "token", "detail": "ABC-1"}],
    }
    text = shown(show.ticket, [row])
    for part in ("ABC-1  Printer", "It burns.", "[bold]Help[/bold]", "(mail, public)", "(note, internal)",
                 "held: unsure", "a.png 10", "b.txt", "created", "token", "2026-11-23 09:00"):
        assert part in text
    assert "\x1b" not in text


def test_json_lines_are_whole_and_plain_ascii() -> None:
    text = shown(show.tickets, [{**TICKET, "subject": HOSTILE + "\x7f"}], json_lines=True)
    assert json.loads(text)["subject"] == HOSTILE + "\x7f"
    assert all(0x20 <= ord(c) < 0x7F for c in text.rstrip("\n"))


def test_an_endless_mail_is_cut_and_says_so() -> None:
    row = {"ticket": TICKET, "messages": [{"text": "x" * 30_000}]}
    assert "[10000 more characters]" in shown(show.ticket, [row])
