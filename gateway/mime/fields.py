r"""Header fields, values to octets: RFC 5322 §2.2.3 folding, RFC 2047 encoded words, RFC 2231 file names.

Written by hand because the stdlib's EmailMessage turned a decoded ``hi\r\nBcc: x`` back into two
fields (CVE-2024-6923). Here a value with a control character raises, whoever let it through.

Limits: one mailbox an address field. A local part that is not ASCII stays UTF-8 (RFC 6532), so
such a mail needs SMTPUTF8 on its way; a domain becomes its A-label.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from urllib.parse import quote

from gateway.errors import MailwicketError

WIDTH = 76                  # RFC 2047 §2: lines with encoded words hold at most 76 characters
LINE = 998                  # RFC 5322 §2.1.1: octets a line, without CRLF
_WORD = 75                  # RFC 2047 §2: an encoded word

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN_WORD = re.compile(r"[!-~]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"     # RFC 5322 §3.2.3
_ATOMS = re.compile(rf"{_ATOM}(?: {_ATOM})*")
_ADDRESS = re.compile(r"[^\s<>,;:@\"()\[\]\\]+@[^\s<>,;:@\"()\\]+|\"[^\s<>@\"\\]+\"@[^\s<>,;:@\"()\\]+")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
# RFC 2047 §5 (3): what may stand as it is in an encoded word, in phrases too.
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_ADDRESS_FIELDS = frozenset({"from", "to", "reply-to", "cc", "sender", "x-original-from"})
_ID_FIELDS = frozenset({"message-id", "in-reply-to", "references"})


class BadField(MailwicketError, ValueError):
    """A header field that must not be sent; the text names field and trouble."""


@lru_cache(maxsize=256)     # the mails of one decision have most of their fields in common
def encode_field(name: str, value: str) -> bytes:
    """One header field, folded, with its CRLF. Raises BadField rather than change a value."""
    if not _NAME.fullmatch(name):
        raise BadField(f"header name {name!r} is not of letters, digits and hyphens")
    is_plain = value.isascii() and value.isprintable()
    if not is_plain and _FORBIDDEN.search(value):
        raise BadField(f"header {name} holds a control character: {value!r}")
    kind = name.lower()
    if kind in _ADDRESS_FIELDS:
        words = _address(name, value)
    elif kind in _ID_FIELDS:
        words = _ids(name, value)
    else:
        words = _unstructured(value, len(name) + 2)
    return _fold(name, words)


def mailbox(name: str, address: str) -> str:
    """The value of an address field; encode_field takes it apart again at the last ``<``."""
    return f"{name} <{address}>" if name else f"<{address}>"


def file_parameters(name: str) -> tuple[str, str]:
    """Parameters for Content-Type and Content-Disposition (RFC 2183) with a name that safe_name made.

    A name that is not ASCII stands in ``filename*`` (RFC 2231); old readers find the ASCII one in the
    type's ``name``. Both in the disposition would make some readers take the poorer one.
    """
    if name.isascii():
        return "", f';\r\n filename="{_escape(name)}"'
    fallback = "".join(c if c.isascii() else "_" for c in name)
    return f';\r\n name="{_escape(fallback)}"', f";\r\n filename*=utf-8''{quote(name, safe='')}"


def _fold(name: str, words: list[str]) -> bytes:
    line = f"{name}: {' '.join(words)}"
    if words and len(line) <= WIDTH:
        return line.encode("utf-8") + b"\r\n"
    lines = [f"{name}:"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > WIDTH and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += " " + word
    octets = [line.encode("utf-8") for line in lines]
    if max(map(len, octets)) > LINE:
        raise BadField(f"header {name} has a word of more than {LINE} octets")
    return b"\r\n".join(octets) + b"\r\n"


def _unstructured(value: str, used: int) -> list[str]:
    """Words of RFC 5322 unstructured text; the span from the first to the last odd word is encoded.

    What stands before stays readable: servers' filters look for ``[ABC-123]`` in raw subjects.
    """
    if not value:
        return [""]
    words = value.split(" ")
    if (value.isascii() and value.isprintable() and "=?" not in value and "" not in words
            and max(map(len, words)) <= WIDTH - 2):
        return words
    odd = [i for i, word in enumerate(words) if _is_odd(word)]
    if not odd:
        return words
    first, last = odd[0], odd[-1] + 1
    used = used + sum(len(word) + 1 for word in words[:first])
    return words[:first] + _encoded_words(" ".join(words[first:last]), used) + words[last:]


def _is_odd(word: str) -> bool:
    return not _PLAIN_WORD.fullmatch(word) or "=?" in word or len(word) > WIDTH - 2


def _encoded_words(text: str, used: int) -> list[str]:
    """RFC 2047 §5: whole characters only, each word ≤ 75; Q or B, whichever is shorter."""
    octets = text.encode("utf-8")
    as_q = sum(1 if b in _Q_SAFE or b == 32 else 3 for b in octets) <= -(-len(octets) // 3) * 4
    room = _WORD if used > WIDTH // 2 else WIDTH - used
    words, chunk = [], ""
    for char in text:
        if chunk and len(_encoded_word(chunk + char, as_q)) > min(room, _WORD):
            words.append(_encoded_word(chunk, as_q))
            chunk, room = "", _WORD
        chunk += char
    return [*words, _encoded_word(chunk, as_q)]


def _encoded_word(text: str, as_q: bool) -> str:
    octets = text.encode("utf-8")
    if not as_q:
        return f"=?utf-8?b?{base64.b64encode(octets).decode()}?="
    body = "".join("_" if b == 32 else chr(b) if b in _Q_SAFE else f"={b:02X}" for b in octets)
    return f"=?utf-8?q?{body}?="


def _address(name: str, value: str) -> list[str]:
    display, _, rest = value.rpartition("<")
    address, closed, after = rest.partition(">")
    if not closed or after or not _ADDRESS.fullmatch(address):
        raise BadField(f"header {name} is not one mailbox: {value!r}")
    local, _, host = address.rpartition("@")
    return [*_phrase(display.strip(), len(name) + 2), f"<{local}@{_a_label(name, host)}>"]


def _a_label(name: str, host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise BadField(f"header {name} has a domain that is no host name: {host!r}") from None


def _phrase(display: str, used: int) -> list[str]:
    """A display name as RFC 5322 §3.2.5 phrase."""
    if not display:
        return []
    if not display.isascii() or "=?" in display:
        return _encoded_words(display, used)
    return [display if _ATOMS.fullmatch(display) else f'"{_escape(display)}"']


def _ids(name: str, value: str) -> list[str]:
    words = value.split(" ")
    for word in words:
        if not _MESSAGE_ID.fullmatch(word):
            raise BadField(f"header {name} holds no message identifier: {word!r}")
    return words


def _escape(text: str) -> str:
    """Content of a quoted-string (RFC 5322 §3.2.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
