"""Which ticket a mail belongs to, and by which proof (architecture decision 9).

Proof without looking at the sender, since only we can make it:
    1. a verified reply address among the recipients
    2. a Message-ID that we signed, in In-Reply-To, then in References from the newest to the oldest
Evidence that anybody may copy counts only for a sender who is a participant of that ticket, stood on
To or Cc of a participant's mail, or is an agent whose From is proven:
    3. an id of stored mail; then an id that stored mail only referred to, so that the answers to a
       mail we never saw share a ticket; then a mail that stored mail referred to before it came
    4. [ABC-123] in the subject
Else the mail belongs to no ticket, and ``possible`` is what it named. The first proof wins; another
ticket that is also proven is named in ``why``. Redirects of merges are followed always.

Standards: RFC 5322 §3.6.4 (In-Reply-To, References).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.core.context import Context
from gateway.core.identity import PROVES_SENDER
from gateway.core.model import Identity, SignedId, Spooled, ThreadMatch, Token
from gateway.core.policy import Policy
from gateway.core.proof import is_dead, named_ids, signed_ids, tokens
from gateway.core.rows import MailId
from gateway.core.subject import base_subject, keys_in


def find_thread(
    spooled: Spooled, tokens: tuple[Token, ...], identity: Identity, context: Context, policy: Policy
) -> ThreadMatch:
    """The ticket of a mail. ``tokens`` are the verified ones of the envelope recipients, in order."""
    search = _Search(spooled, identity, context, policy)
    return search.by_token(tokens) or search.by_signed_id() or search.by_evidence(tokens)


def token_without_proof(spooled: Spooled, match: ThreadMatch, context: Context, policy: Policy) -> bool:
    """Ruling 3: matched by token only, while neither ids nor subject speak of that ticket.

    Such a mail is likely a new matter, written to an address that the mail program remembered.
    An empty subject is no evidence.
    """
    if match.signal != "token" or match.ticket is None:
        return False
    mail = spooled.mail
    rows = (row for _, rfc_id in named_ids(mail) for row in context.mail_ids.get(rfc_id, ()))
    signed = (signed.said.ticket for signed in signed_ids(spooled, context, policy))
    named = (*signed, *(row.ticket for row in rows), *keys_in(mail.subject, policy.key))
    if any(_living(context, ticket) == match.ticket for ticket in named):
        return False
    if not named and mail.in_reply_to and _perhaps_renamed(spooled, match, context, policy):
        return False
    base = base_subject(mail.subject).casefold()
    same = [n for n, subject in context.subjects.items() if base and base_subject(subject).casefold() == base]
    return all(_living(context, ticket) != match.ticket for ticket in same)


def _perhaps_renamed(spooled: Spooled, match: ThreadMatch, context: Context, policy: Policy) -> bool:
    """Whether an answer names no id we know because the provider renamed ours, and we may not see its Sent folder.

    Only a customer's, which stays on their own ticket; an agent's would go out, so the agent is asked.
    """
    party = context.persons.get(match.party or 0)
    return spooled.envelope.channel == "imap" and party is not None and policy.agent_of_address(party.address) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """A ticket that is named by something anybody may copy."""

    signal: Literal["reference", "subject"]
    named: int
    ticket: int         # what became of it
    why: str
    seen: bool = False              # a key of ours, or the id of a mail that is stored here


class _Search:
    """One mail against one context; each method is a step of the module's list."""

    def __init__(self, spooled: Spooled, identity: Identity, context: Context, policy: Policy) -> None:
        self.spooled, self.mail, self.identity, self.context, self.policy = spooled, spooled.mail, identity, context, policy
        self.sent = spooled.envelope.sent
        found = ((s.header, s.said, _living(context, s.said.ticket)) for s in signed_ids(spooled, context, policy))
        self.signed = [(header, said, ticket) for header, said, ticket in found if ticket is not None]
        self.evidence = [*self._stored(), *self._subject_keys()]

    def by_token(self, tokens: tuple[Token, ...]) -> ThreadMatch | None:
        known = [(token, n) for token in tokens if (n := _living(self.context, token.ticket)) is not None]
        if not known:
            return None
        token, ticket = known[0]
        answered = self._answered(ticket)
        internal = token.role in ("n", "v") or (answered is not None and answered.kind in ("i", "v"))
        why = f"reply address made for {self._person(token.party)} on {self._name(token.ticket, ticket)}"
        why += self._also(ticket, [n for _, n in known])
        return ThreadMatch(
            ticket=ticket, signal="token", outbox=answered.outbox if answered else None, party=token.party,
            audience="internal" if internal else "public", why=why,
        )

    def by_signed_id(self) -> ThreadMatch | None:
        if not self.signed:
            return None
        header, first, ticket = self.signed[0]
        # The pseudo-root names the ticket only; an older id may say which mail of ours is answered.
        said = self._answered(ticket) or first
        what = "a mail we sent on" if first.outbox else "our id of"
        to = f" to {self._person(said.party)}" if said.party else ""
        return ThreadMatch(
            ticket=ticket, signal="signed_id", outbox=said.outbox or None, party=said.party or None,
            audience="internal" if said.kind in ("i", "v") else "public",
            why=f"{header} has {what} {self._name(first.ticket, ticket)}{to}{self._also(ticket)}",
        )

    def by_evidence(self, tokens: tuple[Token, ...]) -> ThreadMatch:
        """Steps 3 and 4, and what is left when they fail."""
        for found in self.evidence:
            right = self._right(found)
            if right:
                why = f"{found.why}, and {self.identity.address} {right}{self._also(found.ticket)}"
                return ThreadMatch(ticket=found.ticket, signal=found.signal, why=why)
        if self.evidence:
            named, who = self.evidence[0], self.identity.address or "the sender"
            why = f"{named.why}, but {who} is not known to take part in it"
            return ThreadMatch(ticket=None, signal="none", why=why, possible=named.ticket)
        if (dead := self._dead()) is not None:
            why = f"reply address made for {self._person(dead.party)}, who is no agent there any more"
            return ThreadMatch(ticket=None, signal="none", why=why, possible=_living(self.context, dead.ticket))
        if tokens and tokens[0].ticket:
            why = f"the reply address is of {self.policy.key}-{tokens[0].ticket}, which is unknown"
            return ThreadMatch(ticket=None, signal="none", why=why)
        return ThreadMatch(ticket=None, signal="none", why="nothing names a ticket")

    def _dead(self) -> Token | None:
        """A reply address that was an agent's and proves nothing any more: its ticket may be shown to agents."""
        return next((t for t in tokens(self.spooled, self.policy) if t.role != "c" and is_dead(t, self.context, self.policy)), None)

    def _stored(self) -> Iterator[_Evidence]:
        """Step 3."""
        ids = list(named_ids(self.mail))
        steps = [(header, rfc_id, "self", "has a mail stored on") for header, rfc_id in ids]
        steps += [(header, rfc_id, "reference", "has a mail answered on") for header, rfc_id in ids]
        steps.append(("Message-ID", self.mail.message_id or "", "reference", "is of a mail answered on"))
        for header, rfc_id, role, what in steps:
            rows = (row for row in self.context.mail_ids.get(rfc_id, ()) if row.role == role)
            for row in sorted(rows, key=_newest_first):
                ticket = _living(self.context, row.ticket)
                if row.ticket is not None and ticket is not None:
                    why = f"{header} {what} {self._name(row.ticket, ticket)}"
                    yield _Evidence(signal="reference", named=row.ticket, ticket=ticket, why=why, seen=role == "self")

    def _subject_keys(self) -> Iterator[_Evidence]:
        """Step 4. What was voided (spam, erased) is not revived by a number in a subject."""
        for number in keys_in(self.mail.subject, self.policy.key):
            living = self.context.living(number)
            if living is not None and living.status != "void":
                why = f"the subject names {self._name(number, living.id)}"
                yield _Evidence(signal="subject", named=number, ticket=living.id, why=why, seen=True)

    def _right(self, found: _Evidence) -> str:
        """Why the sender may add to a ticket by mere evidence; '' if he may not."""
        address = self.identity.address
        if not address or self.mail.ambiguous is not None:
            return ""
        if self.identity.agent is not None and self.identity.level in PROVES_SENDER and self._sees(found.ticket):
            return "is an agent's"
        if self.sent:
            return "wrote it straight from the mailbox"
        person = self.context.person_ids.get(address)
        for number in (found.ticket, found.named):
            members = self.context.participants.get(number, ())
            # A holder wrote with somebody else's reply address: that address is his only proof.
            if any(member.person == person and member.role != "holder" for member in members):
                return "takes part in it"
            # Of a mail that is here: an id that was merely referred to may be a bait for somebody on Cc.
            if found.seen and address in self.context.addressees.get(number, ()):
                return "was written to on it"
        return "is a colleague of its requester" if found.seen and self._is_colleague(found.ticket) else ""

    def _sees(self, ticket: int) -> bool:
        """To an agent from whom a queue is hidden, its tickets are strangers' tickets."""
        return self.policy.may_see(self.identity.agent or "", self.context.tickets[ticket].queue)

    def _is_colleague(self, ticket: int) -> bool:
        """Of one organisation, which shares its tickets; and proven to be: From alone is anybody's."""
        if self.identity.agent is not None or self.identity.level not in PROVES_SENDER:
            return False
        requester = self.context.persons.get(self.context.tickets[ticket].requester or 0)
        return requester is not None and self.policy.colleagues(self.identity.address, requester.address)

    def _answered(self, ticket: int) -> SignedId | None:
        """The newest mail of ours on ``ticket`` that this mail answers."""
        return next((said for _, said, n in self.signed if n == ticket and said.outbox), None)

    def _also(self, ticket: int, more: Sequence[int] = ()) -> str:
        """The other tickets that are named with equal right, for the person who reads ``why``."""
        allowed = (found.ticket for found in self.evidence if self._right(found))
        others = dict.fromkeys(n for n in (*more, *(n for _, _, n in self.signed), *allowed) if n != ticket)
        return f"; it also names {', '.join(self._name(n, n) for n in others)}" if others else ""

    def _name(self, named: int, ticket: int) -> str:
        key = self.policy.key
        return f"{key}-{named}" if named == ticket else f"{key}-{named} (merged into {key}-{ticket})"

    def _person(self, party: int) -> str:
        person = self.context.persons.get(party)
        return person.address if person else f"person {party}"


def _living(context: Context, ticket: int | None) -> int | None:
    living = None if ticket is None else context.living(ticket)
    return living.id if living else None


def _newest_first(row: MailId) -> int:
    return -row.message
