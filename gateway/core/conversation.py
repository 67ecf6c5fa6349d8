"""Conversations of an archive, for ``import``: mails that name each other, or a common ancestor.

Standards: RFC 5322 §3.6.4. Union-find over Message-ID, In-Reply-To and References, ids of mails
that are not in the archive included; no threading by subject. The order of the mails changes the
numbers, never the groups. Time is linear in the number of ids, for practical purposes.

Limits: an archive is taken at its word, there is no proof of participation here. An id without
``@`` is an id, too: ``<yes>``, typed at the prompt of a program, joins its typist's series, and in
one archive out of many would join two typists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SHORTEST = 3       # "<1>" or "<y>" is no id of anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What ties one mail to others. ``ref`` is its Message-ID, or any text unique to it if it has none."""

    ref: str
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def conversations(keys: Sequence[Keys]) -> list[int]:
    """The conversation of each mail: 0, 1, … in the order in which they first appear."""
    forest: dict[str, str] = {}
    for mail in keys:
        root = _root(forest, mail.ref)
        for other in _ids(mail):
            forest[_root(forest, other)] = root
    numbers: dict[str, int] = {}
    return [numbers.setdefault(_root(forest, mail.ref), len(numbers)) for mail in keys]


def _ids(mail: Keys) -> Iterable[str]:
    return (i for i in (*mail.references, *mail.in_reply_to) if _is_id(i))


def _is_id(text: str) -> bool:
    """RFC 5322 asks for an ``@``, but real series hang together by ids without one (measured)."""
    return len(text) >= _SHORTEST and not any(map(str.isspace, text))


def _root(forest: dict[str, str], node: str) -> str:
    """The representative of ``node``; paths are halved on the way, which keeps them short."""
    while (parent := forest.setdefault(node, node)) != node:
        forest[node] = forest[parent]
        node = parent
    return node
