"""Subjects: what is left without reply prefixes, our ticket key in it, and what is safe in a header.

Standards: RFC 5256 §2.1 (base subject), extended by the prefixes of other languages than English.
Deviations: the full-width colon ends a prefix too, and a count may stand in parentheses or bare
(``Re(2):``, ``Re2:``, ``Re[2]:``).

Limits: some prefixes are also words (``R:``, ``I:``, ``TR:``), and ``VS:`` is a reply in Finnish
but a forward in Danish and Norwegian, so it counts as both. Only the first 1,000 characters of a
subject are read, which bounds the work on a hostile one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_READ = 1_000
_SHOWN = 200        # longest header value we write (security: header injection)

# Prefixes by language. Upper and lower case are the same.
_REPLY = {
    "English, French, Spanish and most others": "re",
    "German": "aw antw antwort",
    "Dutch": "antw",
    "Swedish, Norwegian, Danish, Icelandic": "sv",
    "Finnish, Estonian": "vs",
    "Italian": "r rif",
    "French": "rép réf",
    "Portuguese": "res",
    "Romanian": "răsp rasp",
    "Polish, Czech, Slovak": "odp",
    "Croatian, Serbian, Slovene": "odg одг",
    "Hungarian": "vá",
    "Welsh, Latvian": "atb",
    "Lithuanian": "ats",
    "Turkish": "ynt yan",
    "Indonesian": "bls",
    "Vietnamese": "tl",
    "Russian, Ukrainian, Bulgarian": "на отв ответ відп отг",
    "Greek": "απ σχετ",
    "Hebrew, Arabic": "השב تعقيب رد",
    "Chinese": "回复 回覆 答复 答覆",
    "Japanese, Korean, Thai": "返信 回信 회신 답장 ตอบ",
}
_FORWARD = {
    "English and most others": "fw fwd forward",
    "German": "wg",
    "Dutch": "doorst",
    "Swedish": "vb",
    "Danish, Norwegian": "vs",
    "Icelandic": "fs",
    "Finnish": "vl",
    "Italian": "i inol",
    "French": "tr",
    "Spanish, Catalan": "rv",
    "Portuguese": "enc",
    "Polish": "pd",
    "Croatian, Serbian": "proslj prosl просл",
    "Hungarian": "továbbítás",
    "Welsh": "yml",
    "Latvian, Lithuanian": "pārs pers",
    "Turkish": "ilt i\u0307lt",
    "Indonesian": "trs",
    "Russian, Ukrainian, Bulgarian": "пересл пер препр",
    "Greek": "πρθ",
    "Hebrew, Arabic": "הועבר",
    "Chinese": "转发 轉寄 轉發",
    "Japanese, Korean, Thai": "転送 전달 ส่งต่อ",
}


def _words(table: dict[str, str]) -> frozenset[str]:
    return frozenset(_folded(word) for words in table.values() for word in words.split())


def _folded(word: str) -> str:
    return unicodedata.normalize("NFC", word).casefold()


REPLY_PREFIXES = _words(_REPLY)
FORWARD_PREFIXES = _words(_FORWARD)


def _either(words: frozenset[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))


_BLOB = r"\[[^\[\]]*\]\s*"      # RFC 5256 §5 subj-blob
_COUNT = r"(?:\s*\[[^\[\]]*\]|\s*\(\d{1,3}\)|\^?\d{1,3})?"
_PREFIX = re.compile(                        # RFC 5256 §5 subj-leader
    rf"(?P<blobs>(?:{_BLOB})*)(?P<word>{_either(REPLY_PREFIXES | FORWARD_PREFIXES)}){_COUNT}\s*[:\uff1a]\s*",
    re.IGNORECASE,
)
_TAG = re.compile(_BLOB)
_WRAPPED = re.compile(                       # RFC 5256 §5 subj-fwd-hdr, subj-fwd-trl
    rf"\[\s*(?:{_either(FORWARD_PREFIXES)})\s*[:\uff1a](?P<inner>.*)\]", re.IGNORECASE
)
_TRAILER = "(fwd)"                           # RFC 5256 §5 subj-trailer

# C0, DEL, C1, the line ends of Unicode: all that could end a header line for somebody. Lone
# surrogates stand for undecodable bytes and cannot be written as UTF-8 at all.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def header_text(text: str, limit: int = _SHOWN) -> str:
    """``text`` as one line fit for a header: no controls, NFC, blanks collapsed, cut to ``limit``."""
    if text.isascii() and text.isprintable():       # nearly all: nothing to replace or to compose
        return " ".join(text[: 20 * limit].split())[:limit].rstrip()
    rough = _SURROGATE.sub("\ufffd", _UNSAFE.sub(" ", text[: 20 * limit]))
    return " ".join(unicodedata.normalize("NFC", rough).split())[:limit].rstrip()


def base_subject(subject: str) -> str:
    """The subject of RFC 5256 §2.1, for comparing: no prefixes, no ``[tags]``, no ``(fwd)``; case is kept."""
    return _peel(header_text(subject, _READ)).rest


def ticket_subject(subject: str, key: str) -> str:
    """The subject for people: as ``base_subject``, but foreign tags (``[#99]``) stay; our own keys go."""
    bare = _own_key(key).sub(" ", header_text(subject, _READ))
    peeled = _peel(header_text(bare, _READ))
    return header_text(" ".join((*peeled.tags, peeled.rest)))


def keys_in(subject: str, key: str) -> tuple[int, ...]:
    """The tickets named by ``[ABC-123]``, each once, in their order."""
    digits = _own_key(key).findall(header_text(subject, _READ))
    return tuple(dict.fromkeys(int(number) for number in digits if len(number) <= 15 and int(number)))


@lru_cache(maxsize=64)      # all mails of one decision have the same
def with_key(subject: str, key: str, number: int, *, reply: bool = True) -> str:
    """``Re: [ABC-123] subject``: one prefix, one key of ours right after it, at most 200 characters."""
    head = f"{'Re: ' if reply else ''}[{key}-{number}]"
    return header_text(f"{head} {ticket_subject(subject, key)}")


def is_reply(subject: str) -> bool:
    """Whether the first prefix is one of a reply."""
    return _first_prefix(header_text(subject, _READ)) in REPLY_PREFIXES


def is_forward(subject: str) -> bool:
    """Whether the first prefix is one of a forward, or all of it is ``[Fwd: …]``, or it ends in ``(fwd)``."""
    text = header_text(subject, _READ)
    first = _first_prefix(text)
    if first:
        return first in FORWARD_PREFIXES
    return _WRAPPED.fullmatch(text) is not None or text.casefold().endswith(_TRAILER)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peeled:
    tags: tuple[str, ...]       # what stood in front in brackets, each once
    rest: str


def _peel(text: str) -> _Peeled:
    """RFC 5256 §2.1 steps 2 to 6, keeping the blobs apart instead of dropping them."""
    tags: list[str] = []
    while True:
        while text.casefold().endswith(_TRAILER):                       # step 2
            text = text[: -len(_TRAILER)].rstrip()
        if wrapped := _WRAPPED.fullmatch(text):                         # step 6
            text = wrapped["inner"].strip()
        elif prefix := _PREFIX.match(text):                             # step 3
            tags += _TAG.findall(prefix["blobs"])
            text = text[prefix.end():]
        elif (tag := _TAG.match(text)) and tag.end() < len(text):       # step 4
            tags.append(tag[0])
            text = text[tag.end():]
        else:
            kept = dict.fromkeys(tag.strip() for tag in tags)
            # "[Fwd: ]" in front of something is a wrapper that came apart, not a tag of another desk.
            return _Peeled(tags=tuple(t for t in kept if t != text and not _WRAPPED.fullmatch(t)), rest=text)


def _first_prefix(text: str) -> str:
    found = _PREFIX.match(text)
    return _folded(found["word"]) if found else ""


def _own_key(key: str) -> re.Pattern[str]:
    return re.compile(rf"\[\s*{re.escape(key)}-([0-9]+)\s*\]", re.IGNORECASE | re.ASCII)
