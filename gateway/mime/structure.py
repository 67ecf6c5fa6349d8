"""The MIME tree of a raw mail as byte ranges, in one pass and without decoding anything.

Standards: RFC 5322 §2.2 (fields and folding), RFC 2045 §5.1 (Content-Type), RFC 2046 §5.1.1
(boundaries; the line end before one belongs to it), RFC 2231 §3-4 (continued and encoded
parameters). Tolerated: LF or CR line ends, a missing blank line below the header, a missing
closing boundary, a multipart whose boundary parameter is lost.

It is the guard as well as the map: what breaks a limit raises ``Opaque`` here, before any library
has seen a byte. A message/rfc822 part is a leaf; whoever wants its inside scans its body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gateway.errors import Opaque
from gateway.mime.charsets import decode, is_charset
from gateway.mime.text import decode_header


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most that is read of one mail; Postfix has the like (header_size_limit, mime_nesting_limit …)."""

    header_block: int = 256 * 1024
    header: int = 32 * 1024
    content_header: int = 8 * 1024
    semicolons: int = 100
    headers: int = 1_000
    mime_headers: int = 256 * 1024      # of all parts together
    depth: int = 30
    parts: int = 1_000
    boundary: int = 2_048
    line_depth: int = 5_000_000         # lines times depth
    false_boundaries: int = 20_000      # lines that only begin like a boundary
    addresses: int = 1_000
    text: int = 2 * 1024 * 1024


LIMITS = Limits()


@dataclass(slots=True, kw_only=True)
class Node:
    """One part. ``headers`` hold raw names and unfolded raw values; ``params`` those of Content-Type."""

    header_start: int
    header_end: int
    body_start: int
    body_end: int
    headers: list[tuple[bytes, bytes]]
    content_type: str
    params: dict[str, str]
    children: list[Node] = field(default_factory=list)
    closed: bool = True                 # False: a multipart without its closing boundary

    @property
    def is_nested(self) -> bool:
        return self.content_type in ("message/rfc822", "message/global")

    def header(self, name: bytes) -> bytes:
        """First value of ``name`` (lower case), or b''."""
        return next((value for key, value in self.headers if key == name), b"")

    def leaves(self) -> list[Node]:
        """All parts that have no parts, in the order they stand."""
        out: list[Node] = []
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.children:
                waiting.extend(reversed(node.children))
            else:
                out.append(node)
        return out


@dataclass(slots=True)
class _Open:
    """A multipart that is being read. ``at`` is where its delimiter comes next, or ``_NEVER``."""

    node: Node
    delimiter: bytes                    # b"\n--boundary"
    at: int = -1


_NEVER = 1 << 62
# RFC 5322 §2.2: a field name is printable ASCII without colon. Blanks before the colon are obs-optional.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
_AFTER_BOUNDARY = re.compile(rb"(--)?[ \t]*\r*(?:\n|\Z)")
_BLANK_LINE = re.compile(rb"\r*(?:\n|\Z)")
_ENVELOPE_LINE = re.compile(rb">?From [^\n]*\n")
# Blank lines above a header that plainly is one, as some programs pipe mail.
_NAMES = rb"From|To|Subject|Date|Received|MIME-Version|Message-ID|Content-Type"
_LOST_START = re.compile(
    rb"(?:[ \t]*\r?\n){1,20}(?=(?:" + _NAMES + rb"|Return-Path|Delivered-To|X-[a-z-]+):)", re.IGNORECASE)
_CERTAIN = re.compile(rb"^(?:" + _NAMES + rb"):[ \t]", re.IGNORECASE | re.MULTILINE)
_GUESSED = re.compile(rb"(?:\A|\n)--([^\s][^\r\n]{0,200}?)(?:--)?[ \t]*\r?\n")
_CONTENT_NAMES = (b"content-type", b"content-disposition", b"content-transfer-encoding", b"content-id")


def scan(raw: bytes, limits: Limits = LIMITS) -> Node:
    """The part tree of ``raw``; ``Opaque`` if a limit is broken."""
    if b"\n" not in raw and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")     # old Macintosh line ends; every offset stays the same
    return _Scanner(raw, limits).run()


def header_fields(
    raw: bytes, start: int, end: int, limits: Limits = LIMITS,
) -> tuple[list[tuple[bytes, bytes]], int]:
    """Fields of the header at ``start`` and where its first line that is no field begins."""
    fields: list[tuple[bytes, bytes]] = []
    at = start
    if line := _ENVELOPE_LINE.match(raw, at, end):
        at = line.end()                     # mbox separator, not a field
    if start == 0 and (skipped := _LOST_START.match(raw, at, end)):
        at = skipped.end()
    window = limits.header + 1_024          # the pattern must not walk a field of many megabytes first
    while found := _FIELD.match(raw, at, min(end, at + window)) or (
            _resumed(raw, at, end) if start == 0 and fields else None):
        name, value = found[1].lower(), found[2]
        if len(found[0]) >= window:
            raise Opaque(f"header field larger than {limits.header} octets")
        at = found.end()
        if len(value) > 500:
            _check_field(name, value, limits)
        fields.append((name, value.replace(b"\r", b"").replace(b"\n", b"").strip(b" \t")))
        if len(fields) > limits.headers:
            raise Opaque(f"more than {limits.headers} header fields")
        if at - start > limits.header_block:
            raise Opaque(f"header larger than {limits.header_block} octets")
    return fields, at


