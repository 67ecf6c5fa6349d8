"""Control mail: what each line does, for whom it counts, and that nobody below his level changes anything.

Whole transcripts are golden texts in tests/core/transcripts: orders above the line of dashes, the answer below it.
Write them anew with ``MAILWICKET_GOLDEN=write pytest tests/core/test_control_mail.py`` and read the difference.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.control import CONFIRM_WITHIN, MOST_IDLE
from gateway.core.policy import Field, Mailbox
from gateway.core.token import strip_tokens
from tests.desk import ANN, ANNA, BERT, CARO, EVE, HOUR, POLICY, REPLY_DOMAIN, SUPPORT, Desk, Outcome, Sent, with_policy

CONTROL = "control@desk.acme.example"
GOLDEN = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
RULE = "-" * 40 + "\n"
LOGIN = {"channel": "submission", "relay": None}


def desk_of(count: int = 4, **changes: Any) -> Desk:
    """A desk with tickets ABC-1 to ABC-<count>, one an hour, and an own field."""
    desk = with_policy(**{"control": (CONTROL,), "fields": (Field(name="site", type="choice", choices=("Graz", "Linz")),), **changes})
    for number in range(1, count + 1):
        desk.mail(f"Ann Ames <{ANN}>", SUPPORT, "It is on fire.", subject=f"Fire {number}")
        desk.now += HOUR
    return desk


def order(desk: Desk, text: str, sender: str = ANNA, level: int = 4, **more: Any) -> Outcome:
    """A control mail of an agent who is logged in (4), vouched for (1), or nothing at all (0)."""
    login = (POLICY.agent_of_address(sender) or POLICY.agents[0]).login
    envelope = {4: {**LOGIN, "login": login}, 1: {}, 0: {"relay": None}}[level]
    return desk.mail(sender, CONTROL, text, subject="work", envelope=envelope, date="Mon, 23 Nov 2026 14:00:00 +0100", **more)


def the(outcome: Outcome, address: str = ANNA) -> Sent:
    """The one answer to ``address``."""
    (sent,) = [s for s in outcome.to(address) if s.row.kind in ("transcript", "rehearsal", "unproven_notice", "digest")]
    return sent


def state(desk: Desk) -> tuple[Any, ...]:
    """Everything a command could have changed."""
    return desk.tickets, desk.all.participants, desk.all.ticket_fields, desk.all.ticket_links


# --- What lines do --------------------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_transcript_is_as_it_was_read_and_found_good(path: Path) -> None:
    """The language of the agent is the end of the file's name."""
    orders, _, expected = path.read_text("utf-8").partition(RULE)
    agents = tuple(replace(a, language="de") if path.stem.endswith("_de") else a for a in POLICY.agents)
    desk = desk_of(6, agents=agents)
    order(desk, "merge ABC-6 ABC-5")
    found = the(order(desk, orders.rstrip("\n"))).text.rstrip("\n") + "\n"
    if os.environ.get("MAILWICKET_GOLDEN") == "write":
        path.write_text(f"{orders}{RULE}{found}", "utf-8")
        expected = found
    assert found == expected


def test_each_line_is_all_or_nothing() -> None:
    desk = desk_of()
    text = the(order(desk, "close ABC-1 ABC-99\nclose ABC-2")).text
    assert "ABC-99 is not a ticket that you can see" in text
    assert [desk.ticket(n).status for n in (1, 2)] == ["new", "closed"]


def test_a_refused_clone_leaves_no_name() -> None:
    desk = desk_of()
    text = the(order(desk, "clone ABC-1 ABC-99 -1\nclose -1")).text
    assert "no line above made that ticket" in text
    assert set(desk.tickets) == {1, 2, 3, 4}


