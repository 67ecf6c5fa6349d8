"""Third parties: a question goes to them alone, what comes back stays inside, and the wait is written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.policy import Mailbox
from tests.desk import ANN, ANNA, BERT, DAN, EVE, POLICY, SUPPORT, Desk, Outcome, Sent, header, opened, with_policy

VENDOR = "help@supplier.example"
OTHER = "desk@parts.example"
LOGIN = {"channel": "submission", "relay": None, "login": "anna"}
SECRET = "the capacitor batch of March is faulty, QX-7731"


def asked(desk: Desk | None = None, words: str = "Does the X200 catch fire often?") -> tuple[Desk, Sent, Outcome]:
    """Anna has asked the vendor about Ann's ticket; her notice, and what followed."""
    desk, first = opened(desk=desk)
    notice = first.to(ANNA)[0]
    return desk, notice, desk.answer(notice, ANNA, f"#vendor {VENDOR}\n{words}")


def answered(**more: Any) -> tuple[Desk, Sent, Outcome]:
    """And the vendor has answered: the desk, Anna's first notice, and what followed."""
    desk, notice, question = asked()
    return desk, notice, desk.answer(question.to(VENDOR)[0], f"Sue <{VENDOR}>", f"Yes: {SECRET}", **more)


def seen_by_customers(desk: Desk) -> str:
    return "\n".join(s.raw.decode() + s.text for s in desk.everything_to(ANN, DAN))


def test_the_question_goes_to_the_vendor_alone():
    desk, _, done = asked()
    assert done.kinds() == [("vendor", VENDOR), ("vendor_notice", BERT)]
    mail = done.to(VENDOR)[0]
    assert mail.text.strip() == "Does the X200 catch fire often?"
    assert mail.mail.sender is not None
    assert mail.mail.sender.address == SUPPORT
    assert mail.reply_to.startswith("t-av")
    assert "fire" not in seen_by_customers(desk).replace("It is on fire", "")
    for name in ("list-id", "x-mailwicket-ticket", "auto-submitted"):
        assert not header(mail, name)
    assert ANN not in mail.raw.decode()
    ticket = desk.ticket(1)
    assert (ticket.status, desk.everything_to(VENDOR) is not None) == ("on_hold", True)
    assert [e for e in done.events(1)] == ["vendor_asked", "assignee", "status"]


def test_a_vendor_holds_no_proof_of_the_customers_thread():
    """bug: the pseudo-root in References would have made an answer the customer's."""
    _, _, done = asked()
    assert "References" not in dict(done.to(VENDOR)[0].mail.headers)
    assert done.to(VENDOR)[0].mail.references == ()


def test_words_behind_the_address_are_words():
    desk, first = opened()
    done = desk.answer(first.to(ANNA)[0], ANNA, f"#vendor {VENDOR} Is it the plug?\n#spent 5m\n\nSerial 4711.\n#receipt")
    assert done.held == "commands", "a command below the text is asked about, as in every answer"
    done = desk.answer(first.to(ANNA)[0], ANNA, f"#vendor {VENDOR} Is it the plug?\n#spent 5m\n#receipt\n\nSerial 4711.")
    assert done.to(VENDOR)[0].text.strip() == "Is it the plug?\n\nSerial 4711."
    assert desk.ticket(1).spent_minutes == 5
    assert "5m spent" in done.to(ANNA)[0].text


def test_the_answer_comes_to_the_agents_as_the_vendors():
    desk, _, back = answered()
    assert back.kinds() == [("vendor_notice", ANNA)]
    text = back.to(ANNA)[0].text
    assert text.startswith(f"Vendor: Sue <{VENDOR}> wrote. No customer sees this.")
    assert SECRET in text
    assert desk.ticket(1).status == "open"
    assert [(e.kind, e.is_public) for e in back.rows.events] == [("vendor_answered", False), ("status", False)]
    assert not back.rows.messages[0].is_public


def test_the_wait_is_in_the_events():
    desk, _, _ = answered()
    waits = [(e.kind, e.at) for e in desk.events(1) if e.kind.startswith("vendor")]
    assert [kind for kind, _ in waits] == ["vendor_asked", "vendor_answered"]
    assert waits[0][1] < waits[1][1]
    (person,) = {e.after for e in desk.events(1) if e.kind.startswith("vendor")}
    assert next(p.address for p in desk.all.persons if str(p.id) == person) == VENDOR


