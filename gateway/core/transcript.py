"""Orders carried out one after the other, and the words that say what came of each.

    > close ABC-1 ABC-2
      ABC-1: status open -> closed
      ABC-2: status open -> closed

Each order is all or nothing: its tickets change on a fork of the ledger, which is taken over only if none was refused.
All orders of a mail are one transaction. Five lines that nobody understands end it: the rest is likely no order at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.core import act, tell
from gateway.core.admin import AdminCommand, parse_admin
from gateway.core.changes import changes
from gateway.core.command_line import VALUES, row_of
from gateway.core.command_table import help_lines
from gateway.core.command_value import fold
from gateway.core.context import Search
from gateway.core.control_limit import Limit, read_limit
from gateway.core.control_lines import Order
from gateway.core.ledger import Ledger
from gateway.core.model import Command, Level
from gateway.core.policy import Agent, Policy
from gateway.core.rows import Ticket
from gateway.core.rows_beside import Listed
from gateway.core.subject import header_text

MOST_UNREAD: Final = 5
MOST_TOUCHED: Final = 20        # tickets that a mail may change without a second word (security §3.2)
MOST_CLOSED: Final = 10
CLOSING: Final = frozenset({"solved", "closed"})
_WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "unchanged": "nothing changed", "unread": "not understood: {why}", "comment": "a comment, since it begins with #; write it without",
        "unknown": "{ref} is not a ticket that you can see", "no_it": "no ticket was named before",
        "no_new": "{ref}: no line above made that ticket", "no_number": "{ref} is no number of that digest",
        "limited": "{ref} is outside of the limit", "limit": "from here on only tickets with {limit}",
        "no_limit": "no limit any more", "limits": "write limit queue=support status=open assignee=me tag=vip, or limit none",
        "stopped": "five lines were not understood: the rest was not read", "same": "{ref} is part of {into}",
        "since": "since then: {what}", "mail": "new mail of the customer", "new": "{ref} is new, made of {old}: {called}",
        "admin": "for the directory of people; a mail of its own tells what came of it",
        "no_admin": "this is for admins; you are {role} here", "no_login": "for this log in at the desk's own port to send it",
        "again": "ask again in a mail of its own", "nothing_undone": "there is no such transaction",
    },
    "de": {
        "unchanged": "nichts geändert", "unread": "nicht verstanden: {why}", "comment": "ein Kommentar, denn die Zeile beginnt mit #; ohne # schreiben",
        "unknown": "{ref} ist kein Ticket, das Sie sehen", "no_it": "vorher wurde kein Ticket genannt",
        "no_new": "{ref}: keine Zeile darüber hat dieses Ticket angelegt", "no_number": "{ref} ist keine Nummer jener Übersicht",
        "limited": "{ref} liegt außerhalb der Grenze", "limit": "ab hier nur Tickets mit {limit}",
        "no_limit": "keine Grenze mehr",
        "limits": "schreiben Sie limit queue=support status=open assignee=me tag=vip, oder limit none",
        "stopped": "fünf Zeilen waren nicht zu verstehen: der Rest wurde nicht gelesen", "same": "{ref} ist Teil von {into}",
        "since": "seither: {what}", "mail": "neue Mail des Kunden", "new": "{ref} ist neu, aus {old}: {called}",
        "admin": "für das Verzeichnis der Personen; eine eigene Mail sagt, was daraus wurde",
        "no_admin": "das ist für Admins; Sie sind hier {role}", "no_login": "melden Sie sich dafür am Port des Desks an und senden Sie es dort",
        "again": "bitte in einer eigenen Mail noch einmal fragen", "nothing_undone": "eine solche Transaktion gibt es nicht",
    },
}


def said(name: str, language: str, **values: str) -> str:
    """A line of ours in the agent's language."""
    return _WORDS["de" if language.partition("-")[0].casefold() == "de" else "en"][name].format(**values)


