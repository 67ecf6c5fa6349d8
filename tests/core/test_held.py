"""Mail that waits, and the word that lets it go: only who reads the agent's own mailbox can say it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.token import read_message_id
from tests.desk import ANN, ANNA, BERT, DAN, EVE, MINUTE, POLICY, SUPPORT, Desk, Outcome, Sent, opened

OUTSIDE = {"mail_from": EVE, "relay": None}
LATE = timedelta(minutes=16)


def notice(outcome: Outcome, to: str = ANNA) -> Sent:
    (one,) = [s for s in outcome.to(to) if s.row.kind in ("notice", "unproven_notice", "held_notice", "note_notice")]
    return one


def forged(text: str = "#solved\nAll is well, Ann.", *, desk: Desk | None = None, to: str = ANNA, **more: Any) -> tuple[Desk, Sent, Outcome]:
    """A mail in Anna's name that nothing proves, to her own reply address."""
    desk, first = opened(desk=desk)
    asked = notice(first, to)
    return desk, asked, desk.answer(asked, to, text, envelope=OUTSIDE, **more)


def confirm(desk: Desk, told: Sent, text: str = "#send", **more: Any) -> Outcome:
    return desk.answer(told, ANNA, text, envelope=OUTSIDE, **more)


def waiting(desk: Desk) -> list[str]:
    latest = {m.id: m for m in desk.all.messages}
    return [m.hold for m in latest.values() if m.hold is not None]


# --- The confirmation -----------------------------------------------------------------------


def test_a_held_answer_is_carried_out_once_its_writer_confirms_it():
    desk, _, out = forged()
    assert out.held == "unproven"
    assert out.kinds() == [("unproven_notice", ANNA)]
    assert "All is well" not in notice(out).text
    assert "#send" in notice(out).text
    done = confirm(desk, notice(out))
    assert [s.row.kind for s in done.to(ANN)] == ["reply"]
    assert "All is well" in done.to(ANN)[0].text
    assert desk.ticket(1).status == "solved"
    assert done.codes["released"].startswith("the mail held as unproven")
    assert waiting(desk) == []


def test_a_confirmation_counts_once():
    desk, _, out = forged()
    confirm(desk, notice(out))
    again = confirm(desk, notice(out), message_id="<again@acme.example>")
    assert again.held == "unproven"
    assert not again.to(ANN)


def test_a_confirmation_after_a_quarter_of_an_hour_gets_a_new_notice_which_counts():
    desk, _, out = forged()
    desk.now += LATE
    late = confirm(desk, notice(out))
    assert not late.to(ANN)
    assert "too late" in notice(late).text
    assert desk.ticket(1).status == "new"
    done = confirm(desk, notice(late), message_id="<second@acme.example>")
    assert "All is well" in done.to(ANN)[0].text


def test_a_dropped_mail_is_never_sent_and_waits_no_more():
    desk, _, out = forged()
    dropped = confirm(desk, notice(out), "#drop")
    assert not dropped.sent
    assert dropped.codes["dropped"]
    assert waiting(desk) == []
    assert not confirm(desk, notice(out), message_id="<again@acme.example>").to(ANN)


def test_a_held_note_is_a_note_when_it_is_released():
    desk, asked, out = forged("#note\nsecretword: he lies")
    assert out.held == "unproven_note"
    done = confirm(desk, notice(out))
    assert not done.to(ANN)
    assert "note" in done.events(1)


def test_an_answer_to_a_note_is_internal_when_it_is_released():
    desk, first = opened()
    noted = desk.answer(notice(first), ANNA, "#note\nWhat do you think?")
    to_bert = noted.to(BERT)[0]
    out = desk.answer(to_bert, BERT, "He lies.", envelope=OUTSIDE)
    assert out.held == "unproven_note"
    done = desk.answer(notice(out, BERT), BERT, "#send", envelope=OUTSIDE)
    assert not done.to(ANN)
    assert "note" in done.events(1)


