"""What a role means on a real ticket: who may answer, who only notes, from whom a queue is hidden, and who has left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.context import Context
from gateway.core.model import Token
from gateway.core.policy import Agent, Organisation
from gateway.core.proof import is_dead
from tests.desk import (
    ANN,
    ANNA,
    BERT,
    BILLING,
    CARO,
    DAN,
    EVE,
    POLICY,
    SUPPORT,
    Desk,
    Outcome,
    Sent,
    opened,
    with_policy,
)

SECRET = "the customer shall not read this"


def anna_as(**fields: Any) -> Desk:
    """A desk where Anna has had a notice of ABC-1 as an agent, and is now something else."""
    desk, first = opened()
    desk.notice = first.to(ANNA)[0]     # type: ignore[attr-defined]
    others = tuple(a for a in POLICY.agents if a.login != "anna")
    anna = () if fields.get("gone") else (replace(POLICY.agents[0], **fields),)
    desk.policy = replace(POLICY, agents=(*others, *anna))
    return desk


ROLES: dict[str, dict[str, Any]] = {
    "light": {"role": "light"},
    "light here": {"role": "lead", "roles": (("support", "light"),)},
    "agent": {"role": "agent"},
    "agent here": {"role": "light", "roles": (("support", "agent"),)},
    "lead": {"role": "lead"},
    "admin": {"role": "admin", "elsewhere": False},
    "hidden": {"roles": (("support", "none"),)},
    "elsewhere": {"roles": (("billing", "lead"),), "elsewhere": False},
    "gone": {"gone": True},
}
ACTIONS = {
    "answer": SECRET, "note": f"#note\n\n{SECRET}", "public": f"#public\n\n{SECRET}", "solve": f"#solved\n\n{SECRET}", "take": "#take",
    "why": "#why", "help": "#help",
}
# What becomes of the action: sent to the customer, noted, done without words, held, or a stranger's new ticket.
MAY_ANSWER = {"answer": "sent", "note": "noted", "public": "sent", "solve": "sent", "take": "done", "why": "done", "help": "done"}
EXPECTED = {
    **dict.fromkeys(("agent", "agent here", "lead", "admin"), MAY_ANSWER),
    **dict.fromkeys(("light", "light here"), {
        "answer": "noted", "note": "noted", "public": "held", "solve": "held", "take": "held", "why": "done", "help": "done",
    }),
    **dict.fromkeys(("hidden", "elsewhere", "gone"), dict.fromkeys(ACTIONS, "stranger")),
}


def effect(desk: Desk, out: Outcome) -> str:
    kinds = {e.kind for e in out.rows.events if e.ticket == 1}
    if out.opened:
        assert kinds == set()
        return "stranger"
    if out.held:
        return f"held{'' if out.held == 'role' else f' ({out.held})'}"
    if "agent_reply" in kinds:
        assert out.to(ANN)
        return "sent"
    assert not out.to(ANN)
    return "noted" if "note" in kinds else "done"


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("role", ROLES)
def test_role_and_action(role: str, action: str) -> None:
    desk = anna_as(**ROLES[role])
    out = desk.answer(desk.notice, ANNA, ACTIONS[action])     # type: ignore[attr-defined]
    assert effect(desk, out) == EXPECTED[role][action]
    if EXPECTED[role][action] != "sent":
        assert not [s for s in desk.everything_to(ANN) if SECRET in s.text]
        assert desk.ticket(1).status == "new"


def test_a_light_agent_is_told_that_the_answer_stayed_inside_and_colleagues_read_it() -> None:
    desk = anna_as(role="light")
    out = desk.answer(desk.notice, ANNA, SECRET)     # type: ignore[attr-defined]
    assert out.kinds() == [("note_notice", BERT), ("result", ANNA)]
    assert "kept as an internal note" in out.to(ANNA)[0].text
    assert SECRET in out.to(BERT)[0].text
    assert desk.ticket(1).assignee is None, "a note takes no ticket"
    asked = desk.answer(desk.notice, ANNA, f"#note\n\n{SECRET} again")     # type: ignore[attr-defined]
    assert ("result", ANNA) not in asked.kinds(), "who asked for a note needs no word"


def test_a_light_agents_robot_is_not_answered_for_ever() -> None:
    desk = anna_as(role="light")
    told = [
        len(desk.answer(desk.notice, ANNA, f"Answer number {n}, as it were.").to(ANNA))     # type: ignore[attr-defined]
        for n in range(POLICY.budgets.automatic_per_ticket_hour + 3)
    ]
    assert told[0] == 1
    assert told[-1] == 0


def test_a_refused_role_names_command_and_role_in_both_languages() -> None:
    for language, words in (("en", "for agents"), ("de", "für Agenten")):
        desk = anna_as(role="light", language=language)
        out = desk.answer(desk.notice, ANNA, "#solved\n#note\n\nx")     # type: ignore[attr-defined]
        (mail,) = out.to(ANNA)
        assert "> #solved" in mail.text
        assert words in mail.text
        assert "> #note" not in mail.text


# --- Queues that are hidden -------------------------------------------------------------------

HIDDEN = {"agents": tuple(replace(a, elsewhere=False, roles=(("support", "agent"),)) if a.login == "anna" else a for a in POLICY.agents)}


def test_nobody_is_told_of_a_queue_that_is_hidden_from_him() -> None:
    queues = tuple(replace(q, agents=("anna", "bert", "caro")) for q in POLICY.queues)
    out = with_policy(**HIDDEN, queues=queues).mail(ANN, BILLING, "My bill.")
    assert [s.row.rcpt_to for s in out.sent if s.row.kind == "notice"] == [BERT, CARO]


def test_who_loses_sight_hears_no_more_of_the_ticket_in_his_hands() -> None:
    desk, first = opened()
    desk.answer(first.to(ANNA)[0], ANNA, "#take")
    desk.policy = replace(POLICY, agents=(replace(POLICY.agents[0], roles=(("support", "none"),)), *POLICY.agents[1:]))
    out = desk.mail(ANN, SUPPORT, "And now?", subject="Re: [ABC-1] Printer broken", in_reply_to="<m1@cust.example>")
    assert [s.row.rcpt_to for s in out.sent] == [BERT]


def test_a_ticket_goes_only_to_who_sees_it_and_may_answer() -> None:
    light = replace(POLICY.agents[1], role="light")
    desk = with_policy(agents=(POLICY.agents[0], light, replace(POLICY.agents[2], elsewhere=False)))
    _, first = opened(desk=desk)
    for login in ("bert", "caro", CARO):
        out = desk.answer(first.to(ANNA)[0], ANNA, f"#assign {login}")
        assert out.held == "commands"
        assert "agents are anna, or me, or none" in " ".join(out.to(ANNA)[0].text.split())


def test_a_hidden_ticket_is_no_ticket_to_merge_into() -> None:
    """The words are those of a number that does not exist: no oracle."""
    desk = with_policy(**HIDDEN)
    desk.mail(DAN, BILLING, "Secret bill.", subject="Bill")
    first = desk.mail(ANN, SUPPORT, "Hello.")
    hidden, unknown = (desk.answer(first.to(ANNA)[0], ANNA, f"#merge {n}").to(ANNA)[0].text for n in ("ABC-1", "ABC-9"))
    assert hidden.replace("ABC-1", "ABC-9").splitlines() == unknown.splitlines()


def test_an_agent_is_a_stranger_in_a_hidden_queue_and_may_write_to_it_like_anybody() -> None:
    desk = with_policy(**HIDDEN)
    desk.mail(DAN, BILLING, "Secret bill.", subject="Bill")
    out = desk.mail(ANNA, BILLING, "#solved", subject="Re: [ABC-1] Bill")
    assert out.opened == [2]
    assert desk.ticket(1).status == "new"
    own = desk.mail(ANNA, BILLING, "And?", subject="Re: [ABC-2] Bill")
    assert own.decision.disposition == "apply"
    assert own.events(2) == ["customer_reply"], "on her own ticket she is the customer"


def test_reports_of_a_lost_answer_go_to_who_sees_the_queue() -> None:
    desk, first = opened()
    sent = desk.answer(first.to(ANNA)[0], ANNA, "Have you tried water?").to(ANN)[0]
    desk.policy = replace(POLICY, agents=(replace(POLICY.agents[0], roles=(("support", "none"),)), *POLICY.agents[1:]))
    out = desk.give_up(sent, "550 5.1.1 no such user")
    assert out.kinds() == [("undelivered", BERT)]


# --- Who has left -----------------------------------------------------------------------------

ZOE = "zoe@acme.example"


def left() -> tuple[Desk, dict[str, Sent]]:
    """Zoe was an agent of both queues; she has a notice, a held notice, a result and the copy of a note."""
    desk = Desk()
    desk.admin(f"agent add zoe {ZOE} queues=support,billing")
    first = desk.mail(ANN, BILLING, "My bill.", subject="Bill")
    mails = {"notice": first.to(ZOE)[0]}
    mails["held"] = desk.answer(mails["notice"], ZOE, "#sovled").to(ZOE)[0]
    mails["result"] = desk.answer(mails["notice"], ZOE, "#help").to(ZOE)[0]
    mails["note"] = desk.answer(first.to(CARO)[0], CARO, "#note\n\nShe never pays.").to(ZOE)[0]
    desk.admin("agent leave zoe")
    return desk, mails


@pytest.mark.parametrize("text", ["#solved\n\nBye.", "#note\n\nBye.", "Bye.", "#why", "#take"])
@pytest.mark.parametrize("way", ["address", "id only", "subject only", "l4"])
@pytest.mark.parametrize("which", ["notice", "held", "result", "note"])
def test_a_departed_agents_reply_addresses_and_ids_are_dead(which: str, way: str, text: str) -> None:
    desk, mails = left()
    before = (desk.ticket(1), desk.events(1))
    more: dict[str, Any] = {
        "address": {}, "id only": {"to": BILLING, "subject": "Hello"}, "subject only": {"to": BILLING, "in_reply_to": "", "references": ""},
        "l4": {"envelope": {"login": "zoe", "channel": "submission"}},
    }[way]
    out = desk.answer(mails[which], ZOE, text, **more)
    assert out.opened == [2], out.codes
    assert (desk.ticket(1), desk.events(1)) == before
    assert desk.ticket(2).queue == "billing", "the text goes to the queue of the ticket"
    assert [s for s in out.sent if s.row.rcpt_to == ANN] == []
    assert {k for k, to in out.kinds() if to == ZOE} <= {"ack"}, "and she is a customer"


def test_a_departed_agents_dead_address_is_named_to_the_queue() -> None:
    desk, mails = left()
    out = desk.answer(mails["notice"], ZOE, "Bye.", subject="Something else", in_reply_to="", references="")
    assert "no agent there any more" in out.codes["thread"]
    assert [e.after for e in desk.events(2) if e.kind == "linked"] == ["1"]
    assert "ABC-1" in out.to(CARO)[0].text


def test_a_customers_addresses_of_the_same_person_live_on() -> None:
    """Zoe had a ticket of her own; it stays hers when she leaves the desk."""
    desk = with_policy(reply_to_token=True)
    desk.admin(f"agent add zoe {ZOE} queues=billing")
    first = desk.mail(ZOE, SUPPORT, "My chair is broken.")
    answer = desk.answer(first.to(ANNA)[0], ANNA, "Which one?").to(ZOE)[0]
    desk.admin("agent leave zoe")
    out = desk.answer(answer, ZOE, "The red one.")
    assert out.events(1) == ["customer_reply", "status"] or out.events(1) == ["customer_reply"]


def test_who_comes_back_with_the_same_address_is_known_again() -> None:
    desk, mails = left()
    desk.admin(f"agent add zoe {ZOE} queues=billing")
    out = desk.answer(mails["notice"], ZOE, "I am back.")
    assert out.kinds()[-1][0] == "reply" or ("reply", ANN) in out.kinds()


def test_a_token_of_the_other_way_dies_too() -> None:
    """Through a mailbox our signed id in In-Reply-To counts as a reply address."""
    desk, mails = left()
    spooled = desk.reply(mails["notice"], ZOE, "#solved", to=BILLING, envelope={"channel": "imap"})
    assert desk.receive(spooled).opened == [2]


# --- Shared tickets ----------------------------------------------------------------------------

CUST = Organisation(name="Cust", domains=("cust.example",), shared=True)
PARTNER = {"relay": "partner"}
NOBODY = {"relay": None}


def shared(*, on: bool = True) -> tuple[Desk, Outcome]:
    desk = with_policy(organisations=(replace(CUST, shared=on),))
    return opened(desk=desk, envelope=PARTNER)


def by_subject(desk: Desk, sender: str, envelope: dict[str, Any], **more: Any) -> Outcome:
    return desk.mail(sender, SUPPORT, "Me too.", subject="Re: [ABC-1] Printer broken", envelope=dict(envelope), **more)


def test_a_proven_colleague_adds_to_a_shared_ticket_and_takes_part_from_then_on() -> None:
    desk, _ = shared()
    out = by_subject(desk, DAN, PARTNER)
    assert out.events(1) == ["customer_reply", "participant_added"]
    assert "is a colleague of its requester" in out.codes["thread"]
    assert desk.roles(1)[DAN] == "cc"
    answer = desk.answer(out.to(ANNA)[0], ANNA, "We look at it.")
    assert {ANN, DAN} <= {s.row.rcpt_to for s in answer.sent}


def test_a_proven_colleague_with_anns_reply_address_is_one_and_reopens() -> None:
    desk = with_policy(organisations=(CUST,), reply_to_token=True)
    _, first = opened(desk=desk, envelope=PARTNER)
    answer = desk.answer(first.to(ANNA)[0], ANNA, "#pending\n\nWhich printer?").to(ANN)[0]
    out = desk.answer(answer, DAN, "The red one.", envelope=PARTNER)
    assert desk.roles(1)[DAN] == "cc"
    assert desk.ticket(1).status == "open"
    assert out.decision.reasons[1].detail.startswith("level 1: the reply address was made for ann@cust.example, a colleague")


@pytest.mark.parametrize(("sender", "envelope", "on"), [
    pytest.param(DAN, NOBODY, True, id="spoofed domain at L0"),
    pytest.param(DAN, {"relay": "mta"}, True, id="a relay that does not vouch for it"),
    pytest.param(DAN, {**PARTNER, "mail_from": EVE}, True, id="another envelope sender"),
    pytest.param(DAN, PARTNER, False, id="sharing is off"),
    pytest.param("dan@evil.cust.example", PARTNER, True, id="a domain below it"),
    pytest.param("dan@xcust.example", PARTNER, True, id="a domain that ends like it"),
    pytest.param(f"{DAN} <{EVE}>", PARTNER, True, id="the address as a name"),
    pytest.param(f"{DAN}, {EVE}", PARTNER, True, id="two mailboxes"),
])
def test_nobody_else_gets_into_a_shared_ticket(sender: str, envelope: dict[str, Any], on: bool) -> None:
    desk, _ = shared(on=on)
    before = desk.events(1)
    out = by_subject(desk, sender, envelope, cc=EVE)
    assert out.opened == [2]
    assert desk.events(1) == before
    assert set(desk.roles(1)) == {ANN}
    assert "Printer" not in "".join(s.text for s in desk.everything_to(EVE))
    assert "on fire" not in "".join(s.text for s in desk.everything_to(DAN, EVE))


def test_an_unproven_colleague_with_anns_reply_address_stays_an_unknown_holder() -> None:
    desk = with_policy(organisations=(CUST,), reply_to_token=True)
    _, first = opened(desk=desk, envelope=PARTNER)
    answer = desk.answer(first.to(ANNA)[0], ANNA, "#pending\n\nWhich printer?").to(ANN)[0]
    desk.answer(answer, DAN, "The red one.", envelope=NOBODY)
    assert desk.roles(1)[DAN] == "holder"
    assert desk.ticket(1).status == "pending"


def test_a_reference_that_we_never_saw_is_no_way_in() -> None:
    """Eve writes with a made-up reference; a colleague who answers a mail with the same one is not drawn in."""
    desk = with_policy(organisations=(CUST,))
    desk.mail(ANN, SUPPORT, "Hi.", references="<bait@evil.example>", envelope=PARTNER)
    out = desk.mail(DAN, SUPPORT, "Other matter.", subject="Else", references="<bait@evil.example>", envelope=dict(PARTNER))
    assert out.opened == [2]


def test_a_ticket_of_another_company_or_of_nobody_stays_closed() -> None:
    desk = with_policy(organisations=(CUST,))
    desk.mail("joe@other.example", SUPPORT, "Hi.")
    desk.mail(EVE, SUPPORT, "Hi.", subject="Two", **{"from": ""})
    assert desk.ticket(2).requester is None
    assert by_subject(desk, DAN, PARTNER).opened == [3]
    assert desk.mail(DAN, SUPPORT, "Me too.", subject="Re: [ABC-2] Two", envelope=dict(PARTNER)).opened == [4]


def test_an_agent_is_nobodys_colleague() -> None:
    """An agent from whom the queue is hidden does not come in through his company."""
    agent = Agent(login="dan", name="Dan", addresses=(DAN,), elsewhere=False)
    desk = with_policy(organisations=(CUST,), agents=(*POLICY.agents, agent))
    opened(desk=desk, envelope=PARTNER)
    assert by_subject(desk, DAN, PARTNER).opened == [2]


def test_an_address_made_for_a_ticket_that_is_not_there_is_not_called_dead():
    assert not is_dead(Token(role="a", ticket=99, party=99), Context(), POLICY)
