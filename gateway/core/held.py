"""Mail that waits: stored, not run, not relayed, until somebody who may says ``#send`` or ``#drop``.

The registered address is told, and its answer is the confirmation. A notice about unproven mail says nothing of it and
of no ticket, is sent once an hour at most, and counts for 15 minutes: whoever answers it, with ``#send``
alone on top, to the reply address and with the notice's signed Message-ID in In-Reply-To, reads the agent's mailbox.
That id is made of our key and sent to nobody else: it is the nonce. It counts once, since the mail waits no more
after that. A word is asked for because absence notices answer, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from gateway.core import relay
from gateway.core.budget import why_no_automatic
from gateway.core.case import Case, is_agents, store
from gateway.core.context import Context, SentMail, StoredMail
from gateway.core.decision import Decision, Draft
from gateway.core.ledger import Ledger
from gateway.core.policy import Agent
from gateway.core.rows import Message, Rows

# Why a mail is held -> may "#send" release it. The words for the agent are in the template held_notice.
HOLDS: Final[dict[str, bool]] = {
    "role": False,          # a command that is for others (core/authority.py), or a light agent's mail to people outside
    "unproven": True,       # nothing proves that the agent wrote it
    "question": True,       # sent to a reply address, but it answers nothing of that ticket (ruling 3)
    "old": True,            # its Date is of days ago: it may be another's copy of a mail that was sent then
    "confirm": True,        # a command that needs level 4 (core/command_table.py): log in, or say so twice
    "commands": False,      # a line at the top is no command we can carry out
    "empty": False,         # no new text and no command was found in it
    "leftover": False,      # text meant for agents still stands in it
    "stale": True,          # a colleague answered meanwhile (ruling 4)
    "outside": False,       # a note, with people outside among its recipients
    "unread": False,        # it could not be read whole, so nobody outside is sent it
}
NOTE: Final = "_note"                   # behind the reason if the mail is internal: released, it is a note
NOTICE_PAUSE: Final = timedelta(hours=1)    # between notices about mail that was not proven (no mail bombs)
CONFIRM_WITHIN: Final = timedelta(minutes=15)
FRESH: Final = timedelta(hours=24)      # older mail at L3 may be replayed


def reason(message: Message) -> str:
    return (message.hold or "").removesuffix(NOTE)


def is_internal(message: Message) -> bool:
    return (message.hold or "").endswith(NOTE)


def why_it_waits(case: Case) -> str | None:
    """Why a proven agent's mail on a ticket is asked about, whatever it says."""
    facts, mail = case.facts, case.spooled.mail
    if facts.token_without_proof:
        return "question"
    if facts.identity.level >= 4 or case.spooled.envelope.sent or mail.date is None:
        return None
    return "old" if facts.received_at - mail.date > FRESH else None


def hold(
    case: Case, agent: Agent, code: str, lines: Iterable[tuple[str, str]] = (), *, internal: bool = False
) -> Decision:
    """Store the mail, do nothing of it, and tell the registered address why."""
    ledger, ticket = case.ledger, case.ticket
    message, kept = ledger.new_message(), code + NOTE * internal
    if ticket is not None:
        ledger.event(ticket, "held", actor=case.author(), actor_kind="agent", message=message, after=kept)
    ledger.why("held", kept)
    drafts: tuple[Draft, ...] = ()
    last = case.context.held_notice_at.get(agent.address)
    silent = code == "unproven" and last is not None and ledger.now - last < NOTICE_PAUSE
    # A robot at an agent's address would answer our notice, and be held, and be told …
    if not silent and why_no_automatic(agent.address, ticket, case.context, case.policy, ledger.now) is None:
        drafts = (_notice(case, agent, code, message, lines),)
    return store(
        case, "held", ticket=ticket, message=message, hold=kept, text=case.facts.block.text.strip(), drafts=drafts
    )


def _notice(
    case: Case, agent: Agent, code: str, message: int, lines: Iterable[tuple[str, str]] = (), *, late: bool = False
) -> Draft:
    """A notice about unproven mail repeats nothing of it: the writer may be anybody (decision 10)."""
    return relay.answer_agent(
        "unproven_notice" if code == "unproven" else "held_notice", agent, case.facts, case.spooled.mail, message,
        case.ledger, case.policy, template="held_notice", code=code, late=late, can_confirm=is_agents(case),
        lines=[{"line": line[:200], "valid": valid} for line, valid in lines],
    )


# --- Released, or dropped -------------------------------------------------------------------


def waiting_mail(case: Case) -> StoredMail | None:
    """The held mail that the notice which this mail answers was about."""
    notice = _answered(case)
    found = case.context.stored.get(notice.message) if notice and notice.message is not None else None
    return found if found is not None and found.message.hold is not None else None


def confirmation(case: Case, agent: Agent) -> StoredMail | None:
    """The unproven mail that this one confirms, though it proves no more than that one did; None if it does not."""
    notice, facts = _answered(case), case.facts
    waiting = waiting_mail(case)
    if notice is None or waiting is None or notice.kind != "unproven_notice" or reason(waiting.message) != "unproven":
        return None
    if [c.name for c in facts.block.commands] not in (["send"], ["drop"]) or facts.block.suspects:
        return None
    person = case.context.person_ids.get(agent.address)
    # The id proves that this mailbox was read only where it came back as an answer; References are handed around.
    if notice.rfc_id not in case.spooled.mail.in_reply_to or person is None or notice.recipient != person:
        return None
    proven = facts.identity.level == 2 and facts.match.party == person
    return waiting if proven and waiting.message.author == case.author() else None


def is_late(case: Case) -> bool:
    notice = _answered(case)
    return notice is not None and case.facts.received_at - notice.created_at > CONFIRM_WITHIN


def ask_again(case: Case, agent: Agent, waiting: StoredMail, code: str) -> Decision:
    """A confirmation that came too late gets a notice of its own: only who reads the mailbox can have asked for it."""
    case.ledger.why("held", f"{code}: the confirmation came after {CONFIRM_WITHIN.seconds // 60} minutes")
    ticket, drafts = case.ticket, []
    if why_no_automatic(agent.address, ticket, case.context, case.policy, case.ledger.now) is None:
        drafts = [_notice(case, agent, code, waiting.message.id, late=True)]
    return store(case, "log", ticket=ticket, text="", drafts=drafts)


def drop(case: Case, message: Message) -> Decision:
    """The mail stays stored and waits no more."""
    ledger, ticket = case.ledger, case.ticket
    assert ticket is not None   # only mail on a ticket is answered about
    ledger.event(
        ticket, "released", actor=case.author(), actor_kind="agent", message=message.id, before=reason(message),
        after="dropped",
    )
    ledger.why("dropped", f"the mail held as {reason(message)} is kept and not carried out")
    return store(case, "log", ticket=ticket, text="", changed=(replace(message, hold=None, disposition="log"),))


def dropped_by_operator(message: Message, context: Context, by: str, now: datetime) -> Rows:
    """The rows of ``mailwicket held --drop``."""
    ledger = Ledger(context, by, now, now)
    living = context.living(message.ticket) if message.ticket is not None else None
    if living is not None:
        ledger.event(
            living.id, "released", actor=None, actor_kind="operator", message=message.id, before=reason(message),
            after="dropped",
        )
    return ledger.close(messages=(replace(message, hold=None, disposition="log"),))


def _answered(case: Case) -> SentMail | None:
    return case.context.outbox.get(case.facts.match.outbox or 0)
