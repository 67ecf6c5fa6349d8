"""What a relay of ours found out about a mail: Authentication-Results (RFC 8601), read strictly.

Only a configured relay is believed, only its topmost field with the configured authserv-id, and only above the first
Received of the mail: below that line anybody may have written it (mime/parse.py cuts there). Of the field only
``dmarc=pass header.from=DOMAIN`` counts. What is not exactly of the grammar counts as nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 8_000
# RFC 8601 §2.2, with a quoted-string or a token, dot-atom or address for a value. Comments are taken away before.
_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"();=]+)|([;=]))')
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """What our own look at SPF, DKIM and DMARC found (edge/sender_check.py); ``domain`` is that of From.

    ``aligned`` says whether a DKIM signature or SPF speaks for that domain and it has a DMARC record.
    """

    domain: str
    aligned: bool
    words: str                      # what was found, for people


def dmarc_pass(results: tuple[str, ...], authserv_id: str) -> str | None:
    """The domain of From that passed DMARC, by the topmost of ``results`` with this id; None if none did."""
    for text in results:
        parsed = _tokens(text)
        if parsed is None:
            return None     # it may have been the one: what stands below is not asked
        name = parsed[0][0] if parsed and parsed[0][1] == "word" else ""
        if name == authserv_id:
            return _passed(parsed[1:])
    return None


def _passed(tokens: list[tuple[str, str]]) -> str | None:
    found = [_resinfo(part) for part in _split(tokens)]
    dmarc = [(result, properties) for method, result, properties in found if method == "dmarc"]
    if len(dmarc) != 1 or any(method == "" for method, _, _ in found):
        return None     # two verdicts, or one that is no verdict
    result, properties = dmarc[0]
    froms = [value.lower() for name, value in properties if name == "header.from"]
    if result != "pass" or len(froms) != 1 or not _DOMAIN.fullmatch(froms[0]):
        return None
    return froms[0]


def _split(tokens: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """What stands between semicolons; before the first of them a version number may stand."""
    parts: list[list[tuple[str, str]]] = [[]]
    for token in tokens:
        if token == (";", "mark"):
            parts.append([])
        else:
            parts[-1].append(token)
    head, *rest = parts
    return rest if head in ([], [("1", "word")]) else [head, *rest]


def _resinfo(part: list[tuple[str, str]]) -> tuple[str, str, list[tuple[str, str]]]:
    """Method, result, properties; method '' if it is not ``a=b c=d …``. A trailing semicolon is forgiven."""
    if not part:
        return "nothing", "", []
    shape = [kind for _, kind in part]
    pairs = [part[i:i + 3] for i in range(0, len(part), 3)]
    fits = len(part) % 3 == 0 and all(
        name[1] == "word" and sign == ("=", "mark") and value[1] != "mark" for name, sign, value in pairs
    )
    if not fits:
        return ("none", "", []) if shape == ["word"] and part[0][0].lower() == "none" else ("", "", [])
    named = [(name[0].lower(), value[0]) for name, _, value in pairs]
    method, result = named[0]
    return method.partition("/")[0], result.lower(), named[1:]


def _tokens(text: str) -> list[tuple[str, str]] | None:
    """(text, word | quoted | mark) without comments; None if a comment or a string has no end."""
    bare = _without_comments(text[:_LONGEST]) if len(text) <= _LONGEST else None
    if bare is None:
        return None
    out, at = [], 0
    while bare[at:].strip():
        found = _TOKEN.match(bare, at)
        if found is None:
            return None
        at = found.end()
        quoted, word, mark = found.groups()
        out.append((quoted, "quoted") if quoted is not None else (word, "word") if word is not None else (mark, "mark"))
    return out


def _without_comments(text: str) -> str | None:
    """RFC 5322 §3.2.2: they nest, and stand between any two tokens."""
    out, depth, quoted, escaped = [], 0, False, False
    for char in text:
        if escaped:
            escaped = False
            out.append(char if not depth else "")
        elif char == "\\" and (quoted or depth):
            escaped = True
            out.append(char if not depth else "")
        elif quoted or (char == '"' and not depth):
            quoted ^= char == '"'
            out.append(char)
        elif char in "()":
            depth += 1 if char == "(" else -1
            out.append(" ")
            if depth < 0:
                return None
        elif not depth:
            out.append(char)
    return None if depth or quoted else "".join(out)


def is_id(text: str) -> bool:
    """Whether ``text`` can be an authserv-id."""
    return _ID.fullmatch(text) is not None
