"""Commands stand at the top of a mail; what is nearly one is never taken for text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.command import MOST_LINES, parse_block
from gateway.core.command_line import BY_KEY, BY_WORD, names, parse_action, row_of, within_one_edit
from gateway.core.command_table import COMMANDS, help_lines
from gateway.core.model import Command, CommandBlock

VALUES = {
    "status": "open", "assign": "me", "priority": "low", "tag": "x", "merge": "ABC-1", "revive": "a@b.example", "group": "billing",
    "type": "bug", "macro": "reset", "requester": "a@b.example", "cc": "a@b.example", "link": "ABC-1", "unlink": "ABC-1", "due": "fri",
    "spent": "5m", "estimate": "1h", "field": "a=b", "search": "words", "vendor": "help@supplier.example",
}
relaxed = settings(deadline=None, max_examples=150)


def said(text: str) -> list[tuple[str, str]]:
    block = parse_block(text)
    assert block.suspects == ()
    return [(c.name, c.args) for c in block.commands]


@pytest.mark.parametrize(("line", "name", "args"), [
    ("#solved", "status", "solved"), ("# solved", "status", "solved"), ("#SOLVED:", "status", "solved"),
    ("  #gelöst", "status", "solved"), ("#gelo\u0308st", "status", "solved"), ("#on-hold", "status", "on_hold"),
    ("#hold", "status", "on_hold"), ("#offen", "status", "open"), ("#wartend", "status", "pending"),
    ("#close", "status", "closed"), ("#schließen", "status", "closed"), ("#SCHLIESSEN", "status", "closed"),
    ("#status sol", "status", "solved"), ("#status: On Hold", "status", "on_hold"), ("#status = gelöst", "status", "solved"),
    ("#status=schließen", "status", "closed"), ("#status\tpending", "status", "pending"),
    ("#take", "assign", "me"), ("#release", "assign", "none"), ("#assign me", "assign", "me"),
    ("#assign !", "assign", "me"), ("#owner niemand", "assign", "none"), ("#assign @Anna", "assign", "anna"),
    ("#assign Anna.K@Acme.Example", "assign", "anna.k@acme.example"), ("#assign <a@b.example>", "assign", "a@b.example"),
    ("#urgent", "priority", "urgent"), ("#prio 4", "priority", "urgent"), ("#priority 1", "priority", "low"),
    ("#priority hoch", "priority", "high"), ("#priority U", "priority", "urgent"),
    ("#tag vip", "tag", "+vip"), ("#tags +A, -b;c", "tag", "+a -b +c"), ("#tag vip vip", "tag", "+vip"),
    ("#merge [abc-12]", "merge", "ABC-12"), ("#merge 12", "merge", "12"),
    ("#send", "send", ""), ("#warum", "why", ""), ("#help", "help", ""), ("#note", "note", ""), ("#reply", "public", ""),
])
def test_commands_are_read_in_every_spelling_and_come_out_in_one(line: str, name: str, args: str) -> None:
    block = parse_block(f"\n \u00a0\n{line}\n\nThe text.\n")
    assert block == CommandBlock(
        commands=(Command(name=name, args=args, line=line.strip()),), suspects=(), text="The text.\n"
    )


@pytest.mark.parametrize(("lines", "expected"), [
    ("Status: solved\nOwner: me", [("status", "solved"), ("assign", "me")]),
    ("Priorität: hoch\nTags: a,-b\n#note", [("priority", "high"), ("tag", "+a -b"), ("note", "")]),
    ("zuständig: anna", [("assign", "anna")]),
    ("#tag a\n#tag -b", [("tag", "+a"), ("tag", "-b")]),
    ("#solved\n#solved", [("status", "solved"), ("status", "solved")]),
])
def test_blocks_of_several_lines(lines: str, expected: list[tuple[str, str]]) -> None:
    assert said(lines + "\nText") == expected
    assert parse_block(lines.replace("\n", "\r\n") + "\r\nText").text == "Text"


@pytest.mark.parametrize("text", [
    "", "Hello", "Hello\n#note", "#123 is broken", "#1", "#1st try", "## note", "#", "# ", "#---", "# Two words",
    "# Two words and more\n#note", "> #solved", "-- \n#solved", "Regards: me", "http://x.example", "Notes: x", "Status open",
    "#\u200b123", "Statement: x",
])
def test_text_is_left_exactly_as_it_is(text: str) -> None:
    assert parse_block(text) == CommandBlock(commands=(), suspects=(), text=text)


@pytest.mark.parametrize(("line", "remedy"), [
    ("#sovled", "did you mean #solved"), ("#kaputt", "#help lists"), ("#include <stdio.h>", "did you mean #incident"),
    ("#!x", "#help lists"), ("#" + "x" * 99, "#help lists"),
    ("#note\u00a0x", "write it as #note"), ("#\u00a0note", "write it as #note"), ("#no\u200bte", "write it as #note"),
    ("\u200b#note", "write it as #note"), ("＃note", "write it as #note"), ("#ſolved", "write it as #solved"),
    ("# sta\u00adtus open", "write it as #status"), ("#note\u2028x", "write it as #note"), ("#note\x00", "write it as #note"),
    ("#\u0455olved", "did you mean #solved"),  # a Cyrillic letter
    ("#solved thanks", "takes no value"), ("#help me", "takes no value"),
    ("#status", "possible are open, pending"), ("#status foo", "possible are"), ("#status so\u200blved", "did you mean solved"),
    ("#status o", "may be on_hold or open"), ("#priority hgih", "did you mean high"), ("#priority n", "low or normal"),
    ("#assign", "write a login"), ("#assign two words", "write a login"), ("#assign a@@b", "write a login"),
    ("#assign ſ", "write a login"),
    ("#tag", "at least one tag"), ("#tag +", "letters, digits"), ("#tag +a,-a", "both added and removed"),
    ("#tag " + "x" * 41, "at most 40"), ("#merge", "#merge ABC-123"), ("#merge ABC-x", "#merge ABC-123"),
    ("#merge \u0661", "#merge ABC-123"),
    ("Staus: solved", "did you mean Status:"), ("Onwer: me", "did you mean Owner:"), ("Prioritty: 1", "did you mean Priority:"),
    ("\u200bStatus: solved", "did you mean Status:"), ("Status: foo", "possible are"),
])
def test_what_is_nearly_a_command_is_a_suspect_with_its_remedy(line: str, remedy: str) -> None:
    block = parse_block(f"{line}\nThe secret remark.")
    assert [s[0] for s in block.suspects] == [line.strip(" \t")]
    assert remedy in block.suspects[0][1]
    assert block.commands == ()
    assert block.text == "The secret remark."


@pytest.mark.parametrize(("text", "suspect"), [
    ("#solved\n#pending", "#pending"), ("#note\n#public", "#public"), ("#take\n#assign bob", "#assign bob"),
    ("#solved\nPriority: high\nx", "Priority: high"),
])
def test_contradictions_and_mixed_forms_are_suspects(text: str, suspect: str) -> None:
    assert [line for line, _ in parse_block(text).suspects] == [suspect]


def test_blank_lines_do_not_let_a_command_slip_into_the_answer() -> None:
    assert said("#solved\n\n#note\n\nOnly for us") == [("status", "solved"), ("note", "")]


def test_keys_below_a_blank_line_are_text() -> None:
    assert parse_block("Status: open\n\nOwner: me").text == parse_block("#open\n\nOwner: me").text == "Owner: me"


def test_end_ends_the_block() -> None:
    assert parse_block("#solved\n#end\n#note this").text == "#note this"
    assert parse_block("#end\n#hashtag").text == "#hashtag"
    assert parse_block("#end\n#hashtag").suspects == ()


def test_words_behind_note_are_its_first_line() -> None:
    assert parse_block("#note He called.\n\nTwice.").text == "He called.\n\nTwice."
    assert parse_block("#public: Thank you").text == "Thank you"
    assert parse_block("Note: He called.").commands[0].name == "note"


def test_the_eleventh_command_holds_the_mail() -> None:
    block = parse_block("#tag a\n" * 14)
    assert len(block.commands) == MOST_LINES
    assert [why for _, why in block.suspects] == [f"a mail may hold {MOST_LINES} commands; send the rest in another one"]


def test_every_row_is_reachable_explained_and_gives_a_canonical_name() -> None:
    for row in COMMANDS:
        value = VALUES.get(row.name, "")
        (command,) = parse_block(f"#{row.name} {value}").commands
        assert row_of(command.name).means is None
        assert row.level in (1, 3, 4)
        assert row.help
        assert row.help_de
    assert row_of("help").level == 1
    assert {"solved", "erledigt", "merge"} <= set(names())
    assert len(names()) == sum(1 + len(row.aliases) for row in COMMANDS)
    assert all(key == unicodedata.normalize("NFC", key) for key in (*BY_WORD, *BY_KEY))


@pytest.mark.parametrize(("language", "words"), [("en", "add and remove tags"), ("de-AT", "setzen und entfernen"), ("fr", "add")])
def test_help_speaks_two_languages_one_line_a_command(language: str, words: str) -> None:
    lines = help_lines(language)
    assert len(lines) == len(COMMANDS)
    assert any(words in line for line in lines)


@pytest.mark.parametrize(("line", "name", "args"), [
    ("#tag +vip", "tag", "+vip"), (" #urgent ", "priority", "urgent"), ("#assign anna", "assign", "anna"),
    ("#release", "assign", "none"),
])
def test_rules_speak_the_same_commands(line: str, name: str, args: str) -> None:
    assert parse_action(line) == Command(name=name, args=args, line=line.strip())


@pytest.mark.parametrize(("line", "remedy"), [
    ("urgent", "with a #"), ("#urgnt", "did you mean #urgent"), ("#take", "rules may use #open"), ("#assign me", "for people"),
    ("#merge ABC-1", "for people"), ("#public", "for people"), ("#help", "for people"), ("#note", "for people"),
    ("#priority huge", "possible are"),
])
def test_a_rule_that_cannot_act_is_told_the_remedy(line: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        parse_action(line)


def edits(word: str) -> set[str]:
    """Everything one edit away, in the obvious way."""
    letters = "abc"
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    return (
        {word} | {a + b[1:] for a, b in cuts if b} | {a + c + b for a, b in cuts for c in letters}
        | {a + c + b[1:] for a, b in cuts if b for c in letters}
        | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    )


@relaxed
@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_one_edit_is_one_insertion_deletion_replacement_or_swap(one: str, other: str) -> None:
    assert within_one_edit(one, other) == (other in edits(one))


@relaxed
@given(st.lists(st.one_of(st.text(max_size=30), st.sampled_from(["#note", "#solved", "", "#end", "Status: open", "#sovled"]))))
def test_any_text_is_read_and_no_line_of_it_is_lost(lines: list[str]) -> None:
    text = "\n".join(lines)
    block = parse_block(text)
    assert len(block.commands) + len(block.suspects) <= MOST_LINES + 1
    assert text.replace("\r\n", "\n").endswith(block.text) or any(c.name in ("note", "public") for c in block.commands)


@relaxed
@given(st.sampled_from(names()), st.sampled_from("\u200b\u00ad\ufeff\u2060"), st.data())
def test_an_invisible_character_makes_a_suspect_of_any_command(word: str, hidden: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word)))
    block = parse_block(f"#{word[:at]}{hidden}{word[at:]}\ntext")
    assert block.commands == ()
    assert len(block.suspects) == 1
