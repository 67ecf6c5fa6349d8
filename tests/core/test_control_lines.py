"""The reader of control mail and of answers to a digest: what is an order, about which tickets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.command_table import COMMANDS
from gateway.core.control_lines import MOST_LINES, NOT_HERE, addresses_in, read_control, read_order, refs_in

KEY = "ABC"


@pytest.mark.parametrize(("line", "refs", "command"), [
    ("close ABC-1 abc-2", ("ABC-1", "abc-2"), ("status", "closed")),
    ("Close: ABC-1, [ABC-2]", ("ABC-1", "ABC-2"), ("status", "closed")),
    ("resolve it", ("it",), ("status", "solved")),
    ("owner ABC-3 !", ("ABC-3",), ("assign", "me")),
    ("noowner ABC-3", ("ABC-3",), ("assign", "none")),
    ("steal ABC-3", ("ABC-3",), ("assign", "me")),
    ("tags ABC-1 + a b", ("ABC-1",), ("tag", "+a +b")),
    ("tags ABC-1 - a", ("ABC-1",), ("tag", "-a")),
    ("tags ABC-1 = a b", ("ABC-1",), ("tag", "=a =b")),
    ("tags ABC-1 a, -b", ("ABC-1",), ("tag", "+a -b")),
    ("severity ABC-4 grave", ("ABC-4",), ("priority", "urgent")),
    ("spent ABC-1 -30", ("ABC-1",), ("spent", "-30")),
    ("pending ABC-1 -2 until fri", ("ABC-1", "-2"), ("status", "pending fri")),
    ("cc ABC-1 + dan@cust.example", ("ABC-1",), ("cc", "+dan@cust.example")),
    ("gruppe ABC-1 billing", ("ABC-1",), ("group", "billing")),
    ("show ABC-1", ("ABC-1",), ("show", "")),
])
def test_an_order_is_about_tickets_and_means_what_the_table_says(line, refs, command):
    found = read_order(line, KEY)
    assert found.command is not None
    assert (found.kind, found.refs, (found.command.name, found.command.args)) == ("order", refs, command)


@pytest.mark.parametrize(("line", "refs", "other", "relation"), [
    ("merge ABC-1 ABC-2 it", ("ABC-1", "ABC-2"), "it", ""),
    ("forcemerge ABC-1 into ABC-2", ("ABC-1",), "ABC-2", ""),
    ("block ABC-1 by ABC-2", ("ABC-1",), "ABC-2", "blocked by"),
    ("link ABC-1 parent of -1", ("ABC-1",), "-1", "parent of"),
    ("unlink ABC-1 ABC-2", ("ABC-1",), "ABC-2", ""),
])
def test_the_last_ticket_is_what_the_others_are_tied_to(line, refs, other, relation):
    found = read_order(line, KEY)
    assert (found.kind, found.refs, found.other, found.relation) == ("order", refs, other, relation)


@pytest.mark.parametrize(("answer", "items"), [
    ("1 solved · 3 pending 2d · 5-7 @anna · 9 merge 4",
     [(("1",), "solved", ""), (("3",), "pending", ""), (("5", "6", "7"), "assign", ""), (("9",), "merge", "4")]),
    ("1, 3 solved, 4 tag a, b; 2 !", [(("1", "3"), "solved", ""), (("4",), "tag", ""), (("2",), "take", "")]),
    ("#1 #2 #solved\n3 & 4: gelöst", [(("1", "2"), "solved", ""), (("3", "4"), "solved", "")]),
    ("5 - 7 close", [(("5", "6", "7"), "closed", "")]),
    ("8@bert", [(("8",), "assign", "")]),
    ("4 merge ABC-9", [(("4",), "merge", "ABC-9")]),
    ("close ABC-1\n2 solved, thanks", [(("ABC-1",), "closed", ""), (("2",), "solved", "")]),
    ("2 blocked 3", [((), "", "")]),
    ("7-5 close", [((), "", "")]),
    ("8", [((), "", "")]),
    ("2d pending", [((), "", "")]),
    ("#2d", [((), "", "")]),
])
def test_an_answer_to_a_digest_says_numbers_and_what_to_do(answer, items):
    found = read_control(answer, KEY, digest=True)
    assert [(o.refs, o.row if o.kind == "order" else "", o.other) for o in found] == items


@pytest.mark.parametrize(("line", "why"), [
    ("5 solved", "numbers are those of a digest: reply to it, or write ABC-5"),
    ("clsoe ABC-1", "did you mean close? help lists the words"),
    ("frobnicate ABC-1", "help lists the words"),
    ("close", "which ticket? close ABC-123"),
    ("note ABC-1 hi", "#note cannot stand here"),
    ("send", "#send cannot stand here"),
    ("priority ABC-1 sky", "possible are"),
    ("merge ABC-1", "name both tickets: merge ABC-1 ABC-2"),
    ("block ABC-1 with glue by ABC-2", "glue has no meaning here"),
    ("x" * 10_000, "the line is too long"),
    ("clo\u200bse ABC-1", "did you mean close?"),
])
def test_what_is_not_understood_says_what_would_be(line, why):
    found = read_order(line, KEY)
    assert found.kind == "unread"
    assert why in found.why


def test_comments_quotes_and_what_ends_a_mail():
    text = "# a comment\n#\n> close ABC-1\n#close ABC-2\n#undo 0123456789ABCDEFGHJKMNPQRS\nclose ABC-3\n\n-- \nclose ABC-4"
    assert [(o.kind, o.line) for o in read_control(text, KEY)] == [
        ("unread", "#close ABC-2"), ("undo", "undo 0123456789ABCDEFGHJKMNPQRS"), ("order", "close ABC-3"),
    ]
    for end in ("thanks", "Thanks!", "quit", "stop", "danke", "--", "#end"):
        assert read_control(f"{end}\nclose ABC-1", KEY) == []


def test_a_mail_has_an_end():
    found = read_control("close ABC-1\n" * (MOST_LINES + 5), KEY)
    assert len(found) == MOST_LINES + 1
    assert found[-1].kind == "unread"


def test_admins_words_are_told_from_commands_of_the_same_name():
    assert read_order("team add night bert", KEY).kind == "admin"
    assert read_order("team ABC-1 billing", KEY).row == "group"


@pytest.mark.parametrize("row", [r for r in COMMANDS if r.name not in NOT_HERE], ids=lambda row: row.name)
def test_every_row_of_the_table_is_a_verb(row):
    """In English and German; a value that is missing is told, not an unknown word."""
    for word in (row.name, *row.aliases):
        if word == "stop":
            continue
        found = read_order(f"{word} ABC-1", KEY)
        assert found.kind != "unread" or "help lists the words" not in found.why, word


def test_what_must_be_known_before_an_order_is_carried_out():
    text = "close ABC-12 abc-3, XABC-4 ABC-5x [ABC-6]\ncc ABC-7 +Dan@Cust.example, -<eve@evil.example>"
    assert refs_in(text, KEY) == {12, 3, 6, 7}
    assert addresses_in(text) == {"dan@cust.example", "eve@evil.example"}


@given(st.text(st.sampled_from("ABC-1234567890 ,;·#@!+-–\nsolvedmerg\u200bü"), max_size=400), st.booleans())
def test_any_text_is_read(text, digest):
    for order in read_control(text, KEY, digest=digest):
        assert order.kind != "unread" or order.why


def test_the_reader_is_linear():
    """bug: a first draft's pattern for numbers took exponential time."""
    for text in ("1" * 50_000 + ".", "1 " * 25_000 + "x", "1-" * 25_000, "1,2" * 15_000, "#" * 50_000, ("1 close, " * 5_000)):
        begun = time.process_time()
        read_control(text, KEY, digest=True)
        assert time.process_time() - begun < 5
