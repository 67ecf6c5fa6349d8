"""What the commands of a mail will ask of the store, seen from its text alone, before anything is known of it.

Rather too much than too little: an act that meets a person or a ticket which was not loaded would take them for
unknown. Only the top of the text is read, where commands stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.core.address import canonical
from gateway.core.command import MOST_SUFFIX
from gateway.core.command_line import row_of
from gateway.core.context import Search
from gateway.core.model import Mail
from gateway.core.policy import Agent, Policy
from gateway.core.tell import read_search

TOP: Final = 2_000      # characters of the text in which a command may name another ticket
MOST_SEARCHES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """``tickets`` and ``addresses`` are named in lines of commands; ``more``: all of its ticket (Needs.more_of)."""

    tickets: frozenset[int]
    addresses: frozenset[str]
    reasons: bool
    more: bool = False
    undone: frozenset[str] = frozenset()
    searches: frozenset[Search] = frozenset()


def _any(*names: str) -> re.Pattern[str]:
    words = "|".join(word for name in names for word in (name, *row_of(name).aliases))
    return re.compile(rf"#\s*(?:{words})\b", re.IGNORECASE)


WHY = _any("why")
# What of a ticket only few commands ask, and costs a look through all events: those of these, of macros and of own fields.
MORE = _any("undo", "show", "field", "link", "unlink", "macro", "split", "fwd")
MORE_KEYS = re.compile(r"^\s*(?:cf\.\{|field:|feld:|dependson:|dependedonby:|memberof:|members:|refersto:|referredtoby:)", re.IGNORECASE | re.MULTILINE)
UNDO = re.compile(rf"{_any('undo').pattern}[ \t:=]+([0-9A-Z]{{20,32}})\b", re.IGNORECASE)
SEARCH = re.compile(rf"^\s*{_any('search').pattern}[ \t:=]+(.{{1,300}})$", re.IGNORECASE | re.MULTILINE)
# Lines that may name a ticket by its bare number, and those that may name people.
NUMBERED = re.compile(r"^\s*(?:#\s*\w+|dependson|dependedonby|memberof|members|refersto|referredtoby)\b.{0,300}?\b([0-9]{1,15})\]?\s*$", re.IGNORECASE | re.MULTILINE)
PEOPLE = re.compile(r"^\s*(?:#|addcc|delcc|requester|requestor|kunde)[^\n]{0,1000}@[^\n]{1,300}", re.IGNORECASE | re.MULTILINE)
PERSON = re.compile(r"[^\s<>,;:=]{1,64}@[^\s<>,;:=]{1,255}")


def wanted(mail: Mail, policy: Policy) -> Wants:
    agent = policy.agent_of_address(canonical(mail.sender.address)) if mail.sender is not None else None
    return wanted_of(mail.text, mail.subject, agent, policy)


def wanted_of(text: str, subject: str, agent: Agent | None, policy: Policy) -> Wants:
    """``wanted`` by the words of a mail and its writer, None if he is no agent."""
    top, suffix = text[:TOP], subject[-MOST_SUFFIX:]
    # With the key, or bare behind a command as in "#merge 12".
    mention = re.compile(rf"(?:\b{re.escape(policy.key)}-|#\w+[ \t:=]+\[?)(\d{{1,15}})\b", re.IGNORECASE)
    tickets = frozenset(int(n) for n in (*mention.findall(top), *NUMBERED.findall(top)))
    written = (a for line in PEOPLE.findall(f"{top}\n#{suffix}") for a in PERSON.findall(line))
    addresses = frozenset(canonical(a.lstrip("+-").rstrip("]").removeprefix("mailto:")) for a in written)
    reasons = WHY.search(top) is not None
    if agent is None:
        return Wants(tickets=tickets, addresses=addresses, reasons=reasons)
    asked = SEARCH.findall(top)[:MOST_SEARCHES]
    return Wants(
        tickets=tickets, addresses=addresses, reasons=reasons, more=_asks_more(top, suffix, policy),
        undone=frozenset(mark.upper() for mark in UNDO.findall(top)),
        searches=frozenset(read_search(words.strip(), agent, policy) for words in asked),
    )


def _asks_more(top: str, suffix: str, policy: Policy) -> bool:
    """Whether a command in it needs more of its ticket than every mail does; rather once too often."""
    own = (word for f in policy.fields for word in (f.name, *f.aliases))
    return bool(
        MORE.search(top) or MORE.search(re.sub(r"[\[;]\s*", "#", suffix)) or MORE_KEYS.search(top)
        or any(word.casefold() in (top + suffix).casefold() for word in own)
    )