def test_an_agent_answers_the_vendor_by_replying():
    desk, _, back = answered(message_id="<v1@supplier.example>")
    again = desk.answer(back.to(ANNA)[0], ANNA, "Which batch exactly?")
    mail = again.to(VENDOR)[0]
    assert mail.text.strip() == "Which batch exactly?"
    assert mail.mail.in_reply_to == ("v1@supplier.example",)
    assert again.kinds() == [("vendor", VENDOR)]
    assert desk.ticket(1).status == "on_hold"


def test_in_answer_to_a_vendor_note_and_public_mean_what_they_say():
    desk, _, back = answered()
    notice = back.to(ANNA)[0]
    noted = desk.answer(notice, ANNA, "#note\nI doubt that.")
    assert (noted.events(1), noted.kinds()) == (["note"], [])
    told = desk.answer(notice, ANNA, "#public\nDear Ann, we change a part.")
    assert told.kinds() == [("reply", ANN)]
    assert "capacitor" not in told.to(ANN)[0].raw.decode()


def test_a_vendors_words_do_not_slip_into_an_answer():
    desk, notice, _ = answered()
    leak = desk.answer(notice, ANNA, f"Dear Ann, they say: {SECRET}")
    assert (leak.held, leak.kinds()) == ("leftover", [("held_notice", ANNA)])
    clean = desk.answer(notice, ANNA, "Dear Ann, it will be changed.")
    assert "capacitor" not in clean.to(ANN)[0].raw.decode()


def test_an_agents_note_does_not_slip_to_a_vendor():
    desk, notice, back = answered()
    desk.answer(notice, ANNA, "#note\nThis customer pays forty thousand a year.")
    leak = desk.answer(back.to(ANNA)[0], ANNA, "Hurry: This customer pays forty thousand a year.")
    assert leak.held == "leftover"
    own = desk.answer(back.to(ANNA)[0], ANNA, f"You said that {SECRET}. When?")
    assert own.to(VENDOR), "his own words are no secret to him"


@pytest.mark.parametrize("writer", [VENDOR, "robot@supplier.example", EVE, "bob@partner.example"])
@pytest.mark.parametrize(("subject", "ids"), [("", True), ("[#99] Your request", False), ("[#99] Your request", True)])
def test_whoever_writes_by_the_vendors_address_stays_inside(writer: str, subject: str, ids: bool):
    """Desks of vendors change From, subject and ids; the reply address is enough."""
    desk, _, question = asked()
    more: dict[str, Any] = {"subject": subject} if subject else {}
    if not ids:
        more |= {"in_reply_to": "", "references": ""}
    back = desk.answer(question.to(VENDOR)[0], writer, SECRET, **more)
    assert (back.kinds(), back.opened) == ([("vendor_notice", ANNA)], [])
    desk.answer(back.to(ANNA)[0], ANNA, "#public\nDear Ann, soon.")
    assert "capacitor" not in seen_by_customers(desk)


def test_who_uses_an_agents_address_in_the_thread_stays_inside():
    desk, _, back = answered()
    done = desk.answer(back.to(ANNA)[0], EVE, "Forwarded to me.")
    assert (done.kinds(), done.events(1)) == ([("vendor_notice", ANNA)], ["vendor_answered"])


def test_an_answer_by_message_id_alone_is_the_vendors():
    desk, _, question = asked()
    back = desk.answer(question.to(VENDOR)[0], VENDOR, SECRET, to=SUPPORT)
    assert back.kinds() == [("vendor_notice", ANNA)]


def test_a_vendor_who_names_the_number_only_opens_a_ticket():
    desk, _, _ = asked()
    done = desk.mail(VENDOR, SUPPORT, SECRET, subject="Re: [ABC-1] Printer broken")
    assert done.opened == [2]
    assert "capacitor" not in seen_by_customers(desk)


def test_a_second_copy_by_the_vendors_address_is_no_reply():
    """bug: the copy to the queue opened a ticket, and the other would have merged it into the customer's, in public."""
    desk, _, question = asked()
    same = {"subject": "Our answer", "message_id": "<v9@supplier.example>"}
    desk.mail(VENDOR, SUPPORT, SECRET, **same)
    done = desk.mail(VENDOR, question.to(VENDOR)[0].reply_to, SECRET, **same)
    assert "customer_reply" not in [e.kind for e in done.rows.events]
    assert desk.ticket(2).merged_into is None


