"""What ends a mail and is not its message: signatures, lines of phones, footers of lists, legal notices.

``mark_signatures`` marks lines, it deletes none. It is careful: what a person may have written himself
stays text, so a signature without a line of its own above it is only seen where it is a phone's, where a
rule or a set phrase and an address or number show it, or where two phrases of lawyers meet in a paragraph.
Linear: every line is looked at a bounded number of times, and patterns see short pieces.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import Final, Literal

from gateway.core.signature_words import (
    CONTACT,
    DIVIDER,
    FOOTER,
    LEGAL,
    LIST_RULE,
    MOBILE,
    MOST_MOBILE,
    NAME,
    REGARDS,
    SIGNATURE,
    SIGNED,
)

Kind = Literal["text", "blank", "quote", "ours", "signature", "closing"]    # a closing is part of a signature

MOST_SHOWN: Final = 400         # of a line, to the patterns
FOOTER_LINES: Final = 4         # of a mailing list, the rule above it included
BLOCK_LINES: Final = 8          # of a signature below a rule or a set phrase
BLOCK_WIDTH: Final = 80         # characters; longer lines are sentences
LEGAL_LENGTH: Final = 60        # characters that a legal notice has at least
LEGAL_READ: Final = 2_000       # of a paragraph, to the patterns
LEGAL_RULE: Final = 8           # characters of a rule around a legal notice
MOST_PARAGRAPHS: Final = 60     # at the end of a stretch, that may be footers
CODE_FENCE: Final = "```"


def mark_signatures(lines: list[str], kinds: list[Kind], *, knows_ours: bool = False) -> None:
    """Mark what ends each stretch of the author's text.

    A stretch ends where a quote begins, because those who answer below may sign above as well. ``knows_ours``
    says that lines of ours are marked already, so that what is left below a phone's line is the author's.
    """
    start = 0
    for end in (*(i for i, kind in enumerate(kinds) if kind in ("quote", "ours")), len(kinds)):
        if start < end:
            _mark(lines, kinds, start, end, knows_ours=knows_ours)
        start = end + 1


def _mark(lines: list[str], kinds: list[Kind], start: int, end: int, *, knows_ours: bool) -> None:
    # RFC 3676 §4.3
    cut = next((i for i in range(start, end) if SIGNATURE.match(lines[i][:MOST_SHOWN])), end)
    _fill(kinds, cut, end)
    said = [i for i in range(start, cut) if kinds[i] == "text"]
    for at in said[-FOOTER_LINES:]:
        if LIST_RULE.fullmatch(lines[at].strip()):
            _cut(kinds, said, at, end)
            break
    phone = _phone(lines, kinds, said)
    if phone is not None:
        _fill(kinds, phone, phone + 1 if knows_ours else end)
        said = [i for i in said if kinds[i] == "text"]
    said = _legal(lines, kinds, said)
    while said and (begins := _ending(lines, kinds, said)) is not None:
        _cut(kinds, said, begins, said[-1] + 1)
    if said and (begins := _closing(lines, kinds, said)) is not None:
        _fill(kinds, begins, said[-1] + 1, "closing")


def _fill(kinds: list[Kind], start: int, end: int, kind: Kind = "signature") -> None:
    for i in range(start, end):
        kinds[i] = kind


def _cut(kinds: list[Kind], said: list[int], at: int, end: int) -> None:
    """Mark the lines from ``at`` and take them off ``said``."""
    _fill(kinds, at, end)
    del said[bisect_left(said, at) :]


def _phone(lines: list[str], kinds: list[Kind], said: list[int]) -> int | None:
    """A phone's line with text above it: what stands below is what the phone quotes, without a mark."""
    for at in said[1:]:
        alone = kinds[at - 1] != "text" and (at + 1 >= len(kinds) or kinds[at + 1] != "text")
        if alone and _is_phone(lines[at]):
            return at
    return None


def _is_phone(line: str) -> bool:
    return len(line) <= MOST_MOBILE and MOBILE.match(line) is not None


# --- The last lines -------------------------------------------------------------------------


def _ending(lines: list[str], kinds: list[Kind], said: list[int]) -> int | None:
    """Where the last thing begins that is no message, or None."""
    last = said[-1]
    line = lines[last][:MOST_SHOWN]
    if _is_phone(line) or DIVIDER.match(line):
        return last
    alone = last == said[0] or kinds[last - 1] != "text"
    if alone and len(said) > 1 and SIGNED.match(line):
        return last
    return _block(lines, said)


