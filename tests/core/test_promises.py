"""Properties of the whole decision: whatever comes in, in whatever order.

Tickets are the fold of their events (``Desk.check`` looks after every batch), strangers change nothing
of others', and no internal word reaches a customer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.core import lifecycle
from gateway.core.model import Spooled
from tests.desk import ANN, ANNA, BERT, BILLING, CARO, DAN, EVE, REPLY_DOMAIN, SUPPORT, Desk, Outcome, Sent

FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
AGENTS, CUSTOMERS = (ANNA, BERT, CARO), (ANN, DAN, EVE)
MACHINE_HEADERS = (
    {}, {}, {}, {"auto_submitted": "auto-replied"}, {"auto_submitted": "auto-generated"}, {"precedence": "bulk"},
    {"list_id": "<l.x.example>"}, {"subject": "Out of office"}, {"subject": "Your invoice"}, {"subject": "a ghost"},
)
COMMANDS = (
    "", "", "", "#note", "#note", "#pending", "#solved", "#closed", "#open", "#take", "#tag vip", "#priority high", "#note", "#public", "#send",
    "#sovled", "#merge ABC-1", "#merge 2", "#help", "#why", "#assign nobody-here", "#pending\n#note", "#merge ABC-2\n#solved",
    "#send\n#solved", "#release", "#drop", "#send",
)


@dataclass(frozen=True)
class Step:
    """One mail, drawn before there is a desk; numbers choose among what is there by then."""

    sender: str
    reply: int | None           # to which of the mails this sender was sent, None: a new mail
    command: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    relay: str | None = "mta"
    to: str = SUPPORT
    cc: str = ""
    ids: bool = True            # a reply keeps In-Reply-To and References
    with_last: bool = False     # decided in one batch with the mail before
    door: bool = False          # an agent at the submission door
    stolen: bool = False        # replies to a mail that was sent to somebody else


def _mostly(usual: object, *rare: object) -> st.SearchStrategy[object]:
    return st.integers(0, 9).map(lambda n: usual if n < 8 or not rare else rare[n % len(rare)])


def _steps(senders: tuple[str, ...], relay: str, commands: st.SearchStrategy[object], new: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    return st.builds(
        Step, sender=st.sampled_from(senders), reply=new, command=commands,
        headers=_mostly({}, *MACHINE_HEADERS).flatmap(lambda h: st.just(h) if h else st.sampled_from(MACHINE_HEADERS)),
        relay=_mostly(relay, "mta", "partner", None), to=_mostly(SUPPORT, BILLING), cc=_mostly("", DAN, EVE, ANNA, SUPPORT),
        ids=_mostly(True, False), door=_mostly(False, True), with_last=st.booleans(), stolen=_mostly(False, True),
    )


def steps(senders: tuple[str, ...]) -> st.SearchStrategy[list[Step]]:
    """Agents mostly answer, with proof; customers write and answer; each now and then does something else."""
    agents, others = (tuple(a for a in senders if (a in AGENTS) is yes) for yes in (True, False))
    kinds = []
    if agents:
        kinds.append(_steps(agents, "mta", st.sampled_from(COMMANDS), st.integers(0, 20)))
    if others:
        kinds.append(_steps(others, "partner", _mostly("", *COMMANDS), st.none() | st.integers(0, 20)))
    return st.lists(st.one_of(kinds), min_size=5, max_size=14)


def begun() -> Desk:
    """Two customers, one on copy of the other, and a first answer: there is something to reply to."""
    desk = Desk()
    first = desk.mail(ANN, SUPPORT, "It burns.", cc=DAN, envelope={"relay": "partner"})
    desk.mail(DAN, SUPPORT, "Mine too.", subject="Other", envelope={"relay": "partner"})
    desk.answer(first.to(BERT)[0], BERT, "Have you tried water?\n\nBert")
    desk.answer(first.to(ANNA)[0], ANNA, "#release")
    return desk


def mail_of(desk: Desk, step: Step, number: int) -> Spooled:
    """The mail of ``step``. Each has a word of its own: ``public7`` or, what agents write as notes, ``secret7``."""
    mine = [s for s in desk.sent if step.stolen or s.row.rcpt_to == step.sender]
    new = step.reply is None or not mine
    # A new mail of an agent makes him the customer of its ticket: he may be quoted to himself.
    door = step.door and step.sender in AGENTS
    secret = (door or not new) and ("note" in step.command or step.command.startswith("#sovled"))
    text = f"{step.command}\n\nThis is {'secret' if secret else 'public'}{number}word of some length, {step.sender}."
    if door:
        return _at_door(desk, step, text, number, None if new else mine[step.reply % len(mine)])
    more = {**step.headers, **({"cc": step.cc} if step.cc else {}), "envelope": {"relay": step.relay}}
    if new:
        return desk.write(step.sender, step.to, text, **{"subject": f"Subject {number}", **more})
    if not step.ids:
        more |= {"in_reply_to": "", "references": ""}
    return desk.reply(mine[step.reply % len(mine)], step.sender, text, **more)


def _at_door(desk: Desk, step: Step, text: str, number: int, answered: Sent | None) -> Spooled:
    """Through the submission door, to people outside as well, one of them blind."""
    envelope = {"channel": "submission", "login": step.sender.partition("@")[0], "relay": None}
    if answered is None:
        return desk.write(
            step.sender, DAN, text, rcpts=(DAN, EVE), **{"subject": f"Subject {number}", **step.headers, "envelope": envelope}
        )
    rcpts = (answered.reply_to, *([step.cc] if step.cc else []))
    return desk.reply(answered, step.sender, text, cc=step.cc, rcpts=rcpts, **{**step.headers, "envelope": envelope})


def play(desk: Desk, story: list[Step]) -> list[Outcome]:
    out, batch = [], []
    for number, step in enumerate(story):
        if batch and not step.with_last:
            out.append(desk.receive(*batch))
            batch = []
        batch.append(mail_of(desk, step, number))
        desk.now += timedelta(minutes=7)
    if batch:
        out.append(desk.receive(*batch))
    return out


@FEW
@given(steps(AGENTS + CUSTOMERS))
def test_a_ticket_is_the_fold_of_its_events_whatever_mails_come_in_whatever_batches(story):
    desk = begun()
    play(desk, story)
    desk.check()
    for number, ticket in desk.tickets.items():
        assert lifecycle.fold(desk.events(number)) == ticket
    assert len(desk.all.processed) == desk.count, "every mail is decided once"


@FEW
@given(steps(AGENTS + CUSTOMERS))
@example([*[Step(ANNA, 0)] * 3, Step("caro@acme.example", 0, "#sovled"), Step(ANNA, 20)])
@example([Step(ANNA, 0, "#note"), Step(BERT, 1, ""), Step(ANNA, 0, "#merge ABC-2", with_last=True), Step(ANNA, 0, "")])
def test_no_internal_word_is_in_any_mail_to_a_customer(story):
    """Notes, footers, commands, addresses of agents' and of other people's reply addresses, filter headers."""
    desk = begun()
    play(desk, [s for s in story if s.sender in AGENTS or "note" not in s.command and "sovled" not in s.command])
    for sent in desk.sent:
        if sent.row.kind in ("reply", "ack", "reply_rule"):
            no_leak(sent)


def no_leak(sent: Sent) -> None:
    seen = f"{sent.mail.subject}\n{sent.mail.text}\n{sent.row.html}\n{sent.row.headers}"
    assert not re.search(r"secret\d+word", seen)
    assert ":: ABC-" not in seen
    assert not re.search(r"(?m)^#(?!\d)\w+", sent.mail.text.split("wrote:")[0])
    headers = {name.lower(): value for name, value in json.loads(sent.row.headers)}
    assert not {"list-id", "x-mailwicket-ticket", "x-mailwicket-status", "x-mailwicket-queue", "bcc", "cc"} & set(headers)
    assert f"@{REPLY_DOMAIN}" not in seen, "no reply address of anybody"


@FEW
@given(steps(AGENTS + CUSTOMERS))
def test_each_customer_is_only_shown_what_he_wrote_or_was_sent(story):
    """Security §3.2: an outgoing mail holds this answer and what its recipient knows already."""
    desk = begun()
    play(desk, story)
    wrote: dict[str, set[str]] = {}
    for text in desk.all.message_texts:
        for word in re.findall(r"(?:public|secret)\d+word", text.whole_text):
            wrote.setdefault(word, set()).add(text.from_address)
    for sent in desk.sent:
        if sent.row.kind != "reply":
            continue
        for word in re.findall(r"public\d+word", sent.text):
            assert wrote[word] & {*AGENTS, "anna.ek@acme.example", sent.row.rcpt_to}, (word, sent.row.rcpt_to)


@FEW
@given(steps(("eve@evil.example", "mallory@evil.example")))
def test_strangers_change_no_ticket_of_others_and_get_nothing_but_one_acknowledgement_a_mail(story):
    """They know all numbers, Message-IDs and subjects, but no reply address and no mail of ours."""
    desk = Desk()
    first = desk.mail(ANN, SUPPORT, "It burns.", message_id="<known@cust.example>")
    desk.answer(first.to(ANNA)[0], ANNA, "Have you tried water?", message_id="<known@acme.example>")
    before, events, told = desk.ticket(1), len(desk.events(1)), len(desk.sent)
    guesses = {"in_reply_to": "<known@cust.example>", "references": "<known@acme.example> <known@cust.example>"}
    for number, step in enumerate(story):
        headers = {"subject": "Re: [ABC-1] Printer broken", **step.headers, **(guesses if step.ids else {})}
        mail = desk.write(step.sender, step.to, f"{step.command}\n\nmail {number}", cc=step.cc, envelope={"relay": step.relay}, **headers)
        out = desk.receive(mail)
        to_writer = out.to(step.sender)
        assert [s.row.kind for s in to_writer] in ([], ["ack"])
        assert {s.row.kind for s in out.sent if s not in to_writer} <= {"notice"}
        assert {s.row.rcpt_to for s in out.sent} <= {step.sender, *AGENTS}
    assert desk.ticket(1) == before
    assert len(desk.events(1)) == events
    assert not [s for s in desk.sent[told:] if s.row.rcpt_to in (ANN, DAN)]
    acks = [s for s in desk.sent if s.row.kind == "ack" and s.row.rcpt_to.endswith("@evil.example")]
    assert len(acks) <= 6, "three an hour and address"


@FEW
@given(steps(AGENTS))
def test_an_agents_forged_mail_changes_nothing_and_reaches_no_customer(story):
    desk = Desk()
    first = desk.mail(ANN, SUPPORT, "It burns.")
    before, told = desk.ticket(1), len(list(desk.everything_to(ANN)))
    for step in story:
        sent = first.to(ANNA)[(step.reply or 0) % len(first.to(ANNA))]
        desk.answer(sent, step.sender, f"{step.command}\n\nSend money.", envelope={"relay": None}, **step.headers)
    after = desk.ticket(1)
    assert len(list(desk.everything_to(ANN))) == told
    for name in ("status", "priority", "assignee", "tags", "merged_into", "last_agent_at", "last_public", "queue"):
        assert getattr(after, name) == getattr(before, name)
