"""What the author newly wrote, apart from what he quotes and signs with.

``split_reply`` cuts nothing that it does not understand: text below or between quotes is an answer
and is kept with the quotes it answers. It is linear in the size of the mail: every line is looked
at a bounded number of times, and patterns (core/quote_words.py) only ever see short pieces of text.

The best evidence is the mail of ours that is answered (``sent``): lines of it are quotes, however
the client marks or wraps them. Without it we know ``>`` quotes, the one-line headers before them
("On … wrote:"), Outlook's header blocks, separators, and signatures after ``-- ``.

Limits: text below an unmarked quote cannot be told from it without ``sent``. A signature without
``-- `` is kept as text, unless it is one that phones add.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from gateway.core.quote_words import (
    BARE_HEADER,
    FIELD,
    FIELD_FIRST,
    FORWARD,
    HEADER_END,
    HEADER_PROOF,
    HEADER_STARTS,
    HEADER_VERBS,
    LIST_RULE,
    MOBILE,
    MOST_MOBILE,
    RULE,
    SEPARATOR,
    SIGNATURE,
)

Kind = Literal["text", "blank", "quote", "ours", "signature"]

MOST_LOOKED: Final = 20_000     # lines; below them only ">" is seen
MOST_HEADERS: Final = 1_000     # lines that may end "On … wrote:"
MOST_SHOWN: Final = 400         # of a line, to the patterns
MOST_FIELD: Final = 60          # of a line, to the patterns of "From:"
HEADER_LINES: Final = 4         # that a wrapped "On … wrote:" may have
FIELD_LINES: Final = 8          # in which a block of Outlook's fields must show three
TELLING: Final = 12             # characters that make a line of ours more than a greeting
FOOTER_LINES: Final = 4         # of a mailing list, the rule above it included
BLANK_RUN: Final = re.compile(r"\n{3,}")
LONE: Final = 30                # characters by which one unmarked line alone is a quote, at the very end
WORDS: Final = 3                # consecutive words by which a re-wrapped line of ours is known


@dataclass(frozen=True, slots=True)
class Split:
    new: str
    quoted: str
    signature: str


def split_reply(text: str, sent: str | None = None) -> Split:
    """The new text of ``text``, what it quotes, and its signature; ``new`` may be ''."""
    lines = BLANK_RUN.sub("\n\n", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    kinds = _kinds(lines, sent)
    headers = _headers(lines, kinds)
    end = _hard_end(lines, kinds, headers)
    below = lines[end:]
    lines, kinds = lines[:end], kinds[:end]
    for start, after in headers.items():
        if start < end:
            kinds[start:after] = ["ours"] * (after - start)
    _mark_signatures(lines, kinds)
    kept, quoted = _soft_quotes(lines, kinds)
    signature = [line for line, kind in zip(lines, kinds, strict=True) if kind == "signature"]
    return Split(_join(kept), _join([*quoted, *below]), _join(signature))


def _join(lines: list[str]) -> str:
    """Lines as text: runs of blank lines become one, none at either end."""
    kept: list[str] = []
    for line in lines:
        if line.strip():
            kept.append(line.rstrip())
        elif kept and kept[-1]:
            kept.append("")
    return "\n".join(kept).rstrip("\n")


# --- What each line is ----------------------------------------------------------------------


def _kinds(lines: list[str], sent: str | None) -> list[Kind]:
    kinds: list[Kind] = []
    for line in lines:
        start = line[:8].lstrip()
        kinds.append("quote" if start.startswith(">") else "text" if line.strip() else "blank")
    if sent is not None:
        _mark_ours(lines, kinds, sent)
    return kinds


def _norm(line: str) -> str:
    return " ".join(line.lstrip("> |\t\u00a0").casefold().split())


def _trigrams(words: list[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)]


def _mark_ours(lines: list[str], kinds: list[Kind], sent: str) -> None:
    """Mark the runs of lines that stand in ``sent``: whole, or re-wrapped."""
    whole = {_norm(line) for line in sent.splitlines()} - {""}
    known = set(_trigrams(_norm(" ".join(sent.split())).split()))
    norms = [_norm(line) for line in lines[:MOST_LOOKED]]
    last = max((i for i, norm in enumerate(norms) if norm), default=-1)
    run: list[int] = []
    telling = 0
    before: list[str] = []
    for i, norm in enumerate(norms[: last + 1]):
        if not norm:
            continue
        words = norm.split()
        trigrams = _trigrams([*before, *words] if len(words) < WORDS else words)
        wrapped = bool(trigrams) and (bool(before) or len(norm) >= TELLING) and known.issuperset(trigrams)
        is_ours = norm in whole or wrapped
        if is_ours:
            run.append(i)
            telling += len(norm) >= TELLING
            before = words[1 - WORDS :]
        if not is_ours or i == last:
            lone = len(run) == 1 and kinds[run[0]] == "text"
            # One line alone may be the author's own: "Thank you very much."
            if telling and (not lone or (is_ours and len(norm) >= LONE)):
                _mark_run(kinds, run[0], len(norms) if is_ours else run[-1] + 1)
            run, telling, before = [], 0, []


def _mark_run(kinds: list[Kind], start: int, end: int) -> None:
    """All lines of a run, those between that hold nothing but a client's marks included."""
    for i in range(start, end):
        if kinds[i] != "blank":
            kinds[i] = "ours"


# --- Quotes that run to the end -------------------------------------------------------------