def _resumed(raw: bytes, at: int, end: int) -> re.Match[bytes] | None:
    """The next certain field behind lines that lost their leading blank, if no blank line comes before it."""
    end = min(end, at + 8_192)
    blank = raw.find(b"\n\n", at - 1, end), raw.find(b"\n\r\n", at - 1, end)
    found = _CERTAIN.search(raw, at, min((each for each in blank if each >= 0), default=end))
    return _FIELD.match(raw, found.start(), end) if found else None


def _check_field(name: bytes, value: bytes, limits: Limits) -> None:
    if len(value) > limits.header:
        raise Opaque(f"header field larger than {limits.header} octets")
    if name.startswith(b"content-") and len(value) > limits.content_header:
        raise Opaque(f"Content header larger than {limits.content_header} octets")


class _Scanner:
    def __init__(self, raw: bytes, limits: Limits) -> None:
        self.raw, self.limits = raw, limits
        self.open: list[_Open] = []
        self.parts = self.mime_octets = self.deepest = self.false_boundaries = 0

    def run(self) -> Node:
        root = self._part(0)
        current: Node | None = root
        while self.open:
            at, level, ending = self._next_boundary()
            end = at - 1 if at < _NEVER and self.raw[at - 1:at] == b"\r" else at
            end = min(end, len(self.raw))
            if current is not None:
                current.body_end = max(end, current.body_start)
            for left in self.open[level + 1:]:      # parts whose closing boundary is missing
                left.node.body_end, left.node.closed = max(end, left.node.body_start), False
            del self.open[level + 1:]
            if at == _NEVER:
                self.open[0].node.closed = False
                break
            if ending is None:                      # closing boundary; the epilogue is nobody's
                self.open.pop().node.body_end = end
                current = None
            else:
                current = self._part(ending, self.open[-1].node)
        if self.limits.line_depth < self.raw.count(b"\n") * self.deepest:
            raise Opaque(f"lines times depth exceeds {self.limits.line_depth}")
        return root

    def _part(self, start: int, parent: Node | None = None) -> Node:
        """Read the header at ``start``; remember the part as open if it is a multipart."""
        raw, limits = self.raw, self.limits
        self.parts += 1
        if self.parts > limits.parts:
            raise Opaque(f"more than {limits.parts} parts")
        end = len(raw)
        if parent is not None:                      # a header ends where a boundary of any open part stands
            end = min(end, min(self._seek(each, start - 1) for each in self.open) + 1)
        fields, header_end = header_fields(raw, start, end, limits)
        if parent is not None:
            self.mime_octets += header_end - start
            if self.mime_octets > limits.mime_headers:
                raise Opaque(f"headers of the parts larger than {limits.mime_headers} octets")
        blank = _BLANK_LINE.match(raw, header_end, end) if header_end < end else None
        content = next((value for name, value in fields if name == b"content-type"), b"")
        kind, params = content_type(content, limits)
        if not content and parent is not None and parent.content_type == "multipart/digest":
            kind = "message/rfc822"                 # RFC 2046 §5.1.5
        node = Node(
            header_start=start, header_end=header_end,
            body_start=blank.end() if blank else header_end, body_end=len(raw),
            headers=fields, content_type=kind, params=params,
        )
        if parent is not None:
            parent.children.append(node)
        if kind.startswith("multipart/"):
            self._enter(node)
        return node

    def _enter(self, node: Node) -> None:
        boundary = node.params.get("boundary", "").encode("utf-8", "replace").rstrip()
        if len(boundary) > self.limits.boundary:
            raise Opaque(f"boundary longer than {self.limits.boundary} octets")
        opened = _Open(node, b"\n--" + boundary)
        if not boundary or self._seek(opened, node.body_start - 1) == _NEVER:
            guess = _GUESSED.search(self.raw, node.body_start, node.body_start + 65_536)
            if guess is None or any(each.delimiter == b"\n--" + guess[1] for each in self.open):
                return                              # a leaf: its text is all there is
            opened = _Open(node, b"\n--" + guess[1])
            if self._seek(opened, node.body_start - 1) == _NEVER:
                return
        self.open.append(opened)
        self.deepest = max(self.deepest, len(self.open))
        if len(self.open) > self.limits.depth:
            raise Opaque(f"parts nested deeper than {self.limits.depth}")

    def _seek(self, part: _Open, start: int) -> int:
        """Position of the next real delimiter line of ``part`` at or after ``start`` (of its LF)."""
        if part.at >= max(start, 0):
            return part.at
        start = max(start, 0)
        while (at := self.raw.find(part.delimiter, start)) >= 0:
            if _AFTER_BOUNDARY.match(self.raw, at + len(part.delimiter)):
                part.at = at
                return at
            self.false_boundaries += 1
            if self.false_boundaries > self.limits.false_boundaries:
                raise Opaque("too many lines that begin like a boundary")
            start = at + 1
        part.at = _NEVER
        return _NEVER

    def _next_boundary(self) -> tuple[int, int, int | None]:
        """(position, level of the part it belongs to, start of the next part or None at the end)."""
        at, level = min((self._seek(part, part.at), -number) for number, part in enumerate(self.open))
        part = self.open[-level]
        if at == _NEVER:
            return _NEVER, 0, None
        tail = _AFTER_BOUNDARY.match(self.raw, at + len(part.delimiter))
        assert tail is not None
        for each in self.open:                      # the next search of everybody begins behind this line
            if each.at <= at:
                each.at = -1
                self._seek(each, tail.end() - 1)
        return at, -level, None if tail[1] else tail.end()