def test_all_lines_are_one_transaction_that_can_be_taken_back() -> None:
    desk = desk_of()
    before = {n: (t.status, t.assignee, t.tags) for n, t in desk.tickets.items()}
    text = the(order(desk, "close ABC-1 ABC-2\nowner ABC-3 !\ntags ABC-1 + vip")).text
    (mark,) = [line for line in text.splitlines() if line.startswith("undo ")]
    done = the(order(desk, mark)).text
    assert "taken back" in done
    now = {n: (t.status, t.assignee, t.tags) for n, t in desk.tickets.items()}
    assert now == {n: ("open" if status == "new" and n < 3 else status, who, tags) for n, (status, who, tags) in before.items()}
    assert "taken back already" in the(order(desk, mark)).text
    assert "no such transaction" in the(order(desk, "undo 0123456789ABCDEFGHJKMNPQRS")).text


def test_five_lines_that_nobody_understands_end_it() -> None:
    desk = desk_of()
    text = the(order(desk, "foo\nbar\nbaz\nqux\nclose ABC-1\nquux\nclose ABC-2")).text
    assert "five lines were not understood" in text
    assert [desk.ticket(n).status for n in (1, 2)] == ["closed", "new"]


def test_a_limit_guards_the_lines_below_it() -> None:
    desk = desk_of()
    order(desk, "group ABC-2 billing\npriority ABC-3 high")
    text = the(order(desk, (
        "limit queue=support\nclose ABC-1 ABC-2\nlimit status=new assignee=none\nclose ABC-1\nlimit tag=vip\nclose ABC-3\n"
        "limit assignee=me\nclose ABC-3\nlimit wrong\nlimit color=red\nlimit assignee=ghost\nlimit none\nclose ABC-4"
    ))).text
    assert "ABC-2 is outside of the limit" in text
    assert text.count("write limit queue=support") == 3
    assert [desk.ticket(n).status for n in (1, 2, 3, 4)] == ["closed", "new", "new", "closed"]


def test_who_gets_a_ticket_is_told() -> None:
    desk = desk_of()
    done = order(desk, "owner ABC-1 bert\ngroup ABC-2 billing")
    assert done.kinds() == [("handed", BERT), ("handed", CARO), ("transcript", ANNA)]


def test_questions_are_answered_only_to_a_proven_agent() -> None:
    desk = desk_of()
    asked = "show ABC-1\nwhy ABC-1\nsearch fire\nhelp"
    proven = the(order(desk, asked)).text
    assert "It is on fire." in proven
    assert "opened: ABC-1" in proven
    assert "ABC-4  new, normal, support  Fire 4" in proven
    assert "#pending" in proven
    unproven = the(order(desk, asked, level=1)).text
    assert "It is on fire." not in unproven
    assert unproven.count("this needs a sender proven at level 3; yours is 1") == 3
    assert "#pending" in unproven


def test_a_light_agent_may_ask_and_not_do() -> None:
    agents = (replace(POLICY.agents[0], role="light"), *POLICY.agents[1:])
    desk = desk_of(agents=agents)
    text = the(order(desk, "close ABC-1\nshow ABC-1")).text
    assert "this is for agents; you are light here" in text
    assert "It is on fire." in text
    assert desk.ticket(1).status == "new"


# --- For whom -------------------------------------------------------------------------------


def test_below_level_4_nothing_is_done_until_its_rehearsal_is_answered() -> None:
    desk = desk_of()
    before = state(desk)
    asked = order(desk, "close ABC-1 ABC-2", level=1)
    assert (asked.held, the(asked).row.kind, state(desk)) == ("control", "rehearsal", before)
    assert "ABC-2: status new -> closed" in the(asked).text
    done = desk.answer(the(asked), ANNA, "Yes.")
    assert the(done).row.kind == "transcript"
    assert [desk.ticket(n).status for n in (1, 2)] == ["closed", "closed"]
    assert [e.cause for e in desk.events(1)][-1] == done.decision.spool_id
    again = desk.answer(the(asked), ANNA, "yes, once more")
    assert [desk.ticket(n).status for n in (1, 2)] == ["closed", "closed"]
    assert "waits no more" in the(desk.answer(the(asked), ANNA, "yes")).text
    assert "waits no more" in the(desk.answer(the(asked), ANNA, "no")).text
    assert "not understood" in the(again).text


