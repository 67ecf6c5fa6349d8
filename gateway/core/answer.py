"""An agent's mail on a ticket: commands, public answer, internal note, or held with a question.

Nothing of an agent's mail reaches a customer unless every line of it is understood: a mistyped
command, a left-over of our own notice or of a note, a colleague's newer answer, an unproven
sender each hold the whole mail (decision 10, rulings 3, 4, 8).
"""

from __future__ import annotations

from gateway.core import act, held
from gateway.core.authority import may
from gateway.core.case import Case
from gateway.core.command_line import row_of
from gateway.core.decision import Decision
from gateway.core.leak import leftovers, newer_answer, ours_attached
from gateway.core.policy import Agent
from gateway.core.posting import attached, carry_out, expanded, is_rehearsal, no_macro, rehearse
from gateway.core.release import RELEASES, confirmed, release
from gateway.core.stray import misplaced


def agent_mail(case: Case) -> Decision:
    """Decide a mail whose From is an agent's and that belongs to a ticket."""
    agent, ticket = case.agent, case.ticket
    assert agent is not None    # conclude.CASES asks for both
    assert ticket is not None
    if case.facts.identity.level < 3:
        return confirmed(case, agent, internal=_is_note(case))
    if is_rehearsal(case):
        return rehearse(case, agent, agent_mail)
    if case.facts.block.suspects:
        return held.hold(case, agent, "commands", case.facts.block.suspects)
    role = agent.role_in(case.ledger.ticket(ticket).queue)
    needs = {c.line: row_of(c.name).who for c in case.facts.block.commands}
    if barred := [(line, who) for line, who in needs.items() if not may(who, role)]:
        return held.hold(case, agent, "role", barred)
    # Whatever a light agent writes is a note, and he is told so.
    return _understood(case, agent, ticket, internal=_is_note(case) or role == "light")


def _understood(case: Case, agent: Agent, ticket: int, *, internal: bool) -> Decision:
    """Its commands are known, and for this agent."""
    block = case.facts.block
    text = block.text.strip()
    # Asked first: nobody could see it any more when the mail has waited for a word.
    if not internal and (inside := ours_attached(case)):
        return held.hold(case, agent, "leftover", [(line, "") for line in inside])
    if case.released is None and (waits := held.why_it_waits(case)):
        return held.hold(case, agent, waits, internal=_is_note(case))
    if any(c.name in RELEASES for c in block.commands):
        return release(case, agent, ticket, held.waiting_mail(case))
    try:
        said = expanded(case, agent, ticket, text, block.commands)
    except act.Refused as error:
        return no_macro(case, agent, block.commands, error)
    if internal and case.to_relay():
        return held.hold(case, agent, "outside")
    if not (text or block.commands or attached(case.spooled.mail.parts)):
        return held.hold(case, agent, "empty")
    if not internal and (stray := misplaced(text, case.policy.fields)):
        return held.hold(case, agent, "commands", stray)
    if not internal and (leaks := leftovers(case, ticket, text)):
        return held.hold(case, agent, "leftover", [(line, "") for line in leaks])
    if said.text and not internal and case.released is None and (newer := newer_answer(case, ticket)):
        return held.hold(case, agent, "stale", [(newer, "")])
    if act.too_low(said.commands, case.facts.identity.level):
        return held.hold(case, agent, "confirm", internal=_is_note(case))
    return carry_out(case, agent, ticket, said, internal)


def _is_note(case: Case) -> bool:
    names = {c.name for c in case.facts.block.commands}
    return ("note" in names or case.facts.match.audience == "internal") and "public" not in names