@pytest.mark.parametrize(("headers", "kinds", "status"), [
    ({"auto_submitted": "auto-generated"}, [("vendor_notice", ANNA)], "on_hold"),
    ({"auto_submitted": "auto-replied"}, [], "on_hold"),
    ({}, [("vendor_notice", ANNA)], "open"),
])
def test_a_vendors_machine_moves_nothing(headers: dict[str, str], kinds: list[tuple[str, str]], status: str):
    desk, _, question = asked()
    back = desk.answer(question.to(VENDOR)[0], VENDOR, "We registered your request.", **headers)
    assert (back.kinds(), desk.ticket(1).status) == (kinds, status)


def test_a_status_of_ones_own_stays():
    desk, first = opened()
    desk.answer(first.to(ANNA)[0], ANNA, f"#vendor {VENDOR}\n#pending\n\nPlease look.")
    assert desk.ticket(1).status == "pending"


def test_who_writes_to_the_vendors_own_reply_address_writes_to_the_vendor():
    desk, _, question = asked()
    login = {"channel": "submission", "relay": None, "login": "anna"}
    done = desk.answer(question.to(VENDOR)[0], ANNA, "One more thing.", envelope=login)
    assert done.kinds() == [("vendor", VENDOR)]
    held = desk.mail(ANNA, question.to(VENDOR)[0].reply_to, "And this.", subject="Re: [ABC-1] Printer broken", envelope=login)
    assert held.kinds() == [("vendor", VENDOR)], "the ticket has one vendor only"


def test_what_is_solved_is_not_opened_by_a_vendor():
    desk, notice, question = asked()
    desk.answer(notice, ANNA, "#solved")
    desk.answer(question.to(VENDOR)[0], VENDOR, "Too late?")
    assert desk.ticket(1).status == "solved"


def test_after_a_merge_the_thread_goes_on():
    desk, notice, question = asked()
    desk.mail(f"Ann <{ANN}>", SUPPORT, "Again.", subject="Second")
    desk.answer(notice, ANNA, "#merge ABC-2", envelope=LOGIN)
    back = desk.answer(question.to(VENDOR)[0], VENDOR, SECRET)
    assert {k for k, _ in back.kinds()} == {"vendor_notice"}
    assert [e.ticket for e in back.rows.events if e.kind == "vendor_answered"] == [2]
    sent = desk.answer(back.sent[0], back.sent[0].row.rcpt_to, "Thank you.")
    assert sent.to(VENDOR)


def test_two_vendors_are_two_threads():
    desk, notice, question = asked()
    other = desk.answer(notice, ANNA, f"#vendor {OTHER}\nHave you a plug?")
    back = desk.answer(other.to(OTHER)[0], OTHER, "Blue ones.")
    again = desk.answer(back.to(ANNA)[0], ANNA, "Two, please.")
    assert ("vendor", OTHER) in again.kinds()
    assert ("vendor", VENDOR) not in again.kinds()
    unclear = desk.answer(back.to(ANNA)[0], ANNA, "Two, please.", in_reply_to="", references="")
    assert unclear.events(1) == ["note"], "without its ids nobody can say whose it is: it stays inside"
    assert desk.answer(question.to(VENDOR)[0], VENDOR, "Hm.").kinds() == [("vendor_notice", ANNA)]


@pytest.mark.parametrize(("text", "held"), [
    (f"#vendor {VENDOR}", "empty"),
    (f"#vendor {VENDOR}\n#sovled\n\nHello.", "commands"),
    (f"#vendor {VENDOR}\n#assign ghost\n\nHello.", "commands"),
    (f"#vendor {SUPPORT}\nHello.", "commands"),
    (f"#vendor {BERT}\nHello.", "commands"),
    (f"#vendor {ANN}\nHello.", "commands"),
    ("#vendor nobody\nHello.", "commands"),
    (f"#vendor {VENDOR}\nHello,\n#solved\nbye", "commands"),
    (f"#vendor {VENDOR}\n#public\nHello.", "commands"),
    (f"#vendor {VENDOR}\n#note\nHello.", "commands"),
    (f"#vendor {VENDOR}\n:: ABC-1 :: open, normal :: #solved #note #help", "leftover"),
])
def test_what_cannot_go_out_is_held_whole(text: str, held: str):
    desk, first = opened()
    done = desk.answer(first.to(ANNA)[0], ANNA, text)
    assert (done.held, done.kinds()) == (held, [("held_notice", ANNA)])
    assert desk.ticket(1).status == "new"
    released = desk.answer(done.to(ANNA)[0], ANNA, "#send")
    assert {k for k, _ in released.kinds()} <= {"held_notice"}, "released, it would not be the vendor's"