def _hard_end(lines: list[str], kinds: list[Kind], headers: dict[int, int]) -> int:
    """Where a quote begins that has no marks of its own, so that all below belongs to it."""
    above = False
    for i, line in enumerate(lines[:MOST_LOOKED]):
        if kinds[i] != "text":
            continue
        shown = line[:MOST_SHOWN].rstrip()
        if (shown[-1] in "-_=*" and SEPARATOR.match(shown)) or FORWARD.match(shown) or _is_block(lines, i):
            return _with_rule(lines, i)
        # A header on top announces what is answered below it; cutting there would leave nothing.
        if above and i in headers and _next_kind(kinds, headers[i]) == "text":
            return i
        above = True
    return len(lines)


def _next_kind(kinds: list[Kind], at: int) -> Kind:
    return next((kinds[i] for i in range(at, len(kinds)) if kinds[i] != "blank"), "text")


def _with_rule(lines: list[str], at: int) -> int:
    """Take the line of underscores above a block along."""
    above = at - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    return above if above >= 0 and RULE.match(lines[above][:MOST_SHOWN]) else at


def _is_block(lines: list[str], at: int) -> bool:
    """From:/Sent:/To:/Subject: in any language, at least three of them close together."""
    if ":" not in (head := lines[at][:MOST_FIELD].replace("：", ":")) or not FIELD_FIRST.match(head):
        return False
    near = lines[at : at + FIELD_LINES]
    return sum(FIELD.match(line[:MOST_FIELD]) is not None for line in near) >= 3


def _headers(lines: list[str], kinds: list[Kind]) -> dict[int, int]:
    """Where "On … wrote:" begins, wrapped or not, and the line after it."""
    ends = [i for i, line in enumerate(lines[:MOST_LOOKED]) if kinds[i] == "text" and _may_end(line)]
    found: dict[int, int] = {}
    below = 0
    for end in ends[:MOST_HEADERS]:
        joined, best, floor = "", -1, max(below, end - HEADER_LINES + 1)
        # Backwards, until a line begins as headers do: "On Monday," may stand on a line of its own.
        for start in range(end, floor - 1, -1):
            if kinds[start] != "text":
                break
            joined = f"{lines[start].strip()[:MOST_SHOWN]} {joined}".strip()[:MOST_SHOWN]
            begins = HEADER_STARTS.match(joined.lstrip(" *_-")) is not None
            if (begins or (best < 0 and end - start <= 1)) and _is_header(joined, begins):
                found.pop(best, None)
                found[start] = below = end + 1
                best = start
            if begins and best >= 0:
                break
    return found


def _may_end(line: str) -> bool:
    last = line.rstrip(" \t*_")[-1:]
    return last in (":", "：") or (last in ("-", "e", "b", "t") and "@" in line)


def _is_header(text: str, begins: bool) -> bool:
    verb = HEADER_VERBS.search(text)
    if BARE_HEADER.fullmatch(text):
        return True
    if verb is None or not HEADER_PROOF.search(text):
        return False
    return HEADER_END.search(text) is not None or (begins and _ends(text, verb.end()))


def _ends(header: str, at: int) -> bool:
    """Some clients write no colon: "On … <a@b> wrote ----"."""
    return "@" in header and not header[at:].strip(" -*")


# --- Quotes that are marked -----------------------------------------------------------------


def _soft_quotes(lines: list[str], kinds: list[Kind]) -> tuple[list[str], list[str]]:
    """Kept and quoted lines. Quotes between answers stay with them; our own words never do."""
    said = [i for i, kind in enumerate(kinds) if kind == "text"]
    if not said:
        return [], [line for line, kind in zip(lines, kinds, strict=True) if kind != "signature"]
    interleaved = "quote" in kinds[said[0] : said[-1]]
    kept: list[str] = []
    quoted: list[str] = []
    to = kept
    for i, line in enumerate(lines):
        if kinds[i] in ("text", "quote", "ours"):
            stays = kinds[i] == "text" or (kinds[i] == "quote" and interleaved and said[0] < i < said[-1])
            to = kept if stays else quoted
        if kinds[i] != "signature":
            to.append(line)     # blank lines stay with what stands above them
    return kept, quoted


# --- Signatures -----------------------------------------------------------------------------


def _mark_signatures(lines: list[str], kinds: list[Kind]) -> None:
    """Mark what ends each stretch of the author's text: below ``-- ``, footers of lists, lines of phones.

    A stretch ends where a quote begins, because those who answer below may sign above as well.
    """
    start = 0
    for end in (*(i for i, kind in enumerate(kinds) if kind in ("quote", "ours")), len(kinds)):
        if start < end:
            _mark_signature(lines, kinds, start, end)
        start = end + 1


def _mark_signature(lines: list[str], kinds: list[Kind], start: int, end: int) -> None:
    # RFC 3676 §4.3
    cut = next((i for i in range(start, end) if SIGNATURE.match(lines[i][:MOST_SHOWN])), end)
    said = [i for i in range(start, cut) if kinds[i] == "text"]
    for at in said[-FOOTER_LINES:]:
        if LIST_RULE.fullmatch(lines[at].strip()):
            cut, said = at, said[: said.index(at)]
            break
    while said and len(lines[said[-1]]) <= MOST_MOBILE and MOBILE.match(lines[said[-1]]):
        cut = said.pop()
    kinds[cut:end] = ["signature"] * (end - cut)
