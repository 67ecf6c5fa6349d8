"""What one line of an admin writes down: events of the directory, names, persons, tickets set free.

A clerk lives as long as one line. It folds as it writes, so that the end of a line sees what its beginning did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches

from gateway.core.context import Context
from gateway.core.decision import Draft
from gateway.core.directory import AgentEntry, Directory, Kind, apply, effective
from gateway.core.directory_rows import DirectoryEvent, DirectoryKind, DirectoryName
from gateway.core.ledger import Ledger
from gateway.core.model import ActorKind
from gateway.core.policy import Policy
from gateway.core.profile import is_ours
from gateway.core.rows import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who asks: an operator, or the agent of a mail. ``cause`` is operator:<uid> or a spool id."""

    kind: ActorKind
    person: int | None
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """``said`` tells the admin what was done; empty ``rows``: nothing had to be."""

    rows: Rows
    drafts: tuple[Draft, ...]
    said: tuple[str, ...]
    directory: Directory


class Clerk:
    """Rows in the making, as core/ledger.Ledger for tickets. ``policy`` is the configuration's."""

    def __init__(self, directory: Directory, context: Context, policy: Policy, author: Author, now: datetime) -> None:
        self.directory, self.policy, self.author, self.now = directory, policy, author, now
        self.ledger = Ledger(context, author.cause, now, now)
        self.said: list[str] = []
        self._events: list[DirectoryEvent] = []
        self._names: dict[int, DirectoryName] = {}

    @property
    def effective(self) -> Policy:
        return effective(self.policy, self.directory)

    def entry(self, kind: Kind, name: str) -> int:
        """The entry of that name; a new one if there is none."""
        known = self.directory.entry(kind, name)
        return self.name(self.directory.next_entry, kind, name) if known is None else known

    def name(self, entry: int, kind: Kind, name: str, label: str = "") -> int:
        self._names[entry] = DirectoryName(entry=entry, kind=kind, name=name, label=label)
        self.directory = replace(self.directory, names={**self.directory.names, entry: self._names[entry]})
        return entry

    def person(self, address: str, name: str = "") -> int:
        number = self.ledger.person(address, name)
        self.directory = replace(self.directory, addresses={**self.directory.addresses, number: address})
        return number

    def event(
        self, kind: DirectoryKind, entry: int, *, person: int | None = None, other: int | None = None,
        queue: str | None = None, value: str | None = None,
    ) -> None:
        event = DirectoryEvent(
            seq=self.directory.folded.version + 1, at=self.now, recorded_at=self.now, kind=kind,
            actor_kind=self.author.kind, actor=self.author.person, cause=self.author.cause, entry=entry, person=person,
            other=other, queue=queue, value=value,
        )
        self.directory = replace(self.directory, folded=apply(self.directory.folded, event))
        self._events.append(event)

    def agent(self, login: str) -> tuple[int, AgentEntry]:
        """The entry of an agent who may be changed here. Raises ValueError."""
        if self.policy.agent(login) is not None:
            raise ValueError(f"{login} is declared in mailwicket.toml; change [[agent]] there and restart")
        number = self.directory.entry("agent", login)
        entry = self.directory.folded.agents.get(number or 0)
        if number is None or entry is None or entry.left:
            raise ValueError(f"{login} is no agent here; {near(login, (a.login for a in self.effective.agents))}")
        return number, entry

    def queue(self, name: str) -> str:
        if all(q.name != name for q in self.policy.queues):
            raise ValueError(f"{name} is no queue; {near(name, (q.name for q in self.policy.queues))}")
        return name

    def free(self, address: str, entry: int | None) -> str:
        """``address``, if it can be an agent's. Raises ValueError."""
        if is_ours(address, self.policy):
            raise ValueError(f"{address} is an address of the desk: its mail would come back to us")
        holder = self.effective.agent_of_address(address)
        if holder is not None and (entry is None or holder.login != self.directory.names[entry].name):
            raise ValueError(f"{address} is {holder.login}'s")
        return address

    def close(self, drafts: tuple[Draft, ...]) -> Done:
        rows = self.ledger.close(
            directory_names=tuple(self._names.values()), directory_events=tuple(self._events)
        ) if self._events else Rows()
        return Done(
            rows=rows, drafts=drafts, directory=self.directory,
            said=tuple(self.said) if self._events else ("nothing to change: it is so already",),
        )


def near(word: str, known: Iterable[str]) -> str:
    have = list(known)
    near = get_close_matches(word, have, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(have) or 'none'}"
