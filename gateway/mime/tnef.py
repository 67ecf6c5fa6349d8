"""winmail.dat: what Outlook packs into application/ms-tnef when it thinks that we are Outlook, too.

Standards: [MS-OXTNEF] (stream and attributes), [MS-OXCDATA] §2.11 (property values), [MS-OXRTFCP] is in rtf.py. A file
is given as a range of the stream, not as octets: nothing is copied, and nothing can swell. Reads 200
files and 20,000 values at most; what is cut or false ends the reading with what was found.

Limits: forwarded messages inside (embedded objects) are not read, so the winmail.dat stays beside what was;
checksums are not compared.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.mime.charsets import decode

_SIGNATURE = b"\x78\x9f\x3e\x22"
_HEAD = struct.Struct("<BII")           # level, attribute, length
_PROPERTY = struct.Struct("<HH")        # type, id
_LONG = struct.Struct("<I")
_MAX_FILES = 200
_MAX_VALUES = 20_000
_MAX_TEXT = 2 * 1024 * 1024
_BODY, _CODEPAGE, _MESSAGE = 0x0002800C, 0x00069007, 0x00069003
_BEGIN_FILE, _TITLE, _DATA, _FILE = 0x00069002, 0x00018010, 0x0006800F, 0x00069005
# Property ids of a message and of an attachment.
_PLAIN, _RTF, _HTML = 0x1000, 0x1009, 0x1013
_CONTENT, _NAME, _LONG_NAME, _TYPE, _CONTENT_ID, _SHOWN = 0x3701, 0x3704, 0x3707, 0x370E, 0x3712, 0x3001
# Octets of the values that have a fixed length, padded to four (MS-OXCDATA §2.11.1).
_FIXED = {0x0002: 4, 0x0003: 4, 0x0004: 4, 0x0005: 8, 0x0006: 8, 0x0007: 8, 0x000A: 4, 0x000B: 4, 0x0014: 8, 0x0040: 8,
          0x0048: 16}
_VARIABLE = frozenset({0x000D, 0x001E, 0x001F, 0x0102})     # object, string, UTF-16 string, octets
_UTF16 = 0x001F


@dataclass(slots=True)
class File:
    """An attachment: ``start`` and ``end`` are its range in the stream."""

    name: str = ""
    content_type: str = ""
    content_id: str = ""
    start: int = 0
    end: int = 0


@dataclass(slots=True)
class Tnef:
    """What was found. ``rtf`` is compressed; the texts are '' or b'' if there are none."""

    files: list[File] = field(default_factory=list)
    text: str = ""
    html: bytes = b""
    rtf: bytes = b""
    charset: str = "cp1252"
    whole: bool = True                  # False: something in it cannot be read here
    left: int = _MAX_VALUES             # attributes and values that may still be read


def read_tnef(data: bytes) -> Tnef | None:
    """The content of a TNEF stream, None if ``data`` is none or says nothing."""
    if not data.startswith(_SIGNATURE):
        return None
    out = Tnef()
    at = 6                                          # signature and key
    while at + _HEAD.size <= len(data):
        _, attribute, size = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        end = start + size
        out.left -= 1
        if end > len(data) or out.left < 0:
            break
        if not _attribute(data, attribute, start, end, out):
            break
        at = end + 2                                # checksum
    files = [each for each in out.files if each.end > each.start]
    out.files, out.whole = files, at >= len(data) and len(files) == len(out.files)
    return out if out.files or out.text or out.html or out.rtf else None


def _attribute(data: bytes, attribute: int, start: int, end: int, out: Tnef) -> bool:
    if attribute == _BEGIN_FILE:
        if len(out.files) >= _MAX_FILES:
            return False
        out.files.append(File())
    elif attribute == _CODEPAGE and end - start >= 4:
        out.charset = f"cp{_LONG.unpack_from(data, start)[0]}"
    elif attribute == _BODY:
        out.text = _string(data[start:end][:_MAX_TEXT], out.charset)
    elif attribute == _MESSAGE:
        for number, kind, first, last in _properties(data, start, end, out):
            value = data[first:last][:_MAX_TEXT]
            if number == _PLAIN:
                out.text = _string(value, "utf-16-le" if kind == _UTF16 else out.charset)
            elif number == _HTML:
                out.html = value if kind != _UTF16 else _string(value, "utf-16-le").encode("utf-8")
            elif number == _RTF:
                out.rtf = value
    elif out.files:
        _of_file(data, attribute, start, end, out)
    return True


def _of_file(data: bytes, attribute: int, start: int, end: int, out: Tnef) -> None:
    file = out.files[-1]
    if attribute == _TITLE:
        file.name = file.name or _string(data[start:end][:1_000], out.charset)
    elif attribute == _DATA:
        file.start, file.end = start, end
    elif attribute == _FILE:
        for number, kind, first, last in _properties(data, start, end, out):
            if number == _CONTENT and file.end == file.start and kind == 0x0102:
                file.start, file.end = first, last
            if number not in (_NAME, _LONG_NAME, _TYPE, _CONTENT_ID, _SHOWN):
                continue
            value = _string(data[first:last][:1_000], "utf-16-le" if kind == _UTF16 else out.charset)
            if number == _LONG_NAME:
                file.name = value or file.name
            elif number == _TYPE:
                file.content_type = value.lower()
            elif number == _CONTENT_ID:
                file.content_id = value.strip("<>")
            else:
                file.name = file.name or value


def _properties(data: bytes, start: int, end: int, out: Tnef) -> Iterator[tuple[int, int, int, int]]:
    """(id, type, content from, to) of each value; MS-OXTNEF §2.1.3.4."""
    if start + 4 > end:
        return
    count, at = _LONG.unpack_from(data, start)[0], start + 4
    for _ in range(min(count, out.left)):
        if at + 4 > end:
            return
        kind, number = _PROPERTY.unpack_from(data, at)
        at += 4
        if number >= 0x8000:                        # a named property: its GUID, then a number or a name
            if at + 24 > end:
                return
            form, value = struct.unpack_from("<II", data, at + 16)
            at += 24 if form == 0 else 24 + _padded(value)
        several, kind = bool(kind & 0x1000), kind & ~0x1000
        values = 1
        if (several or kind in _VARIABLE) and at + 4 <= end:
            values, at = _LONG.unpack_from(data, at)[0], at + 4
        for _ in range(min(values, out.left)):
            out.left -= 1
            size = _FIXED.get(kind, 0)
            if kind in _VARIABLE and at + 4 <= end:
                size, at = _LONG.unpack_from(data, at)[0], at + 4
            if not size and kind not in _VARIABLE:
                return                              # its length is unknown, so is what follows
            if at + size > end:
                return
            yield number, kind, at, at + size
            at += _padded(size)


def _padded(size: int) -> int:
    return size + (-size % 4)


def _string(value: bytes, charset: str) -> str:
    if charset == "utf-16-le":
        return value[: len(value) & ~1].decode("utf-16-le", "replace").replace("\0", "")
    return decode(value.rstrip(b"\0"), charset)[0]
