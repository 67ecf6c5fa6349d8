"""What customers may order by mail, at which level; all else of theirs is text and holds nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.command_line import names
from gateway.core.command_table import COMMANDS, CUSTOMER_HELP, help_lines
from tests.desk import ANN, ANNA, DAN, EVE, SUPPORT, Desk, Outcome, Sent, answered, with_policy

PARTNER = {"relay": "partner"}
REMOTE: dict[str, Any] = {"relay": None}


def begun() -> tuple[Desk, Sent]:
    """Anna has answered Ann, whose Reply-To is a personal address: what Ann got."""
    own, _, out = answered(desk=with_policy(reply_to_token=True))
    return own, out.to(ANN)[0]


# How the mail comes -> the level it has: (sender, to the personal address, envelope).
WAYS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "L0 a stranger": (EVE, False, REMOTE),
    "L0 in her name": (ANN, False, REMOTE),
    "L1 vouched for": (ANN, False, PARTNER),
    "L2 by her address": (ANN, True, REMOTE),
    "L2 by her address, another From": (EVE, True, REMOTE),
    "L3 both": (ANN, True, PARTNER),
    "L1 a stranger, vouched for": (DAN, False, PARTNER),
}
MAY = {
    "L1 vouched for": {"#close", "#reopen", "#urgent now", "#cc +x@y.example", "#unsubscribe", "#help"},
    "L2 by her address": {"#close", "#reopen", "#urgent now", "#unsubscribe", "#help"},
    "L3 both": {"#close", "#reopen", "#urgent now", "#cc +x@y.example", "#unsubscribe", "#help"},
}
LINES = ("#close", "#reopen", "#urgent now", "#cc +x@y.example", "#unsubscribe", "#help")


def write(own: Desk, mail: Sent, way: str, text: str) -> Outcome:
    sender, token, envelope = WAYS[way]
    return own.answer(mail, sender, text, envelope=dict(envelope), **({} if token else {"to": SUPPORT}))


def done(own: Desk, out: Outcome, line: str) -> bool:
    """Whether the command had its effect."""
    return {
        "#close": own.ticket(1).status == "closed", "#reopen": own.ticket(1).status == "open",
        "#urgent now": own.ticket(1).priority == "urgent", "#cc +x@y.example": "x@y.example" in own.roles(1),
        "#unsubscribe": bool(own.all.opt_outs), "#help": ("customer_help", ANN) in out.kinds(),
    }[line]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("line", LINES)
def test_each_command_at_each_level(way: str, line: str) -> None:
    own, mail = begun()
    own.answer(next(s for s in own.sent if s.row.rcpt_to == ANNA), ANNA, "#solved")
    out = write(own, mail, way, f"{line}\n\nSome words.")
    effect = done(own, out, line)
    # Whose mail joins the ticket opens it all the same: #reopen says no more than any word of hers.
    if line == "#reopen":
        assert effect == (own.message(out.rows.messages[-1].id).ticket == 1 and WAYS[way][0] == ANN)
    else:
        assert effect == (line in MAY.get(way, set()))
    assert out.held is None, "a customer's mail is never held for a command"
    shown = "\n".join(s.text.partition("\n:: ")[0] for s in out.sent if s.row.kind == "notice")
    assert (line in shown) != (line in MAY.get(way, set())), "what is no command stands in the text"


@pytest.mark.parametrize("line", ["#solved", "#take", "#assign anna", "#merge ABC-1", "#note", "#priority high", "#tag a", "#spam", "#show",
                                  "#why", "#undo", "#urgent", "#cc -anna@acme.example", "#cc +support@acme.example", "#sovled", "Status: closed",
                                  "#closed now", "#requester eve@evil.example", "#search x", "#dryrun"])
def test_everything_else_of_a_customers_is_text(line: str) -> None:
    own, mail = begun()
    before = own.ticket(1)
    out = write(own, mail, "L3 both", f"{line}\n\nSome words.")
    after = own.ticket(1)
    assert (after.status, after.priority, after.tags, after.assignee) == (before.status, before.priority, before.tags, before.assignee)
    assert line in out.to(ANNA)[0].text
    assert out.kinds() == [("notice", ANNA)]


def test_commands_alone_post_no_message_but_the_agents_hear() -> None:
    own, mail = begun()
    out = write(own, mail, "L3 both", "#close")
    assert out.events(1) == ["status"]
    assert out.kinds() == [("notice", ANNA)]
    assert "#close" in out.to(ANNA)[0].text
    assert ":: ABC-1 :: closed" in out.to(ANNA)[0].text
    quiet = write(own, mail, "L3 both", "#reopen\n\nIt is back.")
    assert own.ticket(1).status == "open"
    assert "It is back." in quiet.to(ANNA)[0].text
    assert write(own, mail, "L3 both", "#unsubscribe").kinds() == []


def test_a_closed_ticket_without_reopen_begins_a_new_one() -> None:
    own, mail = begun()
    write(own, mail, "L3 both", "#close")
    out = write(own, mail, "L3 both", "And another thing.")
    assert out.opened == [2]


def test_german_words_and_several_at_once() -> None:
    own, mail = begun()
    write(own, mail, "L3 both", "#dringend Die Messe beginnt\n#kopie x@y.example\n\nBitte!")
    assert own.ticket(1).priority == "urgent"
    assert own.roles(1)["x@y.example"] == "cc"
    text = own.all.message_texts[-1].new_text
    assert text == "Die Messe beginnt\n\nBitte!"


def test_a_block_that_cannot_be_carried_out_whole_is_text() -> None:
    own, mail = begun()
    write(own, mail, "L2 by her address", "#close\n#cc +x@y.example\n\nWords.")
    assert own.ticket(1).status == "open"
    out = write(own, mail, "L3 both", "#close\n#reopen\n\nWords.")
    assert own.ticket(1).status == "closed", "the second line contradicts the first, and is text"
    assert "#reopen" in out.to(ANNA)[0].text


def test_who_unsubscribed_gets_answers_and_no_machine_mail() -> None:
    own, mail = begun()
    write(own, mail, "L3 both", "#unsubscribe")
    write(own, mail, "L3 both", "#unsubscribe")
    out = own.mail(ANN, SUPPORT, "A new matter.", subject="Lamp")
    assert "ack" not in [kind for kind, _ in out.kinds()]
    assert out.codes["not_acknowledged"] == "this person wants no automatic mail"
    assert write(own, mail, "L3 both", "#help").to(ANN) == []
    assert own.answer(out.to(ANNA)[0], ANNA, "Here is the answer.").to(ANN)


def test_help_for_customers_is_guarded_like_an_acknowledgement() -> None:
    own, mail = begun()
    sent = [len(write(own, mail, "L3 both", "#help").to(ANN)) for _ in range(6)]
    assert sum(sent) < 4
    assert sent[0] == 1


def test_the_customers_help_lists_what_customers_may() -> None:
    rows = [row for row in COMMANDS if row.customer is not None]
    for language, lines in CUSTOMER_HELP.items():
        words = [line.split()[0].removeprefix("#") for line, _ in lines]
        assert [next(r for r in rows if w in (r.name, *r.aliases)) for w in words], language
        assert {next(r.name for r in rows if w in (r.name, *r.aliases)) for w in words} == {r.name for r in rows}
    assert len(help_lines("de", customer=True)) == len(rows)


def test_the_help_mail_of_a_customer() -> None:
    own, mail = begun()
    (out,) = [s for s in write(own, mail, "L3 both", "#help").sent if s.row.kind == "customer_help"]
    assert out.text == (
        "Hello,\n\non top of an answer to Acme Support you can write these lines, each by\nitself:\n\n"
        "#open                    it is not solved yet\n#closed                  it is solved, thank you\n"
        "#urgent REASON           it is urgent, and why\n#cc +ADDRESS             this person gets the answers, too\n"
        "#unsubscribe             no more automatic mail\n#help                    this list\n\n"
        "Whatever you write below them reaches a person.\n"
    )
    assert dict(json.loads(out.row.headers))["Auto-Submitted"] == "auto-replied"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([*WAYS]),
    st.lists(st.one_of(
        st.sampled_from([f"#{w}" for w in names()]), st.sampled_from([f"#{w} ABC-1" for w in names()]),
        st.sampled_from(["Status: solved", "Owner: anna", "#end", "", "[solved]", "#cc +q@q.example", "#urgent because"]), st.text(max_size=20),
    ), max_size=6),
)
def test_whatever_customers_and_strangers_write_changes_no_more_than_their_commands_may(way: str, lines: list[str]) -> None:
    own, mail = begun()
    before, roles = own.ticket(1), own.roles(1)
    out = write(own, mail, way, "\n".join(lines) + "\nWords.")
    after = own.ticket(1)
    for name in ("queue", "assignee", "requester", "tags", "type", "due_at", "spent_minutes", "estimate_minutes", "merged_into", "last_agent"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.status in (("open", "closed") if way in MAY else ("open",))
    assert after.priority in (("normal", "urgent") if way in MAY else ("normal",))
    fresh = set(own.roles(1)) - set(roles)
    assert fresh <= ({"q@q.example"} if way in ("L1 vouched for", "L3 both") else {EVE, DAN})
    assert out.held is None
    assert {s.row.kind for s in out.sent} <= {"notice", "ack", "customer_help"}
    assert {s.row.rcpt_to for s in out.sent if s.row.kind != "notice"} <= {WAYS[way][0]}