# --- Content-Type and Content-Disposition ---------------------------------------------------

_PARAM = re.compile(rb';[ \t]*([^=;"\s]{1,80})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"?[^;]*|([^;]*))')
_UNQUOTE = re.compile(rb'\\(["\\])')  # not RFC 5322's any character: Windows senders write paths
_TURNED = {"plain/text": "text/plain", "html/text": "text/html", "text/htm": "text/html", "text/txt": "text/plain"}
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_CONTINUED = re.compile(r"(.*?)\*(?:(\d{1,3})(\*)?)?")
_NAMES_FILES = frozenset({"name", "filename"})
_MORE_OF_NAME = re.compile(rb'(?:;(?![ \t]*[^=;"\s]{1,80}[ \t]*=)[^;]*[^;\s][^;]*)+')      # an unquoted name with ";"
_STARLESS = re.compile(rb"([a-zA-Z0-9_.:-]{1,40})'[a-zA-Z-]{0,20}'(.*)", re.DOTALL)
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")


def content_type(value: bytes, limits: Limits = LIMITS) -> tuple[str, dict[str, str]]:
    """Lower-case type/subtype (text/plain if unreadable, RFC 2045 §5.2) and its parameters."""
    if not value:
        return "text/plain", {}
    kind, params = parameters(value, limits)
    if not _TYPE.fullmatch(kind):
        first = kind.split()[0] if kind.split() else ""
        kind = first if _TYPE.fullmatch(first) else "text/html" if kind == "html" else "text/plain"
    return _TURNED.get(kind, kind), params


def parameters(value: bytes, limits: Limits = LIMITS) -> tuple[str, dict[str, str]]:
    """What stands before the first ``;`` and the parameters, joined and decoded after RFC 2231."""
    if value.count(b";") > limits.semicolons:
        raise Opaque(f"more than {limits.semicolons} parameters in one header field")
    head, _, rest = value.partition(b";")
    kind = head.strip().decode("latin-1").lower()
    if not rest:
        return kind, {}
    params: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for found in _PARAM.finditer(value, len(head)):
        name = found[1].decode("latin-1").lower()
        data = _UNQUOTE.sub(rb"\1", found[2]) if found[2] is not None else found[3].strip()
        if found[2] is None and name in _NAMES_FILES and (more := _MORE_OF_NAME.match(value, found.end())):
            data += more[0].rstrip()
        continued = _CONTINUED.fullmatch(name) if "*" in name else None
        if continued is None:
            params[name] = params.get(name) or _plain_value(data, is_name=name in _NAMES_FILES)
        else:
            number, extended = int(continued[2] or 0), continued[2] is None or bool(continued[3])
            pieces.setdefault(continued[1], {})[number] = (data, extended)
    for name, numbered in pieces.items():
        params[name] = _joined(numbered)
    return kind, params


def _plain_value(data: bytes, *, is_name: bool) -> str:
    """A parameter without RFC 2231's star, but maybe with its text, or with an encoded word, which is not allowed there."""
    if is_name and b"%" in data:
        star = _STARLESS.fullmatch(data)
        octets = _PERCENT.sub(lambda hexed: bytes((int(hexed[1], 16),)), star[2] if star else data)
        if star and is_charset(star[1]):
            return decode(octets, star[1].decode("ascii"))[0]
        if not octets.isascii() and data.isascii():     # "%E2%82%AC.txt", as a browser has it
            text, _ = decode(octets, "utf-8")
            return text if text.encode("utf-8") == octets else data.decode("ascii")
    if data.isascii() and b"=?" not in data and b"\x1b" not in data:
        return data.decode("ascii")
    return decode_header(data)


def _joined(numbered: dict[int, tuple[bytes, bool]]) -> str:
    """RFC 2231 §3-4: pieces by number; only the first names the charset, ``charset'language'text``."""
    charset: str | None = None
    out = bytearray()
    for place, number in enumerate(sorted(numbered)):
        data, extended = numbered[number]
        if extended and place == 0 and data.count(b"'") >= 2:
            label, _, data = data.split(b"'", 2)
            charset = label.decode("latin-1")
        out += _PERCENT.sub(lambda hexed: bytes((int(hexed[1], 16),)), data) if extended else data
    return decode_header(bytes(out)) if charset is None else decode(bytes(out), charset)[0]
