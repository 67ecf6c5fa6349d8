"""What the author newly wrote, apart from what he quotes and signs with.

``split_reply`` cuts nothing that it does not understand: text below or between quotes is an answer
and is kept with the quotes it answers. It is linear in the size of the mail: every line is looked
at a bounded number of times, and patterns (core/quote_words.py) only ever see short pieces of text.

The best evidence is the mail of ours that is answered (``sent``): lines of it are quotes, however
the client marks or wraps them. Without it we know ``>`` quotes, the headers before them ("On … wrote:",
wrapped or not), Outlook's header blocks, separators, forwards, and what core/signature.py knows.

Limits: text below an unmarked quote cannot be told from it without ``sent``. A quote that nobody
announces and that stands on top is the author's own choice of words to answer, and is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.core.quote_words import (
    BARE_HEADER,
    FIELD_FIRST,
    FIELD_LIKE,
    FIELD_OF,
    FORWARD,
    HEADER_ADDRESS,
    HEADER_DASHED,
    HEADER_DATE,
    HEADER_DAY,
    HEADER_END,
    HEADER_PROOF,
    HEADER_QUOTING,
    HEADER_STARTS,
    HEADER_VERBS,
    MARKER,
    MOST_LABEL,
    RULE,
    SEPARATOR,
)
from gateway.core.signature import MOST_SHOWN, Kind, mark_signatures

MOST_LOOKED: Final = 20_000     # lines; below them only ">" is seen
MOST_HEADERS: Final = 1_000     # lines that may end "On … wrote:"
HEADER_LINES: Final = 5         # that a wrapped "On … wrote:" may have
FIELD_LINES: Final = 8          # in which a block of Outlook's fields must show three
TELLING: Final = 12             # characters that make a line of ours more than a greeting
BLANK_RUN: Final = re.compile(r"\n{3,}")
LONE: Final = 30                # characters by which one unmarked line alone is a quote, at the very end
SIGNED: Final = ("signature", "closing")
WORDS: Final = 3                # consecutive words by which a re-wrapped line of ours is known
UNSEEN: Final = dict.fromkeys((0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))


@dataclass(frozen=True, slots=True)
class Split:
    """Three parts of a mail; ``closing`` is the end of ``signature`` that is "Kind regards" and a name."""

    new: str
    quoted: str
    signature: str
    closing: str = ""

    @property
    def letter(self) -> str:
        """The new text with its closing: as it goes to a customer, who is owed the whole of it."""
        return f"{self.new}\n\n{self.closing}".strip("\n") if self.closing else self.new


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
    mark_signatures(lines, kinds, knows_ours=sent is not None)
    kept, quoted = _soft_quotes(lines, kinds, {i for i in headers if i < end})
    signature, closing = _lines_of(lines, kinds, "signature", "closing"), _lines_of(lines, kinds, "closing")
    return Split(_join(kept), _join([*quoted, *below]), _join(signature), _join(closing))


def _lines_of(lines: list[str], kinds: list[Kind], *wanted: Kind) -> list[str]:
    return [line for line, kind in zip(lines, kinds, strict=True) if kind in wanted]


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
        kinds.append("quote" if start.startswith((">", "＞")) else "text" if line.strip() else "blank")
    for i in range(2, len(lines)):
        # "<", "mailto:a@b", "> wrote:" on lines of their own is an address, not a quote.
        if kinds[i] == "quote" and lines[i - 2].strip()[-1:] == "<" and "@" in lines[i - 1][:MOST_SHOWN]:
            kinds[i] = "text"
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
        if kinds[i] == "quote" and (i == 0 or kinds[i - 1] != "quote") and above and FORWARD.match(line[:MOST_SHOWN]):
            return i    # a forward is one piece, whoever marked its lines
        if kinds[i] != "text":
            continue
        shown = line[:MOST_SHOWN].strip()
        if announces(shown) or is_block(lines, i):
            return _with_rule(lines, i)
        # A header on top announces what is answered below it; cutting there would leave nothing.
        if above and i in headers and _next_kind(kinds, headers[i]) == "text":
            return i
        above = True
    return len(lines)


def announces(shown: str) -> bool:
    """A line (not empty) below which all is quoted: "-----Original Message-----" and its like."""
    return (
        (shown[-1] in "-_=*" and SEPARATOR.match(shown) is not None)
        or FORWARD.match(shown) is not None
        or MARKER.match(shown) is not None
    )


def _next_kind(kinds: list[Kind], at: int) -> Kind:
    return next((kinds[i] for i in range(at, len(kinds)) if kinds[i] != "blank"), "text")


def _with_rule(lines: list[str], at: int) -> int:
    """Take the line of underscores above a block along."""
    above = at - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    return above if above >= 0 and RULE.match(lines[above][:MOST_SHOWN]) else at


def is_block(lines: list[str], at: int) -> bool:
    """From:/Sent:/To:/Subject: in any language we know, at least three kinds of them close together.

    Below a rule that the client drew, in any language: a customer's own list has no rule, and names no date.
    """
    head = lines[at][:MOST_LABEL]
    if ":" not in head and "：" not in head:
        return False
    near = lines[at : at + FIELD_LINES]
    if FIELD_FIRST.match(head):
        # Three labels first: a thousand lines "From: x" must not cost a thousand times the whole table.
        shown = list({line.replace("：", ":").partition(":")[0]: line[:MOST_LABEL] for line in near}.values())
        return len(shown) >= 3 and sum(any(map(field.match, shown)) for field in FIELD_OF.values()) >= 3
    if _with_rule(lines, at) == at or FIELD_LIKE.match(head) is None:
        return False
    fields = [line[:MOST_SHOWN] for line in near if FIELD_LIKE.match(line[:MOST_LABEL])]
    return len(fields) >= 3 and any("@" in f for f in fields) and any(map(HEADER_DATE.search, fields))


def _headers(lines: list[str], kinds: list[Kind]) -> dict[int, int]:
    """Where "On … wrote:" begins, wrapped or not, and the line after it."""
    ends = [i for i, line in enumerate(lines[:MOST_LOOKED]) if kinds[i] == "text" and _may_end(line)]
    found: dict[int, int] = {}
    below = 0
    for end in ends[:MOST_HEADERS]:
        start = _header_start(lines, kinds, end, max(below, end - HEADER_LINES + 1))
        if start is not None:
            found[start] = below = end + 1
    return found


def _header_start(lines: list[str], kinds: list[Kind], end: int, floor: int) -> int | None:
    """The line where the header that ends at ``end`` begins, if it is one.

    Backwards, until a line begins as headers do or a date is found: each may stand on a line of its own.
    """
    joined, best, was_dated = "", None, False
    for start in range(end, floor - 1, -1):
        if kinds[start] == "blank" and joined[:1] == "<":
            continue    # some clients leave a line free above the address
        if kinds[start] != "text":
            break
        joined = f"{lines[start].strip()[:MOST_SHOWN].translate(UNSEEN)} {joined}".strip()[:MOST_SHOWN]
        begins = HEADER_STARTS.match(joined.lstrip(" *_-")) is not None
        whole = joined.count("<") >= joined.count(">")
        dated = HEADER_DAY.search(joined) is not None
        # A line above that neither begins so nor brings the date is the author's own.
        if (begins or best is None or (dated and not was_dated)) and _is_header(joined, begins, lone=start == end):
            best, was_dated = start, dated
            goes_on = not begins and lines[max(0, start - 1)].rstrip()[-1:] in (",", "،")   # "On Tuesday,"
            if whole and (begins or dated) and not goes_on:
                break
    return best


def _may_end(line: str) -> bool:
    tail = line[-40:]
    last = (tail if tail.isascii() else tail.translate(UNSEEN)).rstrip(" \t*_-")[-1:]
    dashed = line.rstrip()[-1:] == "-"
    return last in (":", "：") or ((dashed or last in ("e", "b", "t")) and "@" in line)


def _is_header(text: str, begins: bool, *, lone: bool) -> bool:
    if BARE_HEADER.fullmatch(text) or HEADER_DASHED.match(text) or HEADER_QUOTING.match(text):
        return True
    if HEADER_ADDRESS.search(text) and HEADER_DATE.search(text):
        return True
    verb = HEADER_VERBS.search(text)
    if verb is None or not HEADER_PROOF.search(text):
        return False
    if not (begins or lone) and not (HEADER_DATE.search(text) and ("@" in text or "<" in text)):
        return False
    return HEADER_END.search(text) is not None or (begins and _ends(text, verb.end()))


def _ends(header: str, at: int) -> bool:
    """Some clients write no colon: "On … <a@b> wrote ----"."""
    return "@" in header and not header[at:].strip(" -*")


# --- Quotes that are marked -----------------------------------------------------------------


def is_header(line: str) -> bool:
    """Whether one line is "On … wrote:", wherever it stands."""
    shown = line.strip()[:MOST_SHOWN].translate(UNSEEN)
    return _is_header(shown, HEADER_STARTS.match(shown.lstrip(" *_-")) is not None, lone=True)


def _soft_quotes(lines: list[str], kinds: list[Kind], headers: set[int]) -> tuple[list[str], list[str]]:
    """Kept and quoted lines. Quotes between answers stay with them; our own words never do."""
    said = [i for i, kind in enumerate(kinds) if kind == "text"]
    quotes = [i for i, kind in enumerate(kinds) if kind == "quote"]
    first = said[0] if said else 0
    # A header within the quote is one, too: HTML is read so (mime/html_reply.py), and nobody chose these words.
    announced_within = bool(quotes) and is_header(lines[quotes[0]].lstrip("> "))
    if not said and (headers or "ours" in kinds or not quotes or announced_within):
        return [], [line for line, kind in zip(lines, kinds, strict=True) if kind not in SIGNED]
    last = said[-1] if said else len(lines)
    # What is answered below one quote of all is known; quotes between answers are not.
    between = any(first < i < last for i in quotes)
    announced = (announced_within or any(i < first for i in headers)) and not between
    kept: list[str] = []
    quoted: list[str] = []
    to = kept
    for i, line in enumerate(lines):
        if kinds[i] in ("text", "quote", "ours"):
            stays = kinds[i] == "text" or (kinds[i] == "quote" and i < last and not (announced and i < first))
            to = kept if stays else quoted
        if kinds[i] not in SIGNED:
            to.append(line)     # blank lines stay with what stands above them
    return kept, quoted
