"""What lies in the Sent folder of a watched mailbox: mail of ours, or mail that a person sent from there.

It has been sent already, so it is only written down: our own teaches us the Message-ID that the provider gave
it; a person's joins its ticket or opens one for the first outside recipient (ruling 5). Nobody on it
gets it a second time, and none of its lines is a command.
"""

from __future__ import annotations

from gateway.core import act, relay
from gateway.core.case import DEAD, Case, link, store
from gateway.core.decision import Decision, Draft
from gateway.core.proof import own_mark
from gateway.core.rows import SentId, Ticket
from gateway.core.subject import ticket_subject
from gateway.core.token import read_message_id

DIRECT = "direct"       # ``after`` of an answer that was sent past us: it is never quoted below another one


def is_own_sent(case: Case) -> bool:
    return case.spooled.envelope.sent and case.facts.mail_class == "own"


def is_direct(case: Case) -> bool:
    return case.spooled.envelope.sent


def own_sent(case: Case) -> Decision:
    """Our own mail as the provider sent it: only its new name is worth keeping."""
    mail, policy = case.spooled.mail, case.policy
    outbox, name = own_mark(mail, policy), mail.message_id
    learnt: tuple[SentId, ...] = ()
    known = name in case.context.sent_ids   # read twice: killed between the spool and the cursor
    if outbox is not None and name and not known and read_message_id(policy.keys, name, policy.host) is None:
        learnt = (SentId(rfc_id=name, outbox=outbox),)
        case.ledger.why("renamed", f"the provider sent our mail {outbox} under another Message-ID")
    case.ledger.why("logged", "a mail of ours in the Sent folder")
    return link(case, None, None, sent_ids=learnt)


def direct(case: Case) -> Decision:
    """Mail that a person sent straight from the mailbox."""
    before = _stored_before(case)
    if before is not None:
        case.ledger.why("copy", f"second copy of message {before} in the Sent folder")
        return link(case, before, case.ticket)
    outside = case.others()
    if case.facts.mail_class != "human" or not (outside or case.ticket is not None):
        case.ledger.why("logged", "it went to nobody outside" if not outside else "no person wrote it")
        return store(case, "log", ticket=None)
    known = case.ledger.ticket(case.ticket) if case.ticket is not None else None
    if known is None or (known.status in DEAD and outside):
        return _begin(case, outside, follows=known)
    return _join(case, known, outside)


def _begin(case: Case, outside: list[str], follows: Ticket | None) -> Decision:
    """The desk writes first: the ticket is the first recipient's, and waits for nobody of ours."""
    ledger, policy, facts = case.ledger, case.policy, case.facts
    author = case.author()
    ticket, message = ledger.new_ticket(ticket_subject(facts.subject, policy.key)), ledger.new_message()
    ledger.event(
        ticket, "created", actor=author, actor_kind="agent", message=message, is_public=True, after=facts.queue
    )
    requester = ledger.person(outside[0], case.name_of(outside[0]))
    ledger.event(ticket, "requester", actor=author, actor_kind="agent", after=str(requester))
    ledger.participant(ticket, requester, "requester")
    _join_recipients(case, ticket, outside[1:])
    if follows is not None:
        ledger.event(ticket, "linked", actor=None, actor_kind="system", after=str(follows.id))
    drafts = _tell(case, ledger.ticket(ticket), message)
    _take(case, ticket)
    ledger.why("opened", f"{relay.key_of(ticket, policy)}: written from the mailbox to {outside[0]}")
    return store(case, "apply", ticket=ticket, message=message, is_public=True, drafts=drafts)


def _join(case: Case, state: Ticket, outside: list[str]) -> Decision:
    """An answer if a customer of the ticket is on it; what only others got is a note (nobody is shown it)."""
    ledger = case.ledger
    message = ledger.new_message()
    drafts = _tell(case, state, message)
    followers = {ledger.address(f.person) for f in ledger.followers(state.id) if f.role != "holder"}
    public = bool(followers & set(outside))
    if public:
        ledger.event(
            state.id, "agent_reply", actor=case.author(), actor_kind="agent", message=message, is_public=True,
            after=DIRECT,
        )
        _join_recipients(case, state.id, outside)
        _take(case, state.id)
    else:
        ledger.event(state.id, "note", actor=case.author(), actor_kind="agent", message=message)
    ledger.why("posted", "public answer, sent from the mailbox" if public else "sent from the mailbox to others: a note")
    return store(case, "apply", ticket=state.id, message=message, is_public=public, drafts=drafts)


def _take(case: Case, ticket: int) -> None:
    actor = act.Actor(kind="agent", person=case.author(), agent=case.agent)
    act.first_answer(case.ledger, ticket, actor, case.policy)


def _join_recipients(case: Case, ticket: int, addresses: list[str]) -> None:
    for address in addresses:
        person = case.ledger.person(address, case.name_of(address))
        case.ledger.join(ticket, person, "cc", actor=case.author(), actor_kind="agent")


def _tell(case: Case, state: Ticket, message: int) -> list[Draft]:
    """The other agents of the ticket hear of it; ``state`` is from before its writer took it."""
    have = {*relay.on_to_or_cc(case.spooled.mail), *(case.agent.addresses if case.agent else ())}
    agents = relay.readers(state, case.ledger, case.policy, but=have)
    content = relay.Content(message=message, text=case.facts.new_text, html=case.spooled.mail.html, parts=())
    return relay.to_agents("brief", agents, state.id, content, case.shown_author(), case.ledger, case.policy, cut=True)


def _stored_before(case: Case) -> int | None:
    """Providers and mail programs each save what was sent; whoever writes there is one of us, so the id is enough."""
    rows = case.context.mail_ids.get(case.spooled.mail.message_id or "", ())
    author = case.context.person_ids.get(case.facts.identity.address)
    return next((r.message for r in rows if r.role == "self" and r.ticket is not None and r.sender == author), None)
