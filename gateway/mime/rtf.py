r"""Text of the compressed RTF in which Outlook sends a body to its own kind.

Standards: [MS-OXRTFCP] (compression), [MS-OXRTFEX] (HTML inside of RTF: what \htmlrtf switches is for RTF readers
only). Text alone is taken: letters, paragraphs, tabs. At most 512 kB are unpacked, since seventeen
octets may come of two; what is cut or false ends the reading.
"""

from __future__ import annotations

import re
import struct

from gateway.mime.charsets import decode

_HEAD = struct.Struct("<IIII")          # compressed size, raw size, kind, checksum
_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_MAX = 512 * 1024
_WINDOW = 4_096
_PRELOAD = (                            # MS-OXRTFCP §2.1.2.1: what the window begins with
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbol"
    rb"ArialTimes New RomanCourier{\colortbl\red0\green0\blue0" b"\r\n" rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_TOKEN = re.compile(rb"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-z])|([{}])|[\r\n]+|([^\\{}\r\n]+)")
_HIDDEN = frozenset({b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"header", b"footer", b"themedata", b"object"})
_BREAKS = {b"par": "\n", b"line": "\n", b"tab": "\t", b"row": "\n", b"cell": "\t", b"lquote": "‘", b"rquote": "’",
           b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•", b"endash": "–", b"emdash": "—"}


def rtf_text(compressed: bytes) -> str:
    """The text of a PR_RTF_COMPRESSED value, '' if it is none."""
    return _text(_decompressed(compressed))


def _decompressed(data: bytes) -> bytes:
    if len(data) < _HEAD.size:
        return b""
    _, size, kind, _ = _HEAD.unpack_from(data)
    if kind == _PLAIN:
        return data[_HEAD.size:_HEAD.size + min(size, _MAX)]
    if kind != _COMPRESSED:
        return b""
    out = bytearray(_PRELOAD)
    base = len(out)
    room, at = min(size, _MAX) + base, _HEAD.size
    while at < len(data) and len(out) < room:
        flags, at = data[at], at + 1
        for bit in range(8):
            if at >= len(data) or len(out) >= room:
                break
            if not flags >> bit & 1:
                out.append(data[at])
                at += 1
                continue
            reference = int.from_bytes(data[at:at + 2], "big")
            at += 2
            offset, length = reference >> 4, (reference & 15) + 2
            back = (len(out) - offset) % _WINDOW        # §2.1.3.1.4: a reference to the next place is the end
            if not back or back > len(out):
                return bytes(out[base:])
            for _ in range(length):
                out.append(out[-back])
    return bytes(out[base:room])


def _text(rtf: bytes) -> str:
    out: list[str] = []
    held = bytearray()                  # octets of the code page, joined before they are decoded
    states: list[tuple[bool, int]] = []
    hidden, skip, after_unicode, charset = False, 0, 1, "cp1252"
    for token in _TOKEN.finditer(rtf):
        word, number, octet, sign, brace, plain = token.groups()
        shown = not hidden
        if octet or plain:
            octets = bytes((int(octet, 16),)) if octet else plain
            held += octets[skip:] if shown else b""
            skip = max(0, skip - len(octets))
            continue
        if held:
            out.append(decode(bytes(held), charset)[0])
            held.clear()
        if brace == b"{":
            states.append((hidden, after_unicode))
        elif brace == b"}":
            hidden, after_unicode = states.pop() if states else (False, 1)
        elif sign == b"*" or word in _HIDDEN:
            hidden = hidden or bool(states)
        elif word == b"htmlrtf":
            hidden = number != b"0"
        elif word == b"ansicpg" and number:
            charset = f"cp{int(number)}"
        elif word == b"uc" and number:
            after_unicode = min(8, abs(int(number)))
        elif shown and word == b"u" and number:
            out.append(chr(int(number) & 0xFFFF))
            skip = after_unicode
        elif shown and sign is not None:
            out.append({b"~": " ", b"_": "-", b"-": ""}.get(sign, sign.decode("latin-1") if sign in b"\\{}" else ""))
        elif shown and word in _BREAKS:
            out.append(_BREAKS[word])
    out.append(decode(bytes(held), charset)[0])
    whole = "".join(out).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")    # \u has UTF-16 halves
    return whole.strip("\n\0")
