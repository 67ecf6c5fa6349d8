"""What the configuration allows, as frozen values; gateway/config.py reads TOML into these.

Nothing here reads a file or the environment. Addresses are canonical (core/address.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.core.address import domain
from gateway.core.token import Keyring

AgentRole = Literal["light", "agent", "lead", "admin"]
QueueRole = Literal["none", "light", "agent", "lead", "admin"]      # none: the queue is hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """A queue's account at a provider, instead of an MX record (architecture §3). Its address is the queue's."""

    name: str                       # the ``relay`` of the envelopes of its mail
    subaddressing: bool = False     # support+anything@ is delivered to support@ (RFC 5233)
    agent: str | None = None        # login of who writes straight from it


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A desk window: the addresses customers write to and the agents who answer there."""

    name: str
    addresses: tuple[str, ...]      # the first is the one we write from
    from_name: str
    agents: tuple[str, ...]         # logins, told of unassigned tickets
    language: str = "en"
    acknowledge: bool = True
    everybody: bool = False         # nobody is named: ``agents`` are all who answer here
    mailbox: Mailbox | None = None  # None: its mail is handed to us (MX, LMTP)

    @property
    def address(self) -> str:
        return self.addresses[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    login: str
    name: str
    addresses: tuple[str, ...]      # the first is where we write to
    role: AgentRole = "agent"
    language: str = "en"
    digest: str | None = None       # "07:30" in ``zone``; '' for none; None: as the desk has it
    zone: str = ""                  # '' is the desk's
    roles: tuple[tuple[str, QueueRole], ...] = ()   # by queue, where it is another
    elsewhere: bool = True          # ``role`` holds in the queues that ``roles`` does not name; else they are hidden

    @property
    def address(self) -> str:
        return self.addresses[0]

    def role_in(self, queue: str) -> AgentRole | None:
        """His role in a queue; None: he does not see it. An admin sees all that is not hidden from him by name."""
        named = dict(self.roles).get(queue)
        if named is not None:
            return None if named == "none" else named
        return self.role if self.elsewhere or self.role == "admin" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    name: str
    members: tuple[str, ...]        # logins


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A customer company. ``shared``: its people may add to each other's tickets."""

    name: str
    domains: tuple[str, ...]        # of addresses, canonical; no domain below them
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A host that hands us mail. It vouches that From in ``authenticates`` is its logged-in user."""

    name: str
    networks: tuple[str, ...]       # "127.0.0.1/32"
    authenticates: tuple[str, ...] = ()   # domains
    authserv_id: str | None = None        # whose Authentication-Results are the relay's own (RFC 8601)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``when`` is one SQL expression over the relation ``mail``; ``then`` are command lines."""

    name: str
    when: str
    then: tuple[str, ...] = ()
    stop: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of the desk's own, for ``#field name=value``."""

    name: str
    type: Literal["text", "number", "date", "choice"] = "text"
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro:
    """A prepared answer. ``{customer}``, ``{agent}`` and ``{ticket}`` in it are filled; ``then`` are command lines."""

    name: str
    text: str = ""
    then: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """How much automatic mail we send at most (security: loops end by budgets, not by headers)."""

    acks_per_address_hour: int = 3
    acks_per_address_day: int = 10
    acks_per_domain_hour: int = 60
    automatic_per_ticket_hour: int = 5
    automatic_per_ticket_day: int = 20
    tickets_per_address_hour: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything a decision may know of the configuration."""

    host: str                       # domain of our Message-IDs
    key: str                        # "ABC" in ABC-123
    reply_domain: str               # domain of token and bounce addresses; '' if every queue is a mailbox
    keys: Keyring
    queues: tuple[Queue, ...]
    agents: tuple[Agent, ...]
    relays: tuple[Relay, ...] = ()
    rules: tuple[Rule, ...] = ()
    budgets: Budgets = field(default_factory=Budgets)
    lists: frozenset[str] = frozenset()     # mailing lists that write their own address into From
    reply_to_token: bool = False    # customers get a token in Reply-To
    fields: tuple[Field, ...] = ()
    macros: tuple[Macro, ...] = ()
    control: tuple[str, ...] = ()   # addresses that take many commands in one mail
    digest: str = ""                # "07:30": when agents get theirs, '' for never
    zone: str = "UTC"
    teams: tuple[Team, ...] = ()
    organisations: tuple[Organisation, ...] = ()
    _own: frozenset[str] = field(init=False, repr=False, compare=False)
    _by_login: dict[str, Agent] = field(init=False, repr=False, compare=False)
    _by_address: dict[str, Agent] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Each mail asks for these some fifty times, and there may be a thousand agents."""
        last_first = self.agents[::-1]
        object.__setattr__(self, "_own", frozenset((*(a for q in self.queues for a in q.addresses), *self.control)))
        object.__setattr__(self, "_by_login", {a.login: a for a in last_first})
        object.__setattr__(self, "_by_address", {address: a for a in last_first for address in a.addresses})

    def queue(self, name: str) -> Queue:
        """The queue called ``name``; the first one if it is gone from the configuration."""
        return next((q for q in self.queues if q.name == name), self.queues[0])

    def queue_of_address(self, address: str) -> Queue | None:
        return next((q for q in self.queues if address in q.addresses), None)

    def queue_of_mailbox(self, name: str | None) -> Queue | None:
        """The queue whose mailbox is called ``name``."""
        return next((q for q in self.queues if q.mailbox is not None and q.mailbox.name == name), None)

    def agent(self, login: str) -> Agent | None:
        return self._by_login.get(login)

    def agent_of_address(self, address: str) -> Agent | None:
        return self._by_address.get(address)

    def role(self, login: str, queue: str) -> AgentRole | None:
        """The role of an agent in a queue; None if he does not see it, or is no agent."""
        agent = self.agent(login)
        return agent.role_in(queue) if agent is not None else None

    def may_see(self, login: str, queue: str) -> bool:
        return self.role(login, queue) is not None

    def told(self, queue: str) -> tuple[Agent, ...]:
        """Who hears of unassigned tickets of a queue; nobody from whom it is hidden."""
        found = map(self.agent, self.queue(queue).agents)
        return tuple(a for a in found if a is not None and a.role_in(queue) is not None)

    def team(self, name: str) -> Team | None:
        return next((t for t in self.teams if t.name == name), None)

    def organisation_of(self, address: str) -> Organisation | None:
        """The company that ``address`` belongs to by its domain."""
        of = domain(address) if address else ""
        return next((o for o in self.organisations if of and of in o.domains), None)

    def colleagues(self, one: str, other: str) -> bool:
        """Whether both addresses are of one organisation whose people share their tickets."""
        home = self.organisation_of(one)
        return home is not None and home.shared and self.organisation_of(other) == home

    def relay(self, name: str | None) -> Relay | None:
        return next((r for r in self.relays if r.name == name), None)

    def own_addresses(self) -> frozenset[str]:
        return self._own
