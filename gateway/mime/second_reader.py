"""The standard library (email, policy compat32) as a second reader of what a mail is made of.

Standards: RFC 5322 §2.2, RFC 2045 §5.1 and §6.1, RFC 2046 §5.1.1. Reading every mail twice would cost as much as all
else that is done with it, and nearly all mails leave one way to read them. So the forms are checked
first, and only a header or a structure that is out of form is given to the other reader. What is in form is read
alike by both: over the 2,800 mails of the corpus, and over those that tests/mime/test_second_reader.py makes.

Whatever it says, our reading is the one that is shown and stored, since the limits were checked on it. A difference is
a defect: somebody down the line, a virus scanner or a mail program, may see another mail than we do.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message
from email.parser import HeaderParser
from typing import TYPE_CHECKING, NamedTuple

from gateway.mime.attachments import decoded, encoding_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.mime.opaque import Fields
    from gateway.mime.structure import Node

COMPARED = frozenset({
    "from", "to", "cc", "reply-to", "subject", "date", "message-id", "content-type", "in-reply-to", "references", "auto-submitted",
})
_HEADER_PARSER: HeaderParser[Message] = HeaderParser()
_MAX_HEADER = 64 * 1024
# What is given to the standard library at most: it walks each line once for each open part.
_MAX_MAIL = 512 * 1024
_MAX_NESTED = 50
_NESTED = re.compile(rb"message/|multipart/", re.IGNORECASE)

_REGULAR = re.compile(rb"(?:>?From [^\r\n]*\r?\n)?(?:(?:[!-9;-~]+:|[ \t])[^\r\n]*+\r?\n)*+")
# RFC 2046 §5.1.1: bchars; no blank, since one at a fold or at the end is kept by some and dropped by others.
_MULTIPART = re.compile(
    rb'multipart/[\w-]+(?:;[ \t]*+[\w-]+=(?:"[^"\\\r\n()]*+"|[^\s"\\;()=]++))*+;?[ \t]*+', re.IGNORECASE)
_BOUNDARY = re.compile(r"[\w'()+,./:=?-]{1,70}(?<!--)", re.ASCII)       # "--a--" would end it or begin another
_CONTENT = (b"content-type", b"content-transfer-encoding", b"content-disposition")
_IDENTITY = ("", "7bit", "8bit", "binary")
_LINE_ENDS = b"\r\n"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def differences(raw: bytes, root: Node, leaves: Sequence[Node]) -> list[str]:
    """What the standard library sees otherwise than we: "header", "parts"."""
    regular = _is_regular(raw, 0, root.header_end)
    odd = not regular or _is_odd(raw, root)
    found = ((not regular and other_header(raw, root.header_end, root.headers), "header"), (odd and other_parts(raw, leaves), "parts"))
    return [what for differs, what in found if differs]


def other_header(raw: bytes, end: int, fields: Fields) -> bool:
    """Whether the standard library sees other fields of those that matter in the header up to ``end``."""
    if end > _MAX_HEADER:
        return False
    text = raw[:end].decode("latin-1").lstrip("\r\n \t")
    seen = [name.lower() for name in _HEADER_PARSER.parsestr(text).keys()]  # noqa: SIM118 - a repeated name counts
    return sorted(name for name in seen if name in COMPARED) != sorted(
        name.decode("ascii") for name, _ in fields if name.decode("ascii") in COMPARED)


def other_parts(raw: bytes, leaves: Sequence[Node]) -> bool:
    """Whether the standard library sees other parts than ``leaves``; not asked, and False, if ``raw`` is too large for it."""
    if len(raw) > _MAX_MAIL or len(_NESTED.findall(raw)) > _MAX_NESTED:
        return False
    try:
        return _theirs(message_from_bytes(raw)) != [_ours(raw, leaf) for leaf in leaves]
    except Exception:  # noqa: BLE001 - RecursionError, LookupError, ValueError: it sees nothing where we see a mail
        return True


# --- Form -----------------------------------------------------------------------------------


def _is_regular(raw: bytes, start: int, end: int) -> bool:
    """Fields only, and a blank line below them: there is one way to read that."""
    return _REGULAR.fullmatch(raw, start, end) is not None and raw[end:end + 1] in b"\r\n"


def _is_odd(raw: bytes, root: Node) -> bool:
    """Whether the form of any part leaves a doubt; that of the header of the mail is known already."""
    if raw.find(b"\r--") >= 0:                      # the end of a line for some
        return True
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        names = [name for name, _ in node.headers if name in _CONTENT]
        if len(names) > len(set(names)) or (node is not root and not _is_regular(raw, node.header_start, node.header_end)):
            return True
        if node.children or node.content_type.startswith("multipart/"):
            boundary = node.params.get("boundary", "")
            if not _is_plain_multipart(raw, node, boundary) or boundary in seen:
                return True
            seen.add(boundary)
            waiting.extend(node.children)
        elif not _is_plain_leaf(raw, node):
            return True
    return False


def _is_plain_multipart(raw: bytes, node: Node, boundary: str) -> bool:
    written = node.header(b"content-type")
    if not node.children or not node.closed or encoding_of(node) not in _IDENTITY or written.lower().count(b"boundary") != 1:
        return False
    if _MULTIPART.fullmatch(written) is None or _BOUNDARY.fullmatch(boundary) is None:
        return False
    begin = node.children[0].header_start           # our scan may have guessed a boundary
    return raw[:begin].rstrip(b" \t\r\n").endswith(b"--" + boundary.encode("ascii")) if begin < 4_096 else (
        raw[begin - 200:begin].rstrip(b" \t\r\n").endswith(b"--" + boundary.encode("ascii")))


def _is_plain_leaf(raw: bytes, node: Node) -> bool:
    encoding = node.header(b"content-transfer-encoding").strip().lower()
    if encoding == b"base64":
        text = raw[node.body_start:node.body_end].translate(None, _LINE_ENDS)
        padding = text[-2:].count(b"=") if text.endswith(b"=") else 0
        return len(text) % 4 == 0 and text[:len(text) - padding].translate(None, _BASE64) == b""
    return encoding in (b"", b"7bit", b"8bit", b"binary", b"quoted-printable")


# --- Parts ----------------------------------------------------------------------------------


class _Seen(NamedTuple):
    """A leaf as both readers can say it: line ends differ by where a boundary begins."""

    kind: str
    octets: int


def _ours(raw: bytes, leaf: Node) -> _Seen:
    kind = leaf.content_type.partition("/")[0]
    return _Seen(kind, 0 if kind == "message" else len(decoded(raw, leaf).translate(None, _LINE_ENDS)))


def _theirs(message: Message) -> list[_Seen]:
    out: list[_Seen] = []
    waiting = [message]
    while waiting:
        part = waiting.pop()
        kind, payload = part.get_content_maintype(), part.get_payload()
        if kind == "multipart" and isinstance(payload, list):
            waiting.extend(each for each in reversed(payload) if isinstance(each, Message))
        elif kind == "message":
            out.append(_Seen(kind, 0))
        else:
            octets = part.get_payload(decode=True)
            out.append(_Seen(kind, len(octets.translate(None, _LINE_ENDS)) if isinstance(octets, bytes) else 0))
    return out