def test_an_empty_answer_is_enough() -> None:
    desk = desk_of()
    desk.answer(the(order(desk, "close ABC-1", level=1)), ANNA, "")
    assert desk.ticket(1).status == "closed"


@pytest.mark.parametrize("word", ["no", "Nein", "#drop"])
def test_no_forgets_it(word: str) -> None:
    desk = desk_of()
    asked = order(desk, "close ABC-1", level=1)
    assert "forgotten" in the(desk.answer(the(asked), ANNA, word)).text
    assert [m.hold for m in desk.all.messages if m.hold] == ["control"]
    assert desk.message(asked.rows.messages[0].id).hold is None
    assert desk.ticket(1).status == "new"


def test_a_late_answer_gets_a_fresh_rehearsal() -> None:
    desk = desk_of()
    asked = order(desk, "close ABC-1", level=1)
    desk.now += CONFIRM_WITHIN
    late = desk.answer(the(asked), ANNA, "yes")
    assert (the(late).row.kind, desk.ticket(1).status) == ("rehearsal", "new")
    desk.answer(the(late), ANNA, "yes")
    assert desk.ticket(1).status == "closed"


def test_the_nonce_counts_for_nobody_else_and_nowhere_else() -> None:
    desk = desk_of()
    asked = the(order(desk, "close ABC-1", level=1))
    desk.answer(asked, BERT, "yes")                                         # a colleague's From
    desk.answer(asked, EVE, "yes", envelope={"relay": None})
    desk.answer(asked, ANNA, "yes", envelope={"relay": None}, to=CONTROL)   # nothing proves that it is she
    desk.answer(asked, ANNA, "yes", in_reply_to="", references=f"<{asked.mail.message_id}>")    # only handed around
    assert desk.ticket(1).status == "new"
    desk.answer(asked, ANNA, "yes", to=CONTROL)
    assert desk.ticket(1).status == "closed"


def test_unproven_orders_are_asked_about_without_a_word_of_them() -> None:
    desk = desk_of()
    before = state(desk)
    forged = order(desk, "close ABC-1", level=0)
    notice = the(forged)
    assert (forged.held, notice.row.kind, state(desk)) == ("unproven", "unproven_notice", before)
    assert "ABC-1" not in notice.raw.decode()
    assert order(desk, "close ABC-2", level=0).kinds() == [], "one notice an hour"
    shown = desk.answer(notice, ANNA, "yes", envelope={"relay": None})
    assert (the(shown).row.kind, state(desk)) == ("rehearsal", before)
    desk.answer(the(shown), ANNA, "yes", envelope={"relay": None})
    assert desk.ticket(1).status == "closed"


def test_who_is_no_agent_gets_no_answer() -> None:
    desk = desk_of()
    for sender, envelope in ((EVE, {"relay": None}), (ANN, {"relay": "partner", "channel": "smtp"})):
        done = desk.mail(sender, CONTROL, "close ABC-1\nshow ABC-1", envelope=envelope)
        assert (done.held, done.kinds(), done.opened) == ("stranger", [], [])
    machine = order(desk, "close ABC-1", auto_submitted="auto-generated")
    assert (machine.held, machine.kinds()) == ("stranger", [])
    away = order(desk, "close ABC-1", auto_submitted="auto-replied")
    assert (away.decision.disposition, away.kinds()) == ("log", [])
    assert desk.ticket(1).status == "new"


def test_a_mail_on_a_ticket_is_that_tickets_though_control_has_a_copy() -> None:
    desk = desk_of()
    notice = next(s for s in desk.sent if s.row.kind == "notice" and s.row.rcpt_to == ANNA and s.row.ticket == 1)
    done = desk.answer(notice, ANNA, "#pending\nclose ABC-2", rcpts=(notice.reply_to, CONTROL))
    assert ("reply", ANN) in done.kinds()
    assert (desk.ticket(1).status, desk.ticket(2).status) == ("pending", "new")


