"""Control mail: many orders in one mail to control@, and answers to a digest, with a transcript to whoever ordered.

    who wrote it                              what is done
    L4, logged in                             carried out
    L3, in answer to a digest or transcript   carried out; a second word for merges, more than 20 tickets, 10 closed
    L1 to L3, to control@                     a rehearsal with a nonce (architecture ruling 8); its answer carries it out
    L0, L2 in an agent's name                 held; the registered address is asked without a word of it (security §3.2)
    nobody of us                              kept, no answer

A rehearsal is the transcript of what would be done, with nothing done. It is sent to the agent's registered address only, so
its signed Message-ID in In-Reply-To is the nonce: whoever answers with it reads that mailbox. It counts for 15 minutes
and once. Admins' lines need a login and the nonce.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal

from gateway.core import act, posting
from gateway.core.case import Case, store
from gateway.core.command_value import fold
from gateway.core.context import SentMail, StoredMail
from gateway.core.control_lines import Order, read_control
from gateway.core.control_wants import READ
from gateway.core.decision import Decision, Draft
from gateway.core.desk_mail import desk_mail
from gateway.core.ledger import Ledger
from gateway.core.model import OutgoingKind
from gateway.core.policy import Agent
from gateway.core.proof import signed_ids, to_control, tokens
from gateway.core.quote import split_reply
from gateway.core.rows import Message
from gateway.core.rows_beside import Listed
from gateway.core.subject import header_text
from gateway.core.transcript import Run
from gateway.core.when import offset_of

CONFIRM_WITHIN: Final = timedelta(minutes=15)
NOTICE_PAUSE: Final = timedelta(hours=1)        # between notices about mail that was not proven (no mail bombs)
MOST_IDLE: Final = 10           # transcripts an hour that tell of nothing done: a robot would answer each
LISTS: Final = ("digest", "rehearsal", "transcript", "unproven_notice")
WAITS: Final = ("control", "unproven")
YES: Final = frozenset({
    "", "yes", "y", "ok", "okay", "go", "do it", "confirm", "confirmed", "send", "#send", "ja", "jawohl", "ausführen", "bestätigt",
})
NO: Final = frozenset({"no", "n", "drop", "#drop", "cancel", "forget it", "nein", "verwerfen", "#verwerfen", "abbrechen"})
Outcome = Literal["done", "rehearsed", "asked", "dropped", "late", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """The mail of ours that a control mail answers. ``nonce``: it came back where only its reader could put it."""

    sent: SentMail
    nonce: bool


def is_control(case: Case) -> bool:
    return case.facts.mail_class not in ("own", "bounce", "complaint", "receipt") and to_control(
        case.spooled, case.policy, tokens(case.spooled, case.policy, case.context)
    )


def control(case: Case) -> Decision:
    """Decide a mail that holds orders."""
    agent, level = case.agent, case.facts.identity.level
    if agent is None or case.facts.mail_class != "human" or case.spooled.mail.opaque is not None:
        case.ledger.why("held", "it orders something, and no agent wrote it")
        return store(case, "held", ticket=None, hold="stranger")
    answered = _answered(case, agent)
    waiting = _waiting(case, answered)
    if waiting is not None and level >= 1:
        word = fold(" ".join(_new_text(case, answered).split()).rstrip(".!"))
        if word in YES:
            return _confirmed(case, agent, waiting, answered)
        if word in NO:
            return _dropped(case, agent, waiting)
    if level in (0, 2):
        return _unproven(case, agent, answered)
    text = _new_text(case, answered)
    orders = _orders(case, text, answered)
    listed = _listed(case, answered)
    direct = level == 4 or (level == 3 and not _addressed(case))
    rehearsal = _run(case, agent, case.ledger.fork(), orders, listed)
    dry = any(o.kind == "dryrun" for o in orders)
    careful = level < 4 and (rehearsal.dangerous or rehearsal.many)
    if dry or ((not direct or careful or rehearsal.admin) and (rehearsal.before or rehearsal.admin)):
        return _rehearsed(case, agent, rehearsal, text, listed, binding=not dry)
    return _done(case, agent, _run(case, agent, case.ledger, orders, listed), text)


# --- Reading --------------------------------------------------------------------------------


def _addressed(case: Case) -> bool:
    """Whether it went to control@ itself, where nothing but From says whose it is."""
    return to_control(case.spooled, case.policy, ())


def _answered(case: Case, agent: Agent) -> _Answered | None:
    for signed in signed_ids(case.spooled, case.context, case.policy):
        sent = case.context.outbox.get(signed.said.outbox)
        if sent is not None and sent.kind in LISTS and sent.ticket is None and case.ledger.address(sent.recipient) in agent.addresses:
            return _Answered(sent=sent, nonce=signed.header == "In-Reply-To")
    return None


def _waiting(case: Case, answered: _Answered | None) -> StoredMail | None:
    """The control mail that waits for this answer."""
    if answered is None or not answered.nonce or answered.sent.kind not in ("rehearsal", "unproven_notice"):
        return None
    return case.context.stored.get(answered.sent.message or 0)


def _new_text(case: Case, answered: _Answered | None) -> str:
    text = case.spooled.mail.text[:READ]
    if answered is None and not case.spooled.mail.in_reply_to:
        return text
    return split_reply(text, answered.sent.text if answered else None).new


def _orders(case: Case, text: str, answered: _Answered | None) -> list[Order]:
    numbers = answered is not None and answered.sent.kind == "digest"
    return read_control(text, case.policy.key, case.policy.fields, digest=numbers)


def _listed(case: Case, answered: _Answered | None) -> dict[str, Listed]:
    """The tickets of the digest that is answered, by the numbers that its reader saw."""
    if answered is None or answered.sent.kind != "digest":
        return {}
    return {str(row.number): row for row in case.context.listed.get(answered.sent.id, ())}


def _run(
    case: Case, agent: Agent, ledger: Ledger, orders: Iterable[Order], listed: dict[str, Listed], *,
    confirms: StoredMail | None = None,
) -> Run:
    """What cannot be mended asks for a login or a second word, and gets the latter before it is carried out."""
    level = case.facts.identity.level
    actor = act.Actor(
        kind="agent", person=ledger.person(case.facts.identity.address), agent=agent,
        offset=offset_of(case.spooled.mail.header("date")),
    )
    run = Run(
        ledger=ledger, actor=actor, agent=agent, level=4, asks=level if confirms is None else 4, policy=case.policy, listed=listed,
        sent_at=level if confirms is None else confirms.message.level,
    )
    run.carry_out(orders)
    return run


# --- Ends -----------------------------------------------------------------------------------


def _done(
    case: Case, agent: Agent, run: Run, text: str, *, changed: tuple[Message, ...] = ()
) -> Decision:
    """Carried out: the transcript, and word to whom tickets were handed."""
    ledger = case.ledger
    number = ledger.new_message()
    drafts = [d for before in run.before.values() for d in posting.hand_over(case, agent, before)]
    ledger.why("control", f"{run.done} done, {run.refused} refused, {run.unread} not understood")
    if run.done or not _is_loop(case, agent):
        drafts.append(_mail(
            case, agent, "transcript", number, run.lines, outcome="done", transaction=ledger.cause if run.can_be_undone else "",
        ))
    return store(case, "log", ticket=None, message=number, text=text, changed=changed, drafts=drafts)


def _rehearsed(
    case: Case, agent: Agent, run: Run, text: str, listed: dict[str, Listed], *, again: StoredMail | None = None,
    binding: bool = True,
) -> Decision:
    """Nothing is done. ``again`` is a mail that waits already. Without ``binding`` the answer cannot carry it out, either."""
    ledger = case.ledger
    number = ledger.new_message()
    about = again.message.id if again is not None else number
    kept = (*((r.number, r.ticket, r.version) for r in listed.values()), *_loaded({*run.named, *run.before}, ledger))
    ledger.why("rehearsed", f"level {case.facts.identity.level}: {run.done} would be done" if binding else "dryrun")
    drafts = [_mail(
        case, agent, "rehearsal" if binding else "transcript", about, run.lines, outcome="rehearsed" if binding else "asked",
        listed=kept,
    )]
    if again is not None:
        waits = replace(again.message, hold="control")
        return store(case, "log", ticket=None, message=number, text=text, changed=(waits,), drafts=drafts)
    disposition: Literal["held", "log"] = "held" if binding else "log"
    return store(case, disposition, ticket=None, message=number, text=text, hold="control" if binding else None, drafts=drafts)


def _unproven(case: Case, agent: Agent, answered: _Answered | None) -> Decision:
    """Anybody may have written it: the registered address is asked, at most once an hour."""
    ledger, number = case.ledger, case.ledger.new_message()
    ledger.why("held", "unproven")
    text, listed = _new_text(case, answered), _listed(case, answered)
    last = case.context.held_notice_at.get(agent.address)
    drafts: list[Draft] = []
    if last is None or ledger.now - last >= NOTICE_PAUSE:
        run = _run(case, agent, ledger.fork(), _orders(case, text, answered), listed)
        kept = (*((r.number, r.ticket, r.version) for r in listed.values()), *_loaded({*run.named, *run.before}, ledger))
        drafts = [_mail(case, agent, "unproven_notice", number, [], outcome="asked", listed=kept, template="control_unproven")]
    return store(case, "held", ticket=None, message=number, text=text, hold="unproven", drafts=drafts)


def _loaded(tickets: set[int], ledger: Ledger) -> tuple[tuple[int, int, int], ...]:
    """Tickets that the answer needs to know, without a number that its text could name."""
    known = sorted(tickets & set(ledger.context.tickets))
    return tuple((-n, ticket, ledger.ticket(ticket).version) for n, ticket in enumerate(known, start=1))


def _confirmed(case: Case, agent: Agent, waiting: StoredMail, answered: _Answered | None) -> Decision:
    """The answer to a rehearsal carries it out; the answer to a notice of unproven mail gets its rehearsal."""
    assert answered is not None     # _waiting looked
    if waiting.message.hold not in WAITS:
        return _told(case, agent, waiting, "over")
    listed = {str(r.number): r for r in case.context.listed.get(answered.sent.id, ()) if r.number > 0}
    text = waiting.text.new_text
    orders = read_control(text, case.policy.key, case.policy.fields, digest=bool(listed))
    late = case.facts.received_at - answered.sent.created_at > CONFIRM_WITHIN
    if late or answered.sent.kind == "unproven_notice":
        run = _run(case, agent, case.ledger.fork(), orders, listed, confirms=waiting)
        return _rehearsed(case, agent, run, text, listed, again=waiting)
    case.ledger.why("confirmed", f"message {waiting.message.id}, by the nonce of {answered.sent.id}")
    run = _run(case, agent, case.ledger, orders, listed, confirms=waiting)
    done = replace(waiting.message, hold=None, disposition="log")
    decision = _done(case, agent, run, "", changed=(done,))
    return replace(decision, admin=tuple(run.admin), admin_by=run.actor.person)


def _dropped(case: Case, agent: Agent, waiting: StoredMail) -> Decision:
    if waiting.message.hold not in WAITS:
        return _told(case, agent, waiting, "over")
    case.ledger.why("dropped", f"message {waiting.message.id}")
    return _told(case, agent, waiting, "dropped", changed=(replace(waiting.message, hold=None, disposition="log"),))


def _told(
    case: Case, agent: Agent, waiting: StoredMail, outcome: Outcome, *, changed: tuple[Message, ...] = ()
) -> Decision:
    number = case.ledger.new_message()
    drafts = [] if _is_loop(case, agent) else [_mail(case, agent, "transcript", number, [], outcome=outcome)]
    return store(case, "log", ticket=None, message=number, text="", changed=changed, drafts=drafts)


def _is_loop(case: Case, agent: Agent) -> bool:
    hour = case.ledger.now - timedelta(hours=1)
    sent = [a for a in case.context.automatic if a.address == agent.address and a.kind in ("transcript", "rehearsal")]
    return sum(a.at > hour for a in sent) >= MOST_IDLE


def _mail(
    case: Case, agent: Agent, kind: OutgoingKind, message: int, lines: list[str], *, outcome: Outcome,
    listed: tuple[tuple[int, int, int], ...] = (), transaction: str = "", template: str = "transcript",
) -> Draft:
    mail = case.spooled.mail
    return desk_mail(
        kind, agent, case.ledger, case.policy, template=template, subject=header_text(case.facts.base_subject, 120) or "control",
        message=message, answers=mail.message_id, listed=listed,
        values={"lines": lines, "outcome": outcome, "transaction": transaction,
                "minutes": int(CONFIRM_WITHIN.total_seconds()) // 60},
    )
