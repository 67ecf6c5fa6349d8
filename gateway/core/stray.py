"""Commands in the wrong place: an answer that holds one is held, since what stands below ``#note`` is never
meant for a customer, wherever the word stands (ruling 8 asks commands to stand on top).
"""

from __future__ import annotations

import re

from gateway.core.command_line import MOST_LINE, words_of
from gateway.core.command_value import fold
from gateway.core.policy import Field

# What clients put around a line: bullets, numbers, emphasis, quotes, and what cannot be seen.
_STRAY = re.compile(r"[\W\d_\u115f\u1160\u3164\uffa0]{0,12}[#\u266f\uff03][ \t]?(\w{2,40})\W{0,6}")
_STRAY_NOTE = re.compile(r"[\W\d_\u115f\u1160\u3164\uffa0]{0,12}[#\u266f\uff03][ \t]?(\w{2,40})\b")
_BARE_NOTE = re.compile(r"\W{0,3}(?:n\wtes?|internal|intern|private|notiz\w{0,2})\W{1,3}", re.IGNORECASE)


def strays(text: str, fields: tuple[Field, ...] = ()) -> list[str]:
    """Lines of an answer that are commands below the text, behind a bullet, or in marks."""
    lines = [line[:MOST_LINE].strip() for line in text.splitlines() if line.strip()]
    found, by_word = [], words_of(fields).by_word
    for number, line in enumerate(lines):
        whole, begun = _STRAY.fullmatch(line), _STRAY_NOTE.match(line)
        word = whole or begun
        row = by_word.get(fold(word.group(1))) if word else None
        if (row is not None and (whole or row.name == "note")) or (number == 0 and _BARE_NOTE.fullmatch(line)):
            found.append(line)
    return found


def misplaced(text: str, fields: tuple[Field, ...] = ()) -> list[tuple[str, str]]:
    """``strays`` with the remedy, as a notice about held mail names them."""
    return [(line, "write commands on top, before your text") for line in strays(text, fields)]