def _tail(said: list[int]) -> list[int]:
    """The last lines, the last one first; what a mail begins with is never its signature."""
    return said[max(1, len(said) - BLOCK_LINES - 1) :][::-1]


def _block(lines: list[str], said: list[int]) -> int | None:
    """A rule, a name below it, and short lines with an address or a number."""
    has_contact = False
    for at in _tail(said):
        line = lines[at][:MOST_SHOWN].strip()
        if len(line) > BLOCK_WIDTH:
            return None
        if has_contact and DIVIDER.match(line):
            return at if NAME.fullmatch(lines[at + 1].strip()[:BLOCK_WIDTH]) else None
        has_contact = has_contact or CONTACT.search(line) is not None
    return None


def _closing(lines: list[str], kinds: list[Kind], said: list[int]) -> int | None:
    """"Kind regards" and what stands below it, where it plainly is a stored signature.

    It hangs together and the name is whole, or it has an address or a number. Who types his name below a blank
    line wrote it himself.
    """
    has_contact = False
    for count, at in enumerate(_tail(said)):
        line = lines[at][:MOST_SHOWN].strip()
        if len(line) > BLOCK_WIDTH:
            return None
        if count and REGARDS.fullmatch(line.rstrip(" ,.!:–-")):
            together = all(kinds[i] == "text" for i in range(at, said[-1] + 1)) and " " in lines[at + 1].strip()
            return at if has_contact or together else None
        has_contact = has_contact or CONTACT.search(line) is not None
    return None


# --- Legal notices and footers --------------------------------------------------------------


def _legal(lines: list[str], kinds: list[Kind], said: list[int]) -> list[int]:
    """Mark the notices at the end of ``said``: paragraph by paragraph, or whole boxes between rules."""
    paragraphs = _paragraphs(lines, kinds, said)
    marked: set[int] = set()
    rules = [i for i, each in enumerate(paragraphs) if _is_rule(lines, each)]
    phrases = {i: _phrases(lines, paragraphs[i]) for i in range(rules[0] if rules else len(paragraphs), len(paragraphs))}
    for first, behind in pairwise([*rules, len(paragraphs)]):
        inside = range(first + 1, behind)
        closed = behind < len(paragraphs)
        size = sum(_size(lines, paragraphs[i]) for i in inside)
        # Within a closed box each paragraph may have one phrase, if the box has several.
        legal = sum(_size(lines, paragraphs[i]) for i in inside if len(phrases[i]) > (not closed))
        if legal * 2 > size and len(set().union(*(phrases[i] for i in inside))) > 1:
            marked.update((first, *inside, behind) if closed else (first, *inside))
    for i in range(len(paragraphs) - 1, 0, -1):
        if i not in marked and len(phrases[i] if i in phrases else _phrases(lines, paragraphs[i])) < 2:
            break
        marked.add(i)
    for i in marked:
        _fill(kinds, paragraphs[i][0], paragraphs[i][-1] + 1)
    return [i for i in said if kinds[i] == "text"]


def _paragraphs(lines: list[str], kinds: list[Kind], said: list[int]) -> list[list[int]]:
    """The last paragraphs of ``said``, as lines; a rule is one of its own."""
    out: list[list[int]] = []
    for at in reversed(said):
        rule = _is_rule(lines, [at])
        joined = bool(out) and not rule and out[-1][0] == at + 1 and not _is_rule(lines, out[-1])
        if joined:
            out[-1].insert(0, at) if len(out[-1]) < BLOCK_LINES * 4 else out.append([at])
        elif len(out) == MOST_PARAGRAPHS:
            break
        else:
            out.append([at])
    return out[::-1]


def _is_rule(lines: list[str], paragraph: list[int]) -> bool:
    line = lines[paragraph[0]][:MOST_SHOWN].strip()
    return len(paragraph) == 1 and len(line) >= LEGAL_RULE and DIVIDER.match(line) is not None


def _size(lines: list[str], paragraph: list[int]) -> int:
    return sum(len(lines[i]) for i in paragraph)


def _phrases(lines: list[str], paragraph: list[int]) -> frozenset[int]:
    """Which phrases of lawyers a paragraph has; two make it a notice. A footer counts as two."""
    text = " ".join(lines[i].strip()[:LEGAL_READ] for i in paragraph)[:LEGAL_READ]
    if FOOTER.match(text.lstrip("*_-–—# ")):
        return frozenset((-1, -2))
    if len(text) < LEGAL_LENGTH:
        return frozenset()
    folded = text.lower()
    return frozenset(i for i, words in enumerate(LEGAL) if any(word in folded for word in words))