def test_a_robot_at_an_agents_address_is_answered_a_few_times_only() -> None:
    desk = desk_of(1)
    answers = 0
    sent = the(order(desk, "hello"))
    for _ in range(MOST_IDLE + 5):
        found = desk.answer(sent, ANNA, "I am a robot").to(ANNA)
        answers += len(found)
    assert answers == MOST_IDLE - 1


@pytest.mark.parametrize(("count", "orders", "asked"), [
    (12, "close ABC-1 ABC-2 ABC-3 ABC-4 ABC-5 ABC-6 ABC-7 ABC-8 ABC-9 ABC-10", False),
    (12, "close ABC-1 ABC-2 ABC-3 ABC-4 ABC-5 ABC-6 ABC-7 ABC-8 ABC-9 ABC-10\nsolved ABC-11", True),
    (22, "\n".join(f"take ABC-{n}" for n in range(1, 21)), False),
    (22, "\n".join(f"take ABC-{n}" for n in range(1, 22)), True),
    (2, "merge ABC-1 ABC-2", True),
    (2, "requester ABC-1 dan@cust.example", True),
    (2, "priority ABC-1 high", False),
])
def test_at_level_3_bulk_and_what_cannot_be_mended_want_a_second_word(count: int, orders: str, asked: bool) -> None:
    """Security §3.2. An answer to a transcript of ours is level 3."""
    desk = desk_of(count, budgets=replace(POLICY.budgets, tickets_per_address_hour=1000))
    sent = the(order(desk, "help"))
    done = desk.answer(sent, ANNA, orders)
    assert (the(done).row.kind == "rehearsal") is asked
    assert the(order(desk, orders)).row.kind == "transcript", "who logs in is asked nothing"


def test_dryrun_only_tells() -> None:
    desk = desk_of()
    before = state(desk)
    done = order(desk, "dryrun\nclose ABC-1")
    assert (the(done).row.kind, done.held, state(desk)) == ("transcript", None, before)
    assert "Nothing was done: you asked" in the(done).text
    assert "ABC-1: status new -> closed" in the(done).text


@pytest.mark.parametrize(("role", "level", "line", "why"), [
    ("agent", 4, "agent add dora dora@acme.example", "this is for admins; you are agent here"),
    ("admin", 1, "agent add dora dora@acme.example", "for this log in at the desk's own port"),
    ("admin", 4, "agent hire dora", "possible are"),
])
def test_an_admins_line_needs_an_admin_a_login_and_sense(role: Any, level: int, line: str, why: str) -> None:
    desk = desk_of(1, agents=(replace(POLICY.agents[0], role=role), *POLICY.agents[1:]))
    done = order(desk, line, level=level)
    assert (the(done).row.kind, done.decision.admin) == ("transcript", ())
    assert why in the(done).text


def test_an_admins_line_is_carried_out_when_it_is_confirmed() -> None:
    desk = desk_of(1, agents=(replace(POLICY.agents[0], role="admin"), *POLICY.agents[1:]))
    asked = order(desk, "agent add dora dora@acme.example\nclose ABC-1")
    assert (the(asked).row.kind, asked.held, asked.decision.admin) == ("rehearsal", "control", ())
    desk.now += CONFIRM_WITHIN
    late = desk.answer(the(asked), ANNA, "yes")
    assert (the(late).row.kind, late.decision.admin) == ("rehearsal", ())
    done = desk.answer(the(late), ANNA, "yes").decision
    assert [(c.verb, c.name) for c in done.admin] == [("add", "dora")]
    assert next(p.address for p in desk.all.persons if p.id == done.admin_by) == ANNA
    assert desk.ticket(1).status == "closed"


def test_persons_that_a_rehearsal_names_are_known_when_it_is_carried_out() -> None:
    """bug: the answer does not name them, so a known address would have become a second person."""
    desk = desk_of()
    desk.mail("Dan <dan@cust.example>", SUPPORT, "Hello.", subject="Dan's")
    asked = order(desk, "requester ABC-1 dan@cust.example\ncc ABC-2 + dan@cust.example", level=1)
    desk.answer(the(asked), ANNA, "yes")
    assert desk.roles(1)["dan@cust.example"] == "requester"
    desk.check()


