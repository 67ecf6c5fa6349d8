"""The lines we add to an agent's mail: one of state and commands at the end, and warnings.

They are written and known again here, so that none of them reaches a customer when a mail
client leaves it in the answer (architecture ruling 3).

    :: ABC-123 :: open, high, anna :: #pending #solved #note #help
    :: ! Sent with the reply address of ann@acme.example.

The marks are ASCII at the start of a line: they survive quoting, format=flowed, HTML mail that is
turned into text, and a client that answers in another charset. A line that a client wrapped is
known by its head, and by its tail if that holds the list of commands.
"""

from __future__ import annotations

import re

FOOTER_MARK = "::"
WARNING_MARK = ":: !"

# Quote marks, list bullets, emphasis and all spaces that clients put before a line.
_LEAD = re.compile(r"^[\s>|*_+\u00a0\u200b\u2007\u202f\ufeff-]{0,80}")
_HEAD = re.compile(r"::[ \u00a0]{1,3}(?:[A-Za-z][A-Za-z0-9]{0,15}-[0-9]{1,15}\s{0,3}::|!)")
_TAIL = re.compile(
    r"(?:\S[^#]{0,80}::\s+)?(?:::\s+)?(?:#[^\s#]{2,20}\s+){0,8}#(?:help|hilfe)\s*[*_]?", re.IGNORECASE
)


def footer_line(key: str, status: str, priority: str, assignee: str, commands: str) -> str:
    """The last line of an agent's mail; short enough (about 75) that a quote of it is not wrapped."""
    state = ", ".join(word for word in (status, priority, assignee) if word)
    return f"{FOOTER_MARK} {key} {FOOTER_MARK} {state} {FOOTER_MARK} {commands}".rstrip()


def warning_line(text: str) -> str:
    """A line of ours that says something about the mail above it."""
    return f"{WARNING_MARK} {' '.join(text.split())}"


def is_footer(line: str) -> bool:
    """Whether ``line`` is, or begins or ends, a line that footer_line or warning_line wrote.

    ``#help`` alone is a command of the agent's and no footer.
    """
    bare = _LEAD.sub("", line[:1000], count=1)
    if _HEAD.match(bare):
        return True
    return (bare.count("#") > 1 or FOOTER_MARK in bare) and _TAIL.fullmatch(bare) is not None