def test_only_a_proven_agent_writes_to_vendors():
    desk, first = opened()
    done = desk.answer(first.to(ANNA)[0], ANNA, f"#vendor {EVE}\nAll secrets.", envelope={"relay": None})
    assert (done.held, done.to(EVE)) == ("unproven", [])
    agents = (replace(POLICY.agents[0], role="light"), *POLICY.agents[1:])
    desk, first = opened(desk=with_policy(agents=agents))
    assert desk.answer(first.to(ANNA)[0], ANNA, f"#vendor {VENDOR}\nHello.").held == "role"
    desk, first = opened()
    stray = desk.answer(first.to(ANNA)[0], ANNA, f"#vendor {VENDOR}\nHello.", subject="New", in_reply_to="", references="")
    assert stray.held == "question_note"


def test_dryrun_does_not_ask_anybody():
    desk, first = opened()
    done = desk.answer(first.to(ANNA)[0], ANNA, f"#dryrun\n#vendor {VENDOR}\nHello.")
    assert [k for k, _ in done.kinds()] == ["result"]


def test_a_vendor_who_cannot_be_reached_is_told():
    desk, _, question = asked()
    done = desk.give_up(question.to(VENDOR)[0], "550 5.1.1 unknown")
    assert done.kinds() == [("undelivered", ANNA)]


def test_through_a_mailbox_the_thread_holds_too():
    queue = replace(POLICY.queues[0], mailbox=Mailbox(name="box"))
    relays = (*POLICY.relays, replace(POLICY.relays[0], name="box", networks=()))
    desk = with_policy(queues=(queue, *POLICY.queues[1:]), relays=relays, reply_domain="")
    fetched = {"channel": "imap", "relay": "box"}
    first = desk.mail(f"Ann <{ANN}>", SUPPORT, "It is on fire.", envelope=fetched)
    done = desk.answer(first.to(ANNA)[0], ANNA, f"#vendor {VENDOR}\nOften?", envelope=fetched)
    back = desk.answer(done.to(VENDOR)[0], VENDOR, SECRET, envelope=fetched)
    assert back.kinds() == [("vendor_notice", ANNA)]
    again = desk.answer(back.to(ANNA)[0], ANNA, "Which?", envelope=fetched)
    assert again.kinds() == [("vendor", VENDOR)]


STEPS = st.lists(st.sampled_from([
    "vendor", "vendor no ids", "vendor to queue", "reply", "note", "public", "customer", "answer", "merge", "vendor cc",
]), max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_course_of_things_shows_a_customer_what_a_vendor_wrote(steps: list[str]):
    """The taint test: everything the vendor writes carries a mark, and no mail to a customer's side has it."""
    desk, notice, question = asked(words="OURS-TO-THEM, please look into the matter of today.")
    back = question.to(VENDOR)[0]
    heard = notice
    for count, step in enumerate(steps, start=1):
        words = f"MARK-{count} says the vendor, and that is a long enough line to be known."
        if step.startswith("vendor"):
            more = {"in_reply_to": "", "references": "", "subject": f"Case {count}"} if step == "vendor no ids" else {}
            more |= {"to": SUPPORT} if step == "vendor to queue" else {"cc": ANN} if step == "vendor cc" else {}
            found = desk.answer(back, VENDOR, words, **more).to(ANNA)
            heard = found[0] if found else heard
        elif step in ("reply", "note", "public"):
            lead = "" if step == "reply" else f"#{step}\n"
            desk.answer(heard, ANNA, f"{lead}Anna writes number {count}.")
        elif step == "answer":
            desk.answer(notice, ANNA, f"Dear Ann, answer {count}.")
        elif step == "customer":
            ours = [s for s in desk.everything_to(ANN)]
            desk.answer(ours[-1], ANN, f"Customer again {count}.")
        elif count == 1:
            desk.mail(f"Ann <{ANN}>", SUPPORT, "Other.", subject="Second")
            desk.answer(notice, ANNA, "#merge ABC-2", envelope=LOGIN)
    assert "MARK-" not in seen_by_customers(desk)
    assert "OURS-TO-THEM" not in seen_by_customers(desk)
    assert VENDOR not in seen_by_customers(desk)
