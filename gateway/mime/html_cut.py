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
from itertools import accumulate

from gateway.mime.text import clean_html

# clean_html's writer puts every attribute in double quotes and escapes quotes within.
_TAG = re.compile(r'(</?[a-z][a-z0-9]*(?:\s[^\s"=>]+="[^"]*")*\s*/?>)')
_NAME = re.compile(r"[a-z][a-z0-9]*")
_VOID = frozenset({"br", "hr", "img"})
_BULLET = re.compile(r"^[ \t]*(?:[-*\u2022\u00b7]|[0-9]{1,3}[.)])[ \t]+", re.MULTILINE)
_UNSEEN = {0x200B: None, 0xFEFF: None}      # zero-width, put in by clients; str.split knows the others
_MOST_TRIES = 64


def agent_html(html: str, new_text: str) -> str:
    """The part of ``html``, as clean_html wrote it, that corresponds to ``new_text``; '' if there is none to be sure of."""
    pieces = _TAG.split(html)                   # text at even places, tags at odd ones
    letters = [""] * len(pieces)                # of the texts, without blanks
    # All at once; HTML has no NUL, not even as a reference.
    squashed = _squash(entities.unescape("\0".join(pieces[::2]))).split("\0")
    if len(squashed) != len(pieces[::2]):
        return ""
    letters[::2] = squashed
    for wanted in dict.fromkeys((_squash(new_text), _squash(_BULLET.sub("", new_text)))):
        window = _window(pieces, letters, wanted)
        if window is None:
            continue
        part = clean_html(_kept(pieces, letters, *window))
        # The oracle: what a reader of the HTML reads is what a reader of the text reads.
        if _squash(entities.unescape(_TAG.sub("", part))) == wanted:
            return part
    return ""


def _squash(text: str) -> str:
    squashed = "".join(text.split())
    return squashed if squashed.isascii() else squashed.translate(_UNSEEN)


def _window(pieces: list[str], letters: list[str], wanted: str) -> tuple[int, int] | None:
    """Indices [first, behind) of the pieces that read ``wanted``, with the pictures next to them.

    The run must begin and end with whole text nodes: half a node would be half a line. Of several
    runs the first is meant, since agents write above what they quote.
    """
    whole = "".join(letters)
    if not wanted or wanted not in whole:
        return None
    written = [i for i, text in enumerate(letters) if text]
    ends = list(accumulate(len(letters[i]) for i in written))
    starts = dict(zip([0, *ends], written, strict=False))
    stops = dict(zip(ends, written, strict=True))
    at = -1
    for _ in range(_MOST_TRIES):
        at = whole.find(wanted, at + 1)
        if at < 0:
            return None
        first, last = starts.get(at), stops.get(at + len(wanted))
        if first is not None and last is not None:
            return _reach(pieces, letters, first, -1) + 1, _reach(pieces, letters, last, 1)
    return None


def _reach(pieces: list[str], letters: list[str], start: int, step: int) -> int:
    """From ``start`` to the next foreign text or quotation: the pictures up to there belong to the answer."""
    at = start + step
    while 0 <= at < len(pieces) and not letters[at] and (at % 2 == 0 or _name(pieces[at]) not in ("blockquote", "hr")):
        at += step
    return at


def _name(tag: str) -> str:
    found = _NAME.search(tag)
    return found[0] if found else ""


def _kept(pieces: list[str], letters: list[str], first: int, behind: int) -> str:
    """Source of the window inside the elements that enclose it; emptied elements are dropped."""
    out: list[str] = []
    opened: list[tuple[str, int]] = []      # names of the open elements, and where in ``out`` they begin
    filled: list[bool] = []                 # whether they hold something kept

    def close() -> None:
        (name, start), has_content = opened.pop(), filled.pop()
        if not has_content:
            del out[start:]
            return
        out.append(f"</{name}>")
        if filled:
            filled[-1] = True

    for index in range(behind):
        piece = pieces[index]
        name = _name(piece) if index % 2 else ""
        if name and name not in _VOID:
            if piece[1] != "/":
                opened.append((name, len(out)))
                filled.append(False)
                out.append(piece)
            elif opened:
                close()
        elif first <= index:
            out.append(piece)
            if filled and (letters[index] or name):
                filled[-1] = True
    while opened:       # what stands behind the window is nothing but the end of what encloses it
        close()
    return "".join(out)