@dataclass
class Run:
    """One mail's orders on ``ledger``: what they did (``lines``), and how much of it there was."""

    ledger: Ledger
    actor: act.Actor
    agent: Agent
    level: Level                    # what orders are authorised at
    asks: Level                     # what questions are: reading needs proof now, not a second word later
    policy: Policy
    listed: Mapping[str, Listed] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    before: dict[int, Ticket] = field(default_factory=dict)     # changed tickets, as they were
    named: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    dangerous: bool = False         # an order that needs level 4
    admin: list[AdminCommand] = field(default_factory=list)
    sent_at: Level = 0              # level of the mail that holds the orders; lines of admins ask for a login
    done: int = 0
    refused: int = 0
    unread: int = 0
    _it: int | None = None
    _new: dict[str, int] = field(default_factory=dict)
    _limit: Limit | None = None

    def carry_out(self, orders: Iterable[Order]) -> None:
        for order in orders:
            if self.unread == MOST_UNREAD:
                self.lines += ["", self.say("stopped")]
                return
            self.lines += [f"> {header_text(order.line, 300)}"]
            answer = self._one(order)
            self.lines += [f"  {line}".rstrip() for line in answer]

    def say(self, name: str, **values: str) -> str:
        return said(name, self.agent.language, **values)

    def key(self, number: int) -> str:
        return f"{self.policy.key}-{number}"

    def _one(self, order: Order) -> list[str]:
        if order.kind == "unread":
            if order.why == "comment":
                return [self.say("comment")]
            self.unread += 1
            return [self.say("unread", why=order.why)]
        if order.kind == "limit":
            return [self._limited(order.value)]
        if order.kind == "admin":
            return [self._admin(order)]
        if order.kind in ("help", "search"):
            return self._asked(order)
        if order.kind == "undo":
            return self._undo(order)
        return self._order(order) if order.kind == "order" else []

    def _admin(self, order: Order) -> str:
        """Security §3.2: a login, an admin, and (core/control.py) a second word."""
        try:
            if self.agent.role != "admin":
                raise ValueError(self.say("no_admin", role=self.agent.role))
            if self.sent_at < 4:
                raise ValueError(self.say("no_login"))
            self.admin.append(parse_admin(order.line))
        except ValueError as error:
            self.refused += 1
            return str(error)
        return self.say("admin")

    # --- Which tickets ---

    def _ticket(self, ref: str) -> Ticket:
        """The living ticket of a ref. Raises Refused."""
        name = fold(ref)
        if ref in self.listed:
            number = self.listed[ref].ticket
        elif name in ("it", "es"):
            if self._it is None:
                raise act.Refused(self.say("no_it"))
            number = self._it
        elif name.startswith("-"):
            if name not in self._new:
                raise act.Refused(self.say("no_new", ref=ref))
            number = self._new[name]
        elif "-" not in name:
            raise act.Refused(self.say("no_number", ref=ref))
        else:
            number = int(name.rpartition("-")[2])
        found = self.ledger.living(number)
        if found is None or not tell.sees(self.agent, found, self.policy):
            raise act.Refused(self.say("unknown", ref=ref.upper()))
        if self._limit is not None and not self._limit.admits(found, self.ledger):
            raise act.Refused(self.say("limited", ref=self.key(found.id)))
        self._it = found.id
        self.named.add(found.id)
        return found

    def _limited(self, value: str) -> str:
        try:
            self._limit = read_limit(value, self.agent, self.policy)
        except ValueError:
            self.refused += 1
            return self.say("limits")
        if self._limit is None:
            return self.say("no_limit")
        return self.say("limit", limit=self._limit.words)

    # --- What they are told to do ---

    def _order(self, order: Order) -> list[str]:
        scratch, real, new = self.ledger.fork(), self.ledger, dict(self._new)
        told: list[str] = []
        since: list[str] = []
        done: dict[int, Ticket] = {}
        self.ledger = scratch
        try:
            for ref in order.refs:
                ticket = self._ticket(ref)
                done.setdefault(ticket.id, ticket)
                since = self._since(ref, ticket)
                told += [*since, *self._on(order, ref, ticket)]
        except act.Refused as error:
            self.refused += 1
            self._new = new
            return [*since, str(error)]
        finally:
            self.ledger = real
        if row_of(order.row).level > 3:
            self.dangerous = True
        self.ledger.adopt(scratch)
        self.done += 1
        for number, ticket in done.items():
            if self.ledger.ticket(number) != ticket:
                self.before.setdefault(number, ticket)
                if self.ledger.ticket(number).status in CLOSING and ticket.status not in CLOSING:
                    self.closed.add(number)
        return told

    def _on(self, order: Order, ref: str, ticket: Ticket) -> list[str]:
        """One order on one ticket. Raises Refused."""
        head = [] if ref.upper() == self.key(ticket.id) else [f"{ref} = {self.key(ticket.id)}"]
        command = order.command or self._tie(order)
        level = self.asks if order.row in ("show", "why") else self.level
        done = act.perform(
            [command], ticket.id, self.ledger, self.actor, level, self.policy, language=self.agent.language
        )
        if done.refused:
            raise act.Refused(f"{self.key(ticket.id)}: {done.refused[0][1]}")
        if order.row in ("show", "why"):
            return [*head, *tell.answers([replace(command, args=self.key(ticket.id) if order.row == "show" else "")],
                                         ticket.id, self.agent, self.ledger, self.policy, self.actor.offset)]
        if order.row == "split":
            return [*head, *self._split(order, ticket)]
        changed = done.changed or (self.say("unchanged"),)
        return [*head, *(line if line.startswith(f"{self.policy.key}-") else f"{self.key(ticket.id)}: {line}" for line in changed)]

    def _tie(self, order: Order) -> Command:
        """The command of merge, link or unlink, with the other ticket found."""
        it = self._it
        other = self.key(self._ticket(order.other).id)
        self._it = it
        value = f"{order.relation} {other}".strip()
        try:
            return Command(name=order.row, args=VALUES[order.row](value), line=order.line)
        except ValueError as error:
            raise act.Refused(str(error)) from None

    def _split(self, order: Order, ticket: Ticket) -> list[str]:
        lines = []
        for name in order.named or (f"-{len(self._new) + 1}",):
            number = act.split(self.ledger, ticket.id, order.value, None, self.actor, self.policy)
            self._new[name] = self._it = number
            lines.append(self.say("new", ref=self.key(number), old=self.key(ticket.id), called=name))
        return lines

    def _since(self, ref: str, ticket: Ticket) -> list[str]:
        """What others did to a listed ticket after the list was sent."""
        row = self.listed.get(ref)
        if row is None:
            return []
        if row.ticket != ticket.id:
            return [self.say("same", ref=self.key(row.ticket), into=self.key(ticket.id))]
        history = sorted(self.ledger.context.history.get(ticket.id, ()), key=lambda e: e.seq)
        later = [e for e in history[row.version:] if e.actor != self.actor.person or e.actor_kind != "agent"]
        mail = [self.say("mail")] if any(e.kind == "customer_reply" for e in later) else []
        what = [*mail, *changes(later, self.ledger, self.policy, self.agent.language, offset=self.actor.offset)]
        return [self.say("since", what="; ".join(what))] if what else []

    # --- Questions, and taking back ---

    def _asked(self, order: Order) -> list[str]:
        assert order.command is not None    # help and search have one
        if act.too_low([order.command], self.asks):
            self.refused += 1
            return [f"this needs a sender proven at level {row_of(order.row).level}; yours is {self.asks}"]
        self.done += 1
        if order.kind == "help":
            return help_lines(self.agent.language)
        if self._search(order) not in self.ledger.context.found:
            return [self.say("again")]
        return tell.found(order.command.args, self.agent, self.ledger.context, self.policy)

    def _search(self, order: Order) -> Search:
        return tell.read_search(order.value, self.agent, self.policy)

    def _undo(self, order: Order) -> list[str]:
        """A transaction is all that one mail did, on whatever tickets."""
        assert order.command is not None    # undo has one
        mark, history = order.command.args, self.ledger.context.history
        touched = {n: t for n, events in history.items()
                   if (t := self.ledger.living(n)) is not None and any(e.cause == mark for e in events)}
        seen = [n for n, t in touched.items() if tell.sees(self.agent, t, self.policy)]
        if not mark or not touched or len(seen) < len(touched):
            self.refused += 1
            return [self.say("nothing_undone")]
        before = {n: self.ledger.ticket(n) for n in touched}
        done = act.perform(
            [order.command], min(seen), self.ledger, self.actor, self.level, self.policy, language=self.agent.language
        )
        if done.refused:
            self.refused += 1
            return [done.refused[0][1]]
        self.done += 1
        self.named |= set(seen)
        for n, t in before.items():
            self.before.setdefault(n, t)
        first = self.key(min(seen))
        return [line if line.startswith(f"{self.policy.key}-") else f"{first}: {line}" for line in done.changed]

    @property
    def can_be_undone(self) -> bool:
        """A ticket that was made stays."""
        return bool(self.before) and not self._new

    @property
    def many(self) -> bool:
        """More than a mail may do without a second word."""
        return len(self.before) > MOST_TOUCHED or len(self.closed) > MOST_CLOSED
