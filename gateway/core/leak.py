"""What must not go to a customer unseen: lines of our footer and of internal notes, reply addresses (ruling 3), and an
answer that a colleague's has overtaken (ruling 4).
"""

from __future__ import annotations

from gateway.core.case import Case
from gateway.core.footer import is_footer
from gateway.core.model import OURS_INSIDE
from gateway.core.token import hides_token, strip_tokens

SHORT = 20                          # letters; a line of a note shorter than this is too common to mean a leak
PIECE, STEP = 40, 10                # letters of a note that are looked for at once, and how far apart


def leftovers(case: Case, ticket: int, text: str, *, but: frozenset[int] = frozenset()) -> list[str]:
    """Lines of our footer or of an internal note that stand in what would go to the customer."""
    context = case.context
    inside: dict[int, tuple[int, ...]] = dict(context.notes)
    for number, mails in context.vendors.items():
        inside[number] = (*inside.get(number, ()), *(v.message for v in mails if v.message not in but))
    merged = [n for n in inside if (living := context.living(n)) is not None and living.id == ticket]
    numbers = [message for n in merged for message in inside[n] if message in context.stored]
    found = [line for line in text.splitlines() if is_footer(line)]
    answer = _plain(text)
    for number in numbers:
        note = _plain(context.stored[number].text.new_text)
        # Clients wrap lines anew, so a note is looked for piece by piece, blanks and line ends aside.
        pieces = (note[at:at + PIECE] for at in range(0, max(1, len(note) - PIECE + STEP), STEP))
        lines = (_plain(line) for line in context.stored[number].text.new_text.splitlines())
        if any(len(piece) >= SHORT and piece in answer for piece in (*pieces, *lines)):
            found += [line for line in text.splitlines() if _shares(_plain(line), note)]
    bare = strip_tokens(text, case.policy.reply_domain, "")
    found += [line for line in bare.splitlines() if hides_token(line)] or (["…"] if hides_token(bare) else [])
    return list(dict.fromkeys(found))


def _shares(line: str, note: str) -> bool:
    return len(line) >= SHORT and any(line[at:at + SHORT] in note for at in range(len(line) - SHORT + 1))


def ours_attached(case: Case) -> list[str]:
    """A mail of ours that goes along as a file ("attach original") would show notes and reply addresses."""
    return [OURS_INSIDE] if OURS_INSIDE in case.spooled.mail.defects else []


def _plain(line: str) -> str:
    """Letters only: case, blanks, line ends and quote marks aside."""
    return "".join(line.replace(">", " ").casefold().split())


def newer_answer(case: Case, ticket: int) -> str | None:
    """Ruling 4: who answered in public, and when, after the notice that this mail replies to."""
    state = case.context.tickets[ticket]
    notice = case.context.outbox.get(case.facts.match.outbox or 0)
    if notice is None or state.last_agent_at is None or state.last_agent == case.author():
        return None
    if state.last_agent_at <= notice.created_at:
        return None
    colleague = case.ledger.find(state.last_agent)
    known = case.policy.agent_of_address(colleague.address) if colleague else None
    name = known.name if known else (colleague.name or colleague.address) if colleague else "?"
    return f"{name}, {state.last_agent_at.strftime('%Y-%m-%d %H:%M UTC')}"