WITHOUT_PROOF: dict[str, dict[str, Any]] = {
    "no id": {"in_reply_to": "", "references": ""},
    "the id among the references only": {"in_reply_to": "<x@y.example>"},
    "another's From": {"sender": BERT},
    "a stranger's From": {"sender": EVE},
    "another address": {"to": SUPPORT},
    "no word": {"text": "Yes, that was me."},
    "an absence notice": {"text": "I am away until Monday.\n\n#send"},
    "more words": {"text": "#send\n#solved"},
    "two words": {"text": "#send\n#drop"},
    "a wrong word": {"text": "#sned"},
}


@pytest.mark.parametrize("change", WITHOUT_PROOF.values(), ids=WITHOUT_PROOF.keys())
def test_whoever_cannot_read_the_mailbox_confirms_nothing(change: dict[str, Any]):
    desk, _, out = forged()
    told, fields = notice(out), {"sender": ANNA, "text": "#send", "envelope": OUTSIDE, **change}
    done = desk.receive(desk.reply(told, fields.pop("sender"), fields.pop("text"), **fields))
    assert not [s for s in done.to(ANN) if s.row.kind == "reply"]
    assert desk.ticket(1).status == "new"


def test_a_notice_about_one_mail_does_not_confirm_another():
    """The customer's notice has a signed id as well: it is no notice about held mail."""
    desk, asked, _ = forged()
    done = desk.answer(asked, ANNA, "#send", envelope=OUTSIDE)
    assert done.held == "unproven"
    assert not done.to(ANN)


@pytest.mark.parametrize(("text", "code"), [
    ("#sovled\nHello.", "commands"), ("", "empty"), ("Hello.\n#solved", "commands"),
    ("Hello.\n:: ABC-1 :: new, normal :: #take", "leftover"), ("#status broken\nHello.", "commands"),
])
def test_a_released_mail_must_pass_what_every_answer_must(text: str, code: str):
    desk, _, out = forged(text)
    done = confirm(desk, notice(out))
    assert done.held == code
    assert not done.to(ANN)
    assert desk.ticket(1).status == "new"


def test_a_released_answer_with_a_mail_attached_is_not_published():
    desk, first = opened()
    asked = notice(first)
    body = (
        "--B\nContent-Type: text/plain\n\nSee there.\n--B\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\n"
        "Subject: inner\n\nsecretword\n--B--"
    )
    out = desk.receive(desk.write(
        ANNA, asked.reply_to, body, subject=f"Re: {asked.mail.subject}", in_reply_to=f"<{asked.mail.message_id}>",
        mime_version="1.0", content_type='multipart/mixed; boundary="B"', envelope=OUTSIDE,
    ))
    done = confirm(desk, notice(out))
    assert done.held == "leftover"
    assert not done.to(ANN)


def test_a_colleague_answered_before_the_confirmation():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "From far away.", envelope=OUTSIDE)
    desk.answer(first.to(BERT)[0], BERT, "I did it.")
    done = confirm(desk, notice(out))
    assert done.held == "stale"


def test_a_light_agents_confirmation_does_no_more_than_she_may():
    light = tuple(replace(a, role="light") if a.login == "anna" else a for a in POLICY.agents)
    desk, _, out = forged("Hello Ann.", desk=Desk(policy=replace(POLICY, agents=light)))
    done = confirm(desk, notice(out))
    assert (done.held, done.to(ANN)) == (None, [])
    assert "note" in done.events(1)
    assert "note" in done.to(ANNA)[0].text, "she hears that her answer stayed inside"
    desk, _, out = forged("#solved", desk=Desk(policy=replace(POLICY, agents=light)))
    assert confirm(desk, notice(out)).held == "role"
    assert desk.ticket(1).status == "new"


def test_one_notice_an_hour_whoever_writes():
    desk, asked, first = forged()
    more = [desk.answer(asked, ANNA, f"Number {n}.", envelope=OUTSIDE) for n in range(5)]
    assert not [s for o in more for s in o.sent]
    assert [o.held for o in more] == ["unproven"] * 5
    desk.now += timedelta(hours=1)
    assert notice(desk.answer(asked, ANNA, "Number 6.", envelope=OUTSIDE))


