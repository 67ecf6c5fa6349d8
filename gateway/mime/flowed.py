"""Paragraphs of text that travelled as short lines: RFC 3676, format=flowed and DelSp.

A line that ends in a blank goes on in the next one of the same quote depth. Without this a reply would
be shown in ragged lines, and in Chinese or Japanese (DelSp=yes) with blanks inside of words.
"""

from __future__ import annotations

import re

_QUOTE = re.compile(r">+")
_SIGNATURE = "-- "


def unflowed(text: str, *, delsp: bool) -> str:
    """``text``, with LF line ends, in whole paragraphs; quoted ones have ``>`` a level and a blank before them."""
    out: list[str] = []
    held: list[str] = []
    held_depth = 0

    def end() -> None:
        if held:
            shown = "".join(held)
            out.append(f"{'>' * held_depth} {shown}" if held_depth and shown else ">" * held_depth + shown)
            held.clear()

    for line in text.split("\n"):
        depth, content = 0, line
        if line.startswith(">") and (quote := _QUOTE.match(line)):
            depth, content = quote.end(), line[quote.end():]
        content = content.removeprefix(" ")             # RFC 3676 §4.4: space-stuffing
        if held and (depth != held_depth or content == _SIGNATURE):
            end()                                       # §4.5: a paragraph has one depth
        held_depth = depth
        if content.endswith(" ") and content != _SIGNATURE:     # §4.3
            held.append(content[:-1] if delsp else content)
            continue
        held.append(content)
        end()
    end()
    return "\n".join(out)
