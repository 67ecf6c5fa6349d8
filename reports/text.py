"""Strangers' text, made fit to be shown: a subject cannot turn its row around or hide in it.

HTML is escaped where HTML is made (tables.py), formulas are harmless as long as no CSV or Excel is written.
"""

from __future__ import annotations

import unicodedata

# Cc control, Cf format (bidirectional overrides, zero-width), Cs surrogate, Co private, Zl and Zp separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"   # Persian and emoji need them, and they turn nothing around


def plain(text: str, most: int = 70) -> str:
    """``text`` on one line, what cannot be seen as a replacement character, cut to ``most`` characters."""
    shown = "".join(map(_seen, text)).strip()
    return shown if len(shown) <= most else shown[: most - 1].rstrip() + "…"


def _seen(character: str) -> str:
    if character in "\t\r\n":
        return " "
    if character in _JOINERS or unicodedata.category(character) not in _UNSEEN:
        return character
    return "\N{REPLACEMENT CHARACTER}"
