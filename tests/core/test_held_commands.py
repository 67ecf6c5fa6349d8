"""Commands of mail that waits: what needs a second word, and what of a waiting mail is done when the word comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.core.policy import Macro
from tests.core.test_desk_by_mail import desk, said, values
from tests.desk import ANN, ANNA, BERT, DAN, EVE, POLICY, SUPPORT, Desk, Outcome, Sent, opened, with_policy

OUTSIDE = {"mail_from": EVE, "relay": None}
LOGIN = {"login": "anna"}
DOOR = {"channel": "submission", "login": "anna", "relay": None}


def told(outcome: Outcome, to: str = ANNA) -> Sent:
    (one,) = [s for s in outcome.to(to) if s.row.kind in ("held_notice", "unproven_notice")]
    return one


def stale(text: str, **more: str) -> tuple[Desk, Outcome]:
    """Anna's answer, after Bert's."""
    own, notice = desk()
    own.answer(next(s for s in own.sent if s.row.rcpt_to == BERT), BERT, "I am on it.")
    out = own.answer(notice, ANNA, text, **more)
    assert out.held == "stale"
    return own, out


@pytest.mark.parametrize("line", [f"#requester {DAN}", "#fwd", "#split Other", "#merge ABC-2"])
def test_what_needs_level_4_is_confirmed_at_level_3_and_done(line: str):
    own, _ = desk()
    text = f"See below\n\n-------- Forwarded Message --------\nSubject: Broken\nDate: Mon, 23 Nov 2026 08:00:00 +0100\nFrom: Dan Doe <{DAN}>\nTo: {EVE}\n\nIt smokes.\n"
    second = own.mail(EVE, SUPPORT, text, subject="Smoke")
    third = own.mail(EVE, SUPPORT, text, subject="Smoke again")
    assert second.opened == [2]
    before = own.ticket(3)
    out = own.answer(third.to(ANNA)[0], ANNA, f"#tag +seen\n{line}")
    assert out.held == "confirm"
    after = own.ticket(3)
    assert (after.tags, after.requester, after.merged_into, set(own.tickets)) == ("", before.requester, None, {1, 2, 3})
    done = own.answer(told(out), ANNA, "#send")
    assert done.held is None, told(done).text
    address = {p.id: p.address for p in own.all.persons}
    state = own.ticket(3)
    if line == "#split Other":
        assert own.ticket(4).tags == "seen"
    elif line == "#merge ABC-2":
        assert state.merged_into == 2
    else:
        assert (address[state.requester or 0], state.tags) == (DAN, "seen")


def test_merge_written_before_another_command_is_refused_at_once_not_asked_about():
    own, _ = desk()
    second = own.mail(DAN, SUPPORT, "x", subject="Other")
    out = own.answer(second.to(ANNA)[0], ANNA, "#merge ABC-1\n#solved")
    assert out.held == "commands"
    assert "write #merge last" in " ".join(told(out).text.split())


def test_a_macro_that_needs_level_4_is_asked_about():
    own, first = opened(desk=with_policy(macros=(Macro(name="dan", text="Hello {customer}.", then=(f"#requester {DAN}",)),)))
    out = own.answer(first.to(ANNA)[0], ANNA, "#macro dan")
    assert (out.held, out.to(ANN)) == ("confirm", [])
    done = own.answer(told(out), ANNA, "#send")
    assert "Hello Ann Ames." in done.to(ANN)[0].text
    assert own.roles(1)[DAN] == "requester"


def test_an_unproven_merge_is_not_done_by_the_word_that_counts_as_level_3():
    own, _ = desk()
    second = own.mail(DAN, SUPPORT, "Mine too.", subject="Fire")
    out = own.answer(second.to(ANNA)[0], ANNA, "#merge ABC-1", envelope=OUTSIDE)
    assert out.held == "unproven"
    done = own.answer(told(out), ANNA, "#send", envelope=OUTSIDE)
    assert done.held == "commands"
    assert "level 4" in told(done).text
    assert own.ticket(2).merged_into is None


@pytest.mark.parametrize("line", ["#show", "#search printer", "#why"])
def test_history_is_not_read_by_an_unproven_mail_that_is_confirmed(line: str):
    own, notice = desk()
    out = own.answer(notice, ANNA, line, envelope=OUTSIDE)
    done = own.answer(told(out), ANNA, "#send", envelope=OUTSIDE)
    assert done.held == "commands"
    assert "It is on fire" not in "".join(s.text for s in done.sent)


def test_a_rehearsal_that_waited_is_not_meant():
    own, notice = desk()
    out = own.answer(notice, ANNA, "#dryrun\n#solved\nDone.", envelope=OUTSIDE)
    done = own.answer(told(out), ANNA, "#send", envelope=OUTSIDE)
    assert (done.held, done.to(ANN), own.ticket(1).status) == ("commands", [], "new")


def test_what_stands_beside_send_is_not_confirmed_by_it():
    own, out = stale("Hello Ann.")
    own.mail(DAN, SUPPORT, "x", subject="Other")
    done = own.answer(told(out), ANNA, "#send\n#merge ABC-2")
    assert (done.held, done.to(ANN), own.ticket(1).merged_into) == ("commands", [], None)
    done = own.answer(told(out), ANNA, "#send\n#solved\n#receipt", message_id="<two@acme.example>")
    assert "Hello Ann." in done.to(ANN)[0].text
    assert "solved" in said(done), "the receipt"
    assert own.ticket(1).status == "solved"


def test_a_held_mail_sets_fields_and_answers_questions_when_it_is_released():
    own, out = stale("#site berlin\n#show\nHello Ann.")
    done = own.answer(told(out), ANNA, "#send")
    assert done.to(ANN)
    assert values(own) == {"site": "Berlin"}
    assert "It is on fire." in said(done)


def test_a_subjects_suffix_is_carried_out_when_the_mail_is_released():
    own, out = stale("Hello Ann.", subject="Re: [ABC-1] Printer broken [solved]")
    assert own.answer(told(out), ANNA, "#send").to(ANN)
    assert own.ticket(1).status == "solved"
    own, notice = desk()
    unproven = own.answer(notice, ANNA, "Hello Ann.", subject="Re: [ABC-1] Printer broken [solved]", envelope=OUTSIDE)
    assert own.answer(told(unproven), ANNA, "#send", envelope=OUTSIDE).to(ANN)
    assert own.ticket(1).status == "open", "a subject orders at level 3 only (ruling 8)"


def test_a_send_that_waited_itself_says_that_it_did_nothing():
    own, out = stale("Hello Ann.")
    late = (own.now - timedelta(hours=25)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    old = own.answer(told(out), ANNA, "#send", date=late)
    assert old.held == "old"
    done = own.answer(told(old), ANNA, "#send")
    assert (done.held, done.to(ANN)) == ("commands", [])
    assert own.answer(told(out), ANNA, "#send", message_id="<now@acme.example>").to(ANN), "the first mail still waits"


def test_a_late_word_does_not_merge_whatever_the_mail_was_held_for():
    own, notice = desk()
    own.mail(DAN, SUPPORT, "x", subject="Other")
    old = (own.now - timedelta(hours=25)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    out = own.answer(notice, ANNA, "#merge ABC-2", date=old)
    assert out.held == "old"
    own.now += timedelta(minutes=16)
    late = own.answer(told(out), ANNA, "#send")
    assert own.ticket(1).merged_into is None
    own.answer(told(late), ANNA, "#send", message_id="<now@acme.example>")
    assert own.ticket(1).merged_into == 2


def test_a_light_agent_lets_his_own_note_go():
    light = tuple(replace(a, role="light") if a.login == "anna" else a for a in POLICY.agents)
    own, first = opened(desk=Desk(policy=replace(POLICY, agents=light)))
    old = (own.now - timedelta(hours=25)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    out = own.answer(first.to(ANNA)[0], ANNA, "#note\nI know him.", date=old)
    assert out.held == "old_note"
    done = own.answer(told(out), ANNA, "#send")
    assert (done.held, "note" in done.events(1), done.to(ANN)) == (None, True, [])


# --- The agents' own door -------------------------------------------------------------------


def wrote(own: Desk, text: str) -> Outcome:
    return own.mail(f"Anna <{ANNA}>", ANN, text, envelope=DOOR)


def test_a_rehearsed_first_mail_goes_to_nobody():
    own = Desk()
    out = wrote(own, "#dryrun\n#pending\nYour printer is ready.")
    assert (out.to(ANN), out.opened, out.held) == ([], [], None)
    assert f"public answer to: {ANN}" in said(out)


def test_a_first_mail_may_be_a_macro():
    own = with_policy(macros=(Macro(name="hi", text="Hello, this is {agent}.", then=("#pending",)),))
    out = wrote(own, "#macro hi")
    assert "Hello, this is Anna Ek." in out.to(ANN)[0].text
    assert own.ticket(1).status == "pending"
    assert (wrote(own, "#macro nope\nHello.").held, len(own.tickets)) == ("commands", 1)


@pytest.mark.parametrize("line", ["#split", "#send", "#drop", "#undo"])
def test_a_first_mail_has_nothing_that_these_are_about(line: str):
    own = Desk()
    out = wrote(own, f"{line}\nHello.")
    assert (out.held, out.to(ANN), out.opened) == ("commands", [], [])


def test_a_light_agent_is_told_why_nobody_outside_was_written_to():
    light = tuple(replace(a, role="light") if a.login == "anna" else a for a in POLICY.agents)
    out = wrote(Desk(policy=replace(POLICY, agents=light)), "Hello.")
    assert out.held == "role"
    assert "mail to people outside" in told(out).text
