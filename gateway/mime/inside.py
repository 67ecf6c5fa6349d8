"""What some parts have inside, brought out: winmail.dat, uuencoded files, opaquely signed mail.

Standards: see tnef.py, unpack.py; RFC 8551 §3.5.2 (application/pkcs7-mime, signed-data). A winmail.dat that can be
read is replaced by its files, since nobody but Outlook can open it. A signed mail stays as the file that it is,
for whoever checks signatures, beside what it encloses; our own check of it is none. Nothing is
opened twice: a winmail.dat in a signed mail stays closed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from gateway.core.model import Part
from gateway.mime.attachments import decoded, display_name, encoding_of, extension_of, given_name, type_of
from gateway.mime.rtf import rtf_text
from gateway.mime.structure import Node
from gateway.mime.text import decode_header
from gateway.mime.tnef import Tnef, read_tnef
from gateway.mime.unpack import Block, signed_content, unpacked, uu_blocks

_TNEF = ("application/ms-tnef", "application/vnd.ms-tnef")
_SIGNED = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_IDENTITY = ("", "7bit", "8bit", "binary")


def tnef_of(raw: bytes, leaf: Node) -> Tnef | None:
    if leaf.content_type not in _TNEF and given_name(leaf).lower() != "winmail.dat":
        return None
    return read_tnef(decoded(raw, leaf))


def tnef_text(found: Tnef) -> tuple[str, bytes]:
    """The plain text and the HTML of a winmail.dat."""
    return found.text or rtf_text(found.rtf), found.html


def tnef_parts(raw: bytes, leaf: Node, found: Tnef, ordinal: int) -> list[Part]:
    steps, stream = encoding_of(leaf), decoded(raw, leaf)
    return [
        file_part(ordinal + number, stream[each.start:each.end], each.name, leaf.body_start, leaf.body_end,
                  f"{steps}/{each.start}-{each.end}".lstrip("/"), content_type=each.content_type, content_id=each.content_id)
        for number, each in enumerate(found.files)
    ]


def file_part(ordinal: int, data: bytes, name: str, start: int, end: int, steps: str,
              *, content_type: str = "", content_id: str = "") -> Part:
    """The Part of a file that has no header of its own."""
    digest = hashlib.sha256(data).hexdigest()
    shown = display_name(decode_header(name) if "=?" in name else name)
    kind = content_type or type_of(shown)
    return Part(
        ordinal=ordinal, name=shown or f"{digest[:8]}.{extension_of(kind)}", content_type=kind, size=len(data), sha256=digest,
        start=start, end=end, encoding=steps, clean=False, content_id=content_id or None,
        inline=bool(content_id) and kind.startswith("image/"),
    )


@dataclass(frozen=True, slots=True)
class Encoded:
    """The text of a leaf without the uuencoded files in it."""

    data: bytes
    text: bytes
    blocks: list[Block]


def uuencoded_in(raw: bytes, leaf: Node) -> Encoded | None:
    """The files that stand in the text of ``leaf``, None if there are none."""
    encoding = encoding_of(leaf)
    if encoding != "base64" and raw.find(b"begin ", leaf.body_start, leaf.body_end) < 0:
        return None
    data = decoded(raw, leaf)
    blocks = uu_blocks(data) if b"begin " in data else []
    if not blocks:
        return None
    text, at = [], 0
    for block in blocks:
        text.append(data[at:block.start])
        at = block.end
    return Encoded(data, b"".join([*text, data[at:]]), blocks)


def uuencoded_parts(leaf: Node, found: Encoded, ordinal: int) -> list[Part]:
    encoding = encoding_of(leaf)
    out = []
    for number, block in enumerate(found.blocks):
        octets = unpacked(found.data[block.start:block.end], "x-uuencode")
        if encoding in _IDENTITY:
            start, end, steps = leaf.body_start + block.start, leaf.body_start + block.end, "x-uuencode"
        else:
            start, end, steps = leaf.body_start, leaf.body_end, f"{encoding}/{block.start}-{block.end}/x-uuencode"
        out.append(file_part(ordinal + number, octets, decode_header(block.name), start, end, steps))
    return out


def signed_in(raw: bytes, leaf: Node) -> tuple[bytes, tuple[str, int, int]] | None:
    """The mail that ``leaf`` encloses with its signature, and the steps to it."""
    if leaf.content_type not in _SIGNED:
        return None
    inner = signed_content(decoded(raw, leaf))
    return (inner, (f"{encoding_of(leaf)}/cms".lstrip("/"), leaf.body_start, leaf.body_end)) if inner else None
