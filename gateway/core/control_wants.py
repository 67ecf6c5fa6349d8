"""What a control mail, or the answer to a digest, will ask of the store: as core/wants.py, but its orders stand on every line."""

from __future__ import annotations

import re
from typing import Final

from gateway.core.address import canonical
from gateway.core.command_line import row_of
from gateway.core.control_lines import addresses_in, refs_in
from gateway.core.model import Spooled
from gateway.core.policy import Policy
from gateway.core.proof import to_control, tokens
from gateway.core.tell import read_search
from gateway.core.wants import MOST_SEARCHES, Wants, wanted

READ: Final = 50_000    # characters


def _line(name: str, value: str) -> re.Pattern[str]:
    words = "|".join((name, *row_of(name).aliases))
    return re.compile(rf"^\s*#?\s*(?:{words})[ \t]+({value})", re.IGNORECASE | re.MULTILINE)


UNDO = _line("undo", r"[0-9A-Z]{20,32}\b")
SEARCH = _line("search", r".{1,300}$")


def mail_wants(spooled: Spooled, policy: Policy) -> Wants:
    """The wants of any mail: of a control mail all that its lines name, of others those of their commands on top."""
    mail, top = spooled.mail, wanted(spooled.mail, policy)
    agent = policy.agent_of_address(canonical(mail.sender.address)) if mail.sender is not None else None
    orders = _orders(spooled, policy)
    if agent is None or not orders:
        return top
    searches = {read_search(words.strip(), agent, policy) for words in SEARCH.findall(orders)[:MOST_SEARCHES]}
    return Wants(
        tickets=top.tickets | refs_in(orders, policy.key), addresses=top.addresses | addresses_in(orders), reasons=True,
        more=True, undone=top.undone | {mark.upper() for mark in UNDO.findall(orders)}, searches=top.searches | searches,
    )


def tickets_ordered(spooled: Spooled, policy: Policy) -> set[int]:
    """The tickets that a control mail names; of other mail none."""
    return refs_in(_orders(spooled, policy), policy.key)


def _orders(spooled: Spooled, policy: Policy) -> str:
    return spooled.mail.text[:READ] if to_control(spooled, policy, tokens(spooled, policy)) else ""
