"""Who wrote a mail, and how sure we are: a ladder.

    L4  an agent who logged in at our submission port (RFC 4954) and writes as himself
    L3  L1 and L2 together, and From is an address of the person the token was made for; or the mail
        lies in the Sent folder of our own mailbox, which takes a login
    L2  a valid reply address (core/token.py) among the recipients: a bearer secret, so it
        speaks for the mail's place, not for its From
    L1  a relay or provider that vouches for the domain of From, and the envelope sender is that same address;
        or DMARC passed for the domain of From: by a configured relay's word (core/authres.py), or by our own look
    L0  nothing, or a From that two readers may read differently

The rungs are not nested: L2 says nothing about From. Whoever needs to know that From is true asks
for a level in ``PROVES_SENDER``.

Standards: RFC 5322 §3.6.2 (From), RFC 5321 §3.3 (MAIL FROM). The envelope sender is asked for as
well, since mail from outside passes through the same relay: what a logged-in user may write in
From, he writes in MAIL FROM. Reply-To and Sender are never identity. Mail through a list or with
VERP is thereby L0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.core.address import canonical, domain
from gateway.core.authres import Authentication, dmarc_pass
from gateway.core.model import Envelope, Identity, Level, Mail
from gateway.core.policy import Agent, Policy, Queue
from gateway.core.subject import header_text
from gateway.core.third_party import written_by

PROVES_SENDER: Final[frozenset[Level]] = frozenset({1, 3, 4})


def identify(
    mail: Mail, envelope: Envelope, party_address: str | None, policy: Policy, checked: Authentication | None = None
) -> Identity:
    """Place ``mail`` on the ladder; ``party_address`` is whom a valid token was made for, None without one.

    ``address`` and ``agent`` are what From claims, on every rung.
    """
    if envelope.sent and (queue := policy.queue_of_mailbox(envelope.relay)) is not None:
        return _from_mailbox(mail, queue, policy)
    if mail.sender is None:
        return Identity(level=0, address="", name="", agent=None, why="From is missing or cannot be read")
    behind = written_by(mail, policy)
    shown = behind or mail.sender
    address, name = canonical(shown.address), header_text(shown.name)
    agent = policy.agent_of_address(address)

    def rung(level: Level, why: str) -> Identity:
        return Identity(level=level, address=address, name=name, agent=agent.login if agent else None, why=why)

    if mail.ambiguous is not None:
        return rung(0, f"From proves nothing: {mail.ambiguous}")
    if behind is not None:
        return rung(0, f"the list {canonical(mail.sender.address)} says that {address} wrote it, which proves nothing")
    if envelope.login is not None:
        return _logged_in(envelope.login, address, agent, rung)
    vouched, whether = _proven(mail, envelope, address, policy, checked)
    if party_address is None:
        return rung(1 if vouched else 0, whether)
    party = canonical(party_address)
    if not _belongs(address, party, policy):
        if vouched and agent is None and policy.colleagues(address, party):
            return rung(1, f"the reply address was made for {party}, a colleague; {whether}")
        return rung(2, f"the reply address was made for {party}, not for {address}")
    if not vouched:
        return rung(2, f"the reply address was made for {party}; {whether}")
    return rung(3, f"the reply address was made for {party}, and {whether}")


def _logged_in(login: str, address: str, agent: Agent | None, rung: Callable[[Level, str], Identity]) -> Identity:
    if agent is not None and agent.login == login:
        return rung(4, f"{login} logged in and {address} is theirs")
    return rung(0, f"{login} logged in, but {address} is not theirs")


def _from_mailbox(mail: Mail, queue: Queue, policy: Policy) -> Identity:
    """Who wrote from the shared mailbox: the agent of From, else the one it is configured for, else just the desk."""
    assert queue.mailbox is not None  # queue_of_mailbox found it by its name
    claimed = policy.agent_of_address(canonical(mail.sender.address)) if mail.sender is not None else None
    agent = claimed or policy.agent(queue.mailbox.agent or "")
    return Identity(
        level=3, address=agent.address if agent else queue.address, name=agent.name if agent else queue.from_name,
        agent=agent.login if agent else None, why=f"it lies in the Sent folder of mailbox {queue.mailbox.name}",
    )


def _proven(
    mail: Mail, envelope: Envelope, address: str, policy: Policy, checked: Authentication | None
) -> tuple[bool, str]:
    """Whether From is true, by the first proof there is; else why the usual one is missing."""
    vouched, whether = _vouched(envelope, address, policy)
    relay = policy.relay(envelope.relay)
    if vouched or not domain(address):
        return vouched, whether
    if relay is not None and relay.authserv_id is not None:
        passed = dmarc_pass(mail.results, relay.authserv_id)
        if passed == domain(address):
            return True, f"relay {relay.name} found that DMARC passes for {passed}"
        return False, f"{whether}; its Authentication-Results do not pass {domain(address)}"
    if checked is not None:
        return checked.aligned and checked.domain == domain(address), checked.words
    return False, whether


def _vouched(envelope: Envelope, address: str, policy: Policy) -> tuple[bool, str]:
    relay = policy.relay(envelope.relay)
    if relay is None:
        return False, "no configured relay handed it in"
    if domain(address) not in map(canonical, relay.authenticates):
        return False, f"relay {relay.name} does not vouch for {domain(address) or 'a From without a domain'}"
    if envelope.mail_from is None or canonical(envelope.mail_from) != address:
        return False, f"relay {relay.name} vouches for {domain(address)}, but the envelope sender is another"
    return True, f"relay {relay.name} vouches for {address}"


def _belongs(address: str, party: str, policy: Policy) -> bool:
    """Whether From is an address of the token's party: an agent has several, a customer one."""
    holder = policy.agent_of_address(party)
    return address == party or (holder is not None and address in holder.addresses)
