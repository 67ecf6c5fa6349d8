"""Who is of the desk and who is a customer, in mail that nobody vouches for: an archive.

An agent is who the operator names (``--agents``), a configured agent, anybody of a configured agent's domain
unless half the world has it, the queues' own addresses, and whoever wrote what lies in a Sent folder. Who
opens a conversation by writing to the desk alone is its customer, a colleague too.

Limits: From is believed, as the operator believes his archive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.core.address import canonical, domain
from gateway.core.model import Mail, MailClass
from gateway.core.policy import Policy
from gateway.core.profile import is_ours
from gateway.core.proof import ADDRESSES_READ

# A desk whose agents write from there is not the home of everybody else who does.
PUBLIC_PROVIDERS: Final = frozenset((
    "126.com", "163.com", "aol.com", "bluewin.ch", "fastmail.com", "free.fr", "freenet.de", "gmail.com", "gmx.at", "gmx.ch", "gmx.com",
    "gmx.de", "gmx.net", "googlemail.com", "hey.com", "hotmail.com", "hotmail.co.uk", "hotmail.de", "hotmail.fr", "icloud.com",
    "laposte.net", "libero.it", "live.com", "live.de", "mac.com", "mail.com", "mail.ru", "mailbox.org", "me.com", "msn.com",
    "naver.com", "orange.fr", "outlook.com", "outlook.de", "outlook.fr", "pm.me", "posteo.de", "proton.me", "protonmail.com",
    "qq.com", "rocketmail.com", "seznam.cz", "sfr.fr", "t-online.de", "tuta.com", "tutanota.com", "tutanota.de", "wanadoo.fr",
    "web.de", "wp.pl", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.de", "yahoo.es", "yahoo.fr", "yahoo.it", "yandex.com",
    "yandex.ru", "ymail.com", "zoho.com",
))
# Classes in which a person speaks; bulk mail may, see ``is_person``.
_NOT_POSTED: Final = ("", "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """The desk's side, by canonical addresses and domains."""

    addresses: frozenset[str]
    domains: frozenset[str]

    def has(self, address: str) -> bool:
        return address in self.addresses or domain(address) in self.domains


def agents_of(policy: Policy, named: Iterable[str]) -> Agents:
    """Those of the configuration and those ``named``: addresses, or domains with or without a leading @."""
    given = [canonical(n.strip()) for n in named if n.strip()]
    configured = [a for agent in policy.agents for a in agent.addresses]
    domains = {domain(a) for a in configured} - PUBLIC_PROVIDERS
    return Agents(
        addresses=frozenset((*configured, *(n for n in given if n.rpartition("@")[0]), *policy.own_addresses())),
        domains=frozenset(domains | {n.rpartition("@")[2] for n in given if not n.rpartition("@")[0]}),
    )


def recipients(mail: Mail) -> list[str]:
    """To and Cc, canonical, each once."""
    return list(dict.fromkeys(canonical(a.address) for a in (*mail.to, *mail.cc)[:ADDRESSES_READ]))


def outsiders(mail: Mail, agents: Agents, policy: Policy) -> list[str]:
    """Who stands on To and Cc and is neither the desk nor an agent."""
    return [a for a in recipients(mail) if not agents.has(a) and not is_ours(a, policy)]


def is_person(mail: Mail, kind: MailClass) -> bool:
    """Whether a person speaks. List mail counts if it can be answered on the list (RFC 2369 §3.4) or answers something."""
    if kind != "bulk":
        return kind == "human"
    post = mail.header("list-post").strip().partition(" ")[0].casefold()
    return post not in _NOT_POSTED or bool(mail.in_reply_to or mail.references)


def opener_is_customer(mail: Mail, address: str, *, sent: bool, agents: Agents, policy: Policy) -> bool:
    """Whether the first mail of a conversation is a customer's: not the desk's, or a colleague's to the desk alone."""
    if sent or address in policy.own_addresses():
        return False
    if not agents.has(address):
        return True
    return any(is_ours(a, policy) for a in recipients(mail)) and not outsiders(mail, agents, policy)