def test_in_a_mailbox_the_control_address_lies_below_it() -> None:
    queue = replace(POLICY.queues[0], mailbox=Mailbox(name="box", subaddressing=True))
    relays = (*POLICY.relays, replace(POLICY.relays[0], name="box", networks=()))
    desk = desk_of(2, queues=(queue, *POLICY.queues[1:]), relays=relays, reply_domain="")
    fetched = {"channel": "imap", "relay": "box"}
    asked = desk.mail(ANNA, "support+control@acme.example", "close ABC-1", rcpts=(SUPPORT,), envelope=fetched)
    assert the(asked).row.kind == "rehearsal"
    assert the(asked).reply_to.startswith("support+t-")
    desk.answer(the(asked), ANNA, "yes", envelope=fetched)
    assert desk.ticket(1).status == "closed"


def test_a_control_mail_that_comes_twice_is_done_once() -> None:
    desk = desk_of()
    order(desk, "spent ABC-1 30m", message_id="<once@acme.example>")
    order(desk, "spent ABC-1 30m", message_id="<once@acme.example>")
    assert desk.ticket(1).spent_minutes == 30


# --- Nobody gets in -------------------------------------------------------------------------

LINES = st.sampled_from([
    "close ABC-1", "show ABC-1", "owner ABC-1 !", "merge ABC-1 ABC-2", "clone ABC-1 -1", "close -1", "yes", "", "#send", "ja",
    "undo 00000000000000000000000001", "requester ABC-1 eve@evil.example", "limit queue=support", "agent add eve eve@evil.example",
    "1 solved", "search fire", "tags ABC-2 + x", "cc ABC-1 + eve@evil.example", "spam ABC-1", "#close", "why ABC-1", "site ABC-1 Graz",
])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    mails=st.lists(st.tuples(
        st.sampled_from([EVE, ANN, ANNA, f"{ANNA}, {EVE}", f"anna <{EVE}>"]), st.lists(LINES, max_size=4), st.sampled_from(["", "copied"]),
    ), max_size=6),
)
def test_no_mails_of_strangers_or_in_an_agents_name_change_or_tell_anything(mails: list[tuple[str, list[str], str]]) -> None:
    """Without a relay that vouches, without a login, and without a reply address: level 0."""
    desk = desk_of(2)
    waiting = the(order(desk, "close ABC-1", level=1))
    before, sent = state(desk), len(desk.sent)
    for sender, lines, ids in mails:
        more = {"in_reply_to": f"<{waiting.mail.message_id}>"} if ids else {}
        desk.mail(sender, CONTROL, "\n".join(lines), envelope={"relay": None, "mail_from": EVE}, **more)
    assert state(desk) == before
    for mail in desk.sent[sent:]:
        assert mail.row.rcpt_to == ANNA
        assert mail.row.kind == "unproven_notice"
        assert "ABC-" not in strip_tokens(mail.text, REPLY_DOMAIN, "")


def test_the_notice_is_forgotten_after_an_hour() -> None:
    desk = desk_of(1)
    order(desk, "close ABC-1", level=0)
    desk.now += timedelta(hours=1)
    assert order(desk, "close ABC-1", level=0).kinds() == [("unproven_notice", ANNA)]


def test_a_search_beside_what_changes_is_asked_again() -> None:
    desk = desk_of(2)
    asked = order(desk, "close ABC-1\nsearch fire", level=1)
    assert "ask again in a mail of its own" in the(desk.answer(the(asked), ANNA, "yes")).text
    assert "this needs a sender proven at level 3; yours is 1" in the(asked).text


def test_an_unproven_mail_that_is_refused_is_dropped() -> None:
    desk = desk_of(1)
    notice = the(order(desk, "close ABC-1", level=0))
    assert "forgotten" in the(desk.answer(notice, ANNA, "no", envelope={"relay": None})).text
    assert [m.hold for m in desk.all.messages][-2:] == [None, None]
