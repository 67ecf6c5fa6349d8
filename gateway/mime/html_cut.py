"""The part of an agent's HTML that says what core decided to publish, and nothing else.

Core works on text: commands, quotes, footer and signature are gone from ``new_text``. This finds
the run of text nodes in the HTML that reads exactly like it and drops all others, with the
pictures and the emptied elements around them. No class names, no list of mail clients: what
cannot be found letter by letter is not published as HTML, and the caller makes HTML of the text.

Pure and linear. Limits: a client whose text part is worded differently from its HTML (links
written out, tables drawn) gives '' and the customer gets the text's look.
"""

from __future__ import annotations

import html as entities
import re
from dataclasses import dataclass
from itertools import accumulate

from gateway.mime.text import clean_html

# clean_html's writer puts every attribute in double quotes and escapes quotes within.
_TOKEN = re.compile(r'<(/?)([a-z][a-z0-9]*)((?:\s[^\s"=>]+="[^"]*")*)\s*/?>')
_VOID = frozenset({"br", "hr", "img"})
_BULLET = re.compile(r"^[ \t]*(?:[-*\u2022\u00b7]|[0-9]{1,3}[.)])[ \t]+", re.MULTILINE)
_UNSEEN = {0x200B: None, 0xFEFF: None}      # zero-width, put in by clients; str.split knows the others
_MOST_TRIES = 64


@dataclass(frozen=True, slots=True)
class _Piece:
    """A tag or a run of text as it stands in the source."""

    source: str
    tag: str        # '' for text
    closing: bool
    squashed: str   # its letters without blanks; '' for a tag


def agent_html(html: str, new_text: str) -> str:
    """The part of ``html`` that corresponds to ``new_text``; '' if there is none to be sure of."""
    pieces = _pieces(clean_html(html))
    for wanted in dict.fromkeys((_squash(new_text), _squash(_BULLET.sub("", new_text)))):
        window = _window(pieces, wanted)
        if window is None:
            continue
        part = clean_html(_kept(pieces, *window))
        # The oracle: what a reader of the HTML reads is what a reader of the text reads.
        if _squash(entities.unescape(_TOKEN.sub("", part))) == wanted:
            return part
    return ""


def _pieces(html: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    at = 0
    for token in _TOKEN.finditer(html):
        _add_text(pieces, html[at:token.start()])
        pieces.append(_Piece(token[0], token[2], bool(token[1]), ""))
        at = token.end()
    _add_text(pieces, html[at:])
    return pieces


def _add_text(pieces: list[_Piece], source: str) -> None:
    if source:
        pieces.append(_Piece(source, "", False, _squash(entities.unescape(source))))


def _squash(text: str) -> str:
    squashed = "".join(text.split())
    return squashed if squashed.isascii() else squashed.translate(_UNSEEN)


def _window(pieces: list[_Piece], wanted: str) -> tuple[int, int] | None:
    """Indices [first, behind) of the pieces that read ``wanted``, with the pictures next to them.

    The run must begin and end with whole text nodes: half a node would be half a line. Of several
    runs the first is meant, since agents write above what they quote.
    """
    if not wanted:
        return None
    ends = list(accumulate(len(piece.squashed) for piece in pieces))
    written = [(i, end - len(piece.squashed), end)
               for i, (piece, end) in enumerate(zip(pieces, ends, strict=True)) if piece.squashed]
    starts = {start: i for i, start, _ in written}
    stops = {end: i for i, _, end in written}
    whole = "".join(piece.squashed for piece in pieces)
    at = -1
    for _ in range(_MOST_TRIES):
        at = whole.find(wanted, at + 1)
        if at < 0:
            return None
        first, last = starts.get(at), stops.get(at + len(wanted))
        if first is not None and last is not None:
            return _reach(pieces, first, -1) + 1, _reach(pieces, last, 1)
    return None


def _reach(pieces: list[_Piece], start: int, step: int) -> int:
    """From ``start`` to the next foreign text or quotation: the pictures up to there belong to the answer."""
    at = start + step
    while 0 <= at < len(pieces) and not pieces[at].squashed and pieces[at].tag not in ("blockquote", "hr"):
        at += step
    return at


def _kept(pieces: list[_Piece], first: int, behind: int) -> str:
    """Source of the window inside the elements that enclose it; emptied elements are dropped."""
    out: list[str] = []
    opened: list[int] = []          # where in ``out`` the open elements begin
    filled: list[bool] = []         # whether they hold something kept
    for index, piece in enumerate(pieces):
        inside = first <= index < behind
        if piece.tag and piece.tag not in _VOID:
            if not piece.closing:
                opened.append(len(out))
                filled.append(False)
                out.append(piece.source)
            elif opened:
                start, has_content = opened.pop(), filled.pop()
                out.append(piece.source)
                if not has_content:
                    del out[start:]
                elif filled:
                    filled[-1] = True
        elif inside:
            out.append(piece.source)
            if filled and (piece.squashed or piece.tag):
                filled[-1] = True
    return "".join(out)