@settings(deadline=None, max_examples=40)
@given(st.integers(min_value=0))
def test_no_id_with_one_bit_changed_is_ours(place: int):
    desk, _, out = forged()
    name = notice(out).mail.message_id
    assert name is not None
    octets = bytearray(name.encode())
    at = place % (8 * len(name.partition("@")[0]))
    octets[at // 8] ^= 1 << at % 8
    changed = octets.decode("latin-1")
    read = read_message_id(POLICY.keys, changed, POLICY.host)
    # Letters of either case are one id, since systems fold them.
    assert read is None or changed.lower() == name.lower()


def test_late_confirmations_are_answered_within_the_budget_of_the_ticket():
    """A robot that says #send for ever gets as many automatic mails as any other."""
    desk, _, out = forged()
    told = notice(out)
    for number in range(POLICY.budgets.automatic_per_ticket_hour + 3):
        desk.now += LATE
        late = confirm(desk, told, message_id=f"<late{number}@acme.example>")
        desk.now -= LATE - MINUTE
        if not late.sent:
            break
    else:
        pytest.fail("it never ends")


# --- Two looks at what cannot be undone -----------------------------------------------------


def test_a_merge_by_token_is_asked_about_and_by_login_done():
    desk, _ = opened()
    second = desk.mail(DAN, SUPPORT, "Mine too.", subject="Fire")
    out = desk.answer(notice(second), ANNA, "#merge ABC-1")
    assert out.held == "confirm"
    assert desk.ticket(2).status == "new"
    assert desk.answer(notice(out), ANNA, "#send").held is None
    assert desk.ticket(2).merged_into == 1
    third = desk.mail(EVE, SUPPORT, "Mine, too.", subject="Flood")
    assert desk.answer(notice(third), ANNA, "#merge ABC-1", envelope={"login": "anna"}).held is None
    assert desk.ticket(3).merged_into == 1


def test_a_merge_is_not_confirmed_by_less_than_a_proven_mail_nor_later():
    desk, _ = opened()
    second = desk.mail(DAN, SUPPORT, "Mine too.", subject="Fire")
    out = desk.answer(notice(second), ANNA, "#merge ABC-1")
    assert confirm(desk, notice(out)).held == "unproven"
    desk.now += LATE
    late = desk.answer(notice(out), ANNA, "#send", message_id="<late@acme.example>")
    assert "too late" in notice(late).text
    assert desk.ticket(2).merged_into is None
    desk.answer(notice(late), ANNA, "#send", message_id="<now@acme.example>")
    assert desk.ticket(2).merged_into == 1


# --- Input 27: replays ----------------------------------------------------------------------


def test_input_27_a_mail_of_yesterday_is_asked_about():
    desk, first = opened()
    yesterday = (desk.now - timedelta(hours=25)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    out = desk.answer(notice(first), ANNA, "#solved\nDone.", date=yesterday)
    assert out.held == "old"
    assert desk.ticket(1).status == "new"
    assert desk.answer(notice(out), ANNA, "#send").to(ANN)
    assert desk.ticket(1).status == "solved"


def test_a_mail_of_this_morning_is_not():
    desk, first = opened()
    today = (desk.now - timedelta(hours=23)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    assert desk.answer(notice(first), ANNA, "Done.", date=today).to(ANN)


@pytest.mark.parametrize("minutes", [0, 60 * 48])
def test_input_27_a_proven_mail_again_has_no_second_effect(minutes: int):
    """With its envelope, with a new one, to the reply address of another ticket."""
    desk, first = opened()
    second = desk.mail(DAN, SUPPORT, "Other matter.", subject="Other")
    once = desk.reply(notice(first), ANNA, "#solved\nDone.", message_id="<once@acme.example>")
    desk.receive(once)
    desk.now += minutes * MINUTE
    raw = desk.raws[once.spool_id]
    for rcpt, sender in ((notice(first).reply_to, ANNA), (notice(second).reply_to, ANNA), (notice(second).reply_to, EVE)):
        out = desk.receive(desk.spooled(raw, sender, rcpt))
        assert not [s for s in out.sent if s.row.kind == "reply"]
    assert desk.ticket(2).status == "new"
    assert len([e for e in desk.all.events if e.kind == "agent_reply"]) == 1
