"""What the terminal is given: strangers' text is shown, never obeyed."""

from __future__ import annotations

import io
import json
import time
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
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


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown in the reader's zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def lines(view: Any, rows: list[dict[str, Any]], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    show.show(iter(rows), view, json_lines=False, console=console)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_list_of_tickets() -> None:
    head, line = lines(show.tickets, [{**TICKET, "updated_at": "2025-11-23T10:32:05+00:00"}], 120)
    assert head.split() == ["key", "status", "prio", "queue", "assignee", "updated", "mails", "requester", "subject"]
    assert line.split() == ["ABC-1", "open", "high", "support", "anna", "2025-11-23", "2", "rita@customer.example",
                            "Printer"]


def test_columns_that_say_nothing_are_left_out() -> None:
    """Here: priority is normal, nobody is assigned, and all are in one queue."""
    row = {**TICKET, "priority": "normal", "assignee": None}
    head = lines(show.tickets, [row, {**row, "key": "ABC-2"}], 120)[0]
    assert head.split() == ["key", "status", "updated", "mails", "requester", "subject"]
    head = lines(show.tickets, [row, {**row, "queue": "billing"}], 120)[0]
    assert "queue" in head


@pytest.mark.parametrize("view", [show.tickets, show.outbox, show.spool])
@given(st.lists(st.dictionaries(st.sampled_from(["key", "id", "state", "status", "queue", "to", "from", "reply", "subject"]),
                                st.text(max_size=100)), min_size=1, max_size=3))
def test_a_row_is_one_line_and_80_columns_are_enough(view: Any, rows: list[dict[str, Any]]) -> None:
    """Only a key, id, state or queue longer than any real one may ask for more."""
    short = [{k: v[:9] if k in ("key", "id", "state", "status", "queue") else v for k, v in row.items()} for row in rows]
    shown_lines = lines(view, short, 80)
    assert len(shown_lines) <= 1 + len(rows)
    assert all(cell_len(line) <= 80 for line in shown_lines)


def test_subject_gives_way_after_addresses_and_both_say_so() -> None:
    row = {**TICKET, "requester": "a-very-long-name@customer.example", "subject": "The printer on the third floor is on fire"}
    line = lines(show.tickets, [row], 80)[1]
    assert line.split()[-3:] != ["on", "fire"]
    assert line.count("…") == 2
    assert "a-very-long" in line


@pytest.mark.parametrize(("text", "seen"), [
    ("2026-11-23T10:32:05+00:00", "10:32"),
    ("2026-11-22T23:59:59+00:00", "2026-11-22"),
    ("2025-11-23T10:32:05+00:00", "2025-11-23"),
    (None, ""),
    ("soon", "soon"),
])
def test_a_time_is_the_hour_today_and_the_day_before(text: str | None, seen: str) -> None:
    assert show.moment(text, datetime(2026, 11, 23, 12, tzinfo=UTC)) == seen


def test_nothing_to_list_is_said() -> None:
    assert shown(show.tickets, []) == "No tickets.\n"
    assert shown(show.tickets, [], json_lines=True) == ""


CONVERSATION = {
    "ticket": TICKET,
    "messages": [
        {"at": "2026-11-23T09:00:00+00:00", "author": "rita@customer.example", "kind": "human", "public": True,
         "text": "It burns.\n\n  [bold]Help[/bold]" + HOSTILE, "disposition": "apply", "hold": None, "spool_id": "s1",
         "attachments": [{"name": "a.png", "content_type": "image/png", "size": 10}]},
        {"at": "2026-11-23T10:00:00+00:00", "author": "bert", "kind": "generated", "public": False, "text": "hm",
         "attachments": ["b.txt"], "disposition": "hold", "hold": "unsure", "spool_id": "s2"},
    ],
    "events": [
        {"at": "2026-11-23T09:00:00+00:00", "kind": "created", "cause": "s1", "after": "support"},
        {"at": "2026-11-23T09:30:00+00:00", "kind": "priority", "actor_kind": "operator", "cause": "control",
         "before": "normal", "after": "high"},
        {"at": "2026-11-23T10:00:00+00:00", "kind": "status", "cause": "s2", "before": "new", "after": "open"},
        {"at": "2026-11-23T10:00:00+00:00", "kind": "assignee", "cause": "s2", "before": None, "after": "2"},
        {"at": "2026-11-23T11:00:00+00:00", "kind": "bounced", "actor_kind": "system", "after": "5.2.2"},
    ],
    "decisions": [
        {"spool_id": "s2", "code": "thread", "detail": "token: made for bert"},
        {"spool_id": "s1", "code": "opened", "detail": "ABC-1"},
    ],
}


def test_a_ticket_reads_as_a_conversation_with_the_reasons_below_each_mail() -> None:
    text = shown(show.ticket, [CONVERSATION])
    parts = (
        "ABC-1  Printer", "rita@customer.example  2026-11-23 09:00  (public)", "It burns.", "[bold]Help[/bold]",
        "a.png (image/png, 10 bytes)", "opened       ABC-1", "priority normal → high  2026-11-23 09:30  (operator)",
        "bert  2026-11-23 10:00  (generated, internal)  held: unsure", "hm", "b.txt", "thread       token: made for bert",
        "changed      status new → open; assignee set", "bounced 5.2.2  2026-11-23 11:00",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)
    assert "\x1b" not in text


def test_reasons_and_events_without_a_mail_are_not_lost() -> None:
    text = shown(show.ticket, [{"ticket": TICKET, "events": CONVERSATION["events"], "decisions": CONVERSATION["decisions"]}])
    for part in ("created support", "status new → open", "thread", "opened"):
        assert part in text


def test_json_lines_are_whole_and_plain_ascii() -> None:
    text = shown(show.tickets, [{**TICKET, "subject": HOSTILE + "\x7f"}], json_lines=True)
    assert json.loads(text)["subject"] == HOSTILE + "\x7f"
    assert all(0x20 <= ord(c) < 0x7F for c in text.rstrip("\n"))


def test_an_endless_mail_is_cut_and_says_so() -> None:
    row = {"ticket": TICKET, "messages": [{"text": "x" * 30_000}]}
    assert "[10000 more characters]" in shown(show.ticket, [row])
