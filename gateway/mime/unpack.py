"""From a slice of a mail to the octets of an attachment, by the steps that are written in its Part.

Standards: RFC 2045 §6 (transfer encodings), RFC 5652 §5 (signed data), POSIX uuencode. The steps stand in a row:
``base64`` alone, mostly; ``base64/120-900`` for a file inside of a winmail.dat; ``base64/cms/40-80/base64`` for one
that somebody signed opaquely. So whatever a mail has inside is a range of the stored mail and words, and is
read again from there when it is relayed.

Nothing here raises. All is linear, and no step makes more octets than it was given: uuencode's "M" alone, which
would stand for 45 octets, is no line here.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from gateway.mime.text import base64_bytes

_MAX_STEPS = 6
_MAX_FILES = 100
_MAX_BEGINS = 1_000         # lines that may begin a file
_MAX_ODD = 100_000          # lines that are not 45 octets whole
_MAX_VALUES = 100_000       # of ASN.1
_MAX_DEPTH = 16
_BEGIN = re.compile(rb"(?:\A|(?<=\n))begin ([0-7]{3,4}) ([^\r\n]{1,255})\r?\n")
_FULL = re.compile(rb"(?:M[\x20-\x60]{60}\r?\n)++")
_TO_BASE64 = bytes.maketrans(
    bytes(range(32, 97)), b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/A")
_LINE = re.compile(rb"([\x20-\x60])([\x20-\x60]{0,88})[ \t]*\r?(?:\n|\Z)")
_END = re.compile(rb"(?:[ `]?[ \t]*\r?\n){0,2}end[ \t]*\r?(?:\n|\Z)")
_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})")
UUENCODE = ("x-uuencode", "uuencode", "x-uue", "uue")


def unpacked(octets: bytes, steps: str) -> bytes:
    """What ``steps`` make of ``octets``; a step that nobody knows changes nothing (RFC 2045 §6.4)."""
    for step in steps.split("/", _MAX_STEPS)[:_MAX_STEPS]:
        if step == "base64":
            octets = base64_bytes(octets)
        elif step == "quoted-printable":
            octets = binascii.a2b_qp(octets)
        elif step in UUENCODE:
            octets = uu_octets(octets)
        elif step == "cms":
            octets = signed_content(octets) or b""
        elif found := _RANGE.fullmatch(step):
            octets = octets[int(found[1]):int(found[2])]
    return octets


# --- uuencode -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """A uuencoded file in a text: where it stands, from "begin" to behind "end", its lines, and its name."""

    start: int
    end: int
    lines: tuple[int, int]
    name: bytes


def uu_blocks(data: bytes) -> list[Block]:
    """The uuencoded files in ``data``. Lines that are none, or a lost "end" above other text, make it plain text."""
    out: list[Block] = []
    at, begun, odd = 0, 0, 0
    while len(out) < _MAX_FILES and begun < _MAX_BEGINS and odd < _MAX_ODD and (found := _BEGIN.search(data, at)):
        begun += 1
        at = first = found.end()
        while odd < _MAX_ODD:
            if full := _FULL.match(data, at):
                at = full.end()
            odd += 1
            line = _LINE.match(data, at)
            if line is None or not _fits(line):
                break
            at = line.end()
        closing = _END.match(data, at)
        if closing or (at == len(data) > first):
            end = closing.end() if closing else at
            out.append(Block(found.start(), end, (first, at), found[2].strip()))
            at = end
    return out


def _fits(line: re.Match[bytes]) -> bool:
    octets = (line[1][0] - 32) & 63
    wanted = (octets + 2) // 3 * 4
    given = len(line[2])
    # Blanks at the end are lost on the way; some writers put a checksum there.
    return octets > 0 and wanted // 2 <= given <= wanted + 4


def uu_octets(data: bytes) -> bytes:
    """The first uuencoded file in ``data``; ``data`` itself if it holds none."""
    block = next(iter(uu_blocks(data)), None)
    if block is None:
        return data
    out: list[bytes] = []
    at, last = block.lines
    while at < last:
        if full := _FULL.match(data, at, last):
            at = full.end()
            digits = b"".join([line[1:61] for line in full[0].split(b"\n")])
            out.append(binascii.a2b_base64(digits.translate(_TO_BASE64)))
        elif line := _LINE.match(data, at):
            at = line.end()
            wanted = (((line[1][0] - 32) & 63) * 4 + 2) // 3    # what fills the last three octets may be anything
            out.append(binascii.a2b_uu(line[1] + line[2][:wanted].ljust(wanted)))
    return b"".join(out)


# --- Signed data ----------------------------------------------------------------------------

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")      # RFC 5652 §5.1: id-signedData
_DATA = bytes.fromhex("2a864886f70d010701")             # §4: id-data
_SEQUENCE, _OID, _OCTETS, _CHUNKED, _CONTENT = 0x30, 0x06, 0x04, 0x24, 0xA0


def signed_content(data: bytes) -> bytes | None:
    """What an opaque signature (application/pkcs7-mime, signed-data) encloses; None if it is not that."""
    try:
        return _Asn1(data).signed_content()
    except (IndexError, ValueError):
        return None


class _Asn1:
    """A reader of X.690 values, definite and indefinite lengths; ValueError at what signed data does not have."""

    def __init__(self, data: bytes) -> None:
        self.data, self.left = data, _MAX_VALUES

    def signed_content(self) -> bytes | None:
        data = self.data
        outer = self._children(*self._one(0, len(data), _SEQUENCE))
        if len(outer) != 2 or data[slice(*outer[0][1:])] != _SIGNED_DATA:
            return None
        signed = self._children(*self._one(*outer[1][1:], _SEQUENCE))
        enclosed = next((each for each in signed if each[0] == _SEQUENCE), None)     # encapContentInfo
        fields = self._children(*enclosed[1:]) if enclosed else []
        if len(fields) != 2 or data[slice(*fields[0][1:])] != _DATA or fields[1][0] != _CONTENT:
            return None
        tag, start, end, _ = self._value(*fields[1][1:])
        if tag == _OCTETS:
            return data[start:end]
        if tag != _CHUNKED:
            return None
        return b"".join(data[first:last] for kind, first, last in self._children(start, end) if kind == _OCTETS)

    def _one(self, start: int, end: int, tag: int) -> tuple[int, int]:
        found, first, last, _ = self._value(start, end)
        if found != tag:
            raise ValueError("another ASN.1 tag")
        return first, last

    def _children(self, start: int, end: int) -> list[tuple[int, int, int]]:
        out: list[tuple[int, int, int]] = []
        while start < end and self.data[start:start + 2] != b"\0\0":
            tag, first, last, start = self._value(start, end)
            out.append((tag, first, last))
        return out

    def _value(self, at: int, end: int, depth: int = 0) -> tuple[int, int, int, int]:
        """Tag, content from and to, and where the next value begins."""
        data = self.data
        tag, size, first = data[at], data[at + 1], at + 2
        self.left -= 1
        if tag & 31 == 31 or depth > _MAX_DEPTH or self.left < 0:
            raise ValueError("too many ASN.1 values, or a strange one")
        if size != 0x80:
            if size > 0x80:
                first += size & 127
                size = int.from_bytes(data[at + 2:first], "big") if size <= 0x84 else end
            if first + size > end:
                raise ValueError("an ASN.1 value beyond the end")
            return tag, first, first + size, first + size
        last = first
        while data[last:last + 2] != b"\0\0":
            last = self._value(last, end, depth + 1)[3]
        return tag, first, last, last + 2
