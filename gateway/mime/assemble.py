"""An outbox row to the octets that go on the wire; the same row gives the same octets for ever.

Standards: RFC 5322 (format), RFC 2045-2049 (MIME), RFC 2183 (disposition), RFC 2387 (related).
No clock, no randomness: boundaries come from the row. Parts of stored mail are cut from its raw
octets, never re-serialised: a parsed tree may be deeper than a writer can recurse.

    text                    text/plain
    text, html              multipart/alternative
    … images that html uses multipart/related around the html
    … other parts           multipart/mixed around all

Limits: a type outside TYPES travels as application/octet-stream; so does text/html, which a
click would open with the rights of a local file.
"""

from __future__ import annotations

import base64
import binascii
import html as html_entities
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote

from gateway.core.decision import PartRef
from gateway.core.rows import OutboxRow
from gateway.mime.fields import LINE, BadField, encode_field, file_parameters
from gateway.mime.unpack import unpacked

Fetch = Callable[[str, str], bytes]     # (spool id, month) -> the raw mail

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
TYPES = IMAGES | {
    "text/plain", "text/csv", "text/calendar", "message/rfc822",
    "image/tiff", "image/heic",
    "audio/mpeg", "audio/ogg", "audio/wav", "audio/mp4", "video/mp4", "video/webm",
    "application/pdf", "application/json", "application/zip", "application/gzip", "application/rtf",
    "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/pgp-signature", "application/pkcs7-signature",
}
_OCTETS = "application/octet-stream"
_KEPT_ENCODINGS = frozenset({"7bit", "quoted-printable", "base64"})
_READABLE = 78              # RFC 5322 §2.1.1: lines should not be longer
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
_BOUNDARY = re.compile(r"[A-Za-z0-9]{16,60}")
_CID_USED = re.compile(r"""\bcid:([^"'\s>)]{1,250})""", re.IGNORECASE)
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))]
)
_NAME_BYTES = 100


def assemble(row: OutboxRow, fetch: Fetch) -> bytes:
    """The mail of ``row``. Raises BadField if a header is unfit, LookupError if a part's mail is gone."""
    parts = [PartRef(**part) for part in json.loads(row.parts)]
    return head_of(json.loads(row.headers)) + body_of(row.text, row.html, parts, row.boundary, fetch)


def head_of(fields: Sequence[Sequence[str]]) -> bytes:
    """The header block of (name, value) pairs up to the fields that the body begins with."""
    head = b"".join([encode_field(name, value) for name, value in fields]) + b"MIME-Version: 1.0\r\n"
    _check_head(head, [name for name, _ in fields] + ["MIME-Version"])
    return head


def body_of(text: str, html: str, parts: Sequence[PartRef], boundary: str, fetch: Fetch) -> bytes:
    """The body with its MIME fields; the same content makes the same octets for whomever."""
    if not _BOUNDARY.fullmatch(boundary):
        raise BadField(f"boundary {boundary!r} is not 16 to 60 letters and digits")
    used = cids_of(html)
    related = [p for p in parts if _is_image_of(p, used)]
    attached = [p for p in parts if not _is_image_of(p, used)]

    body = _text("plain", text)
    if html:
        page = _text("html", html)
        if related:
            images = [_part(p, fetch, inline=True) for p in related]
            page = _multipart("related", boundary, [page, *images])
        body = _multipart("alternative", boundary, [body, page])
    if attached:
        files = [_part(p, fetch, inline=False) for p in attached]
        body = _multipart("mixed", boundary, [body, *files])
    return body


def safe_name(name: str) -> str:
    """A file name that no mail client or file system misreads; never empty.

    Letters and digits of any script and a few signs; no path, no controls, no bidi marks, no
    leading dot, no device name of Windows; at most 100 octets, the extension kept.
    """
    base = re.split(r"[/\\]", unicodedata.normalize("NFC", name[-5000:]))[-1]
    kept = "".join(c if c in " ._-()+,@#&=" or unicodedata.category(c)[0] in "LNM" else
                   "" if unicodedata.category(c) in ("Cf", "Cc", "Cs") else "_" for c in base)
    kept = " ".join(kept.split()).strip(". ")
    stem, dot, extension = kept.rpartition(".")
    if not dot or not stem or len(extension.encode()) > 10:
        stem, dot, extension = kept, "", ""
    room = _NAME_BYTES - len((dot + extension).encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ")
    if stem.split(".")[0].strip().lower() in _RESERVED:
        stem = f"_{stem}"
    return f"{stem}{dot}{extension}" if stem else "attachment"


def cids_of(html: str) -> frozenset[str]:
    """The Content-IDs that ``html`` shows as images (RFC 2392)."""
    if "cid:" not in html.lower():      # the pattern is slow on what has none, and that is nearly all
        return frozenset()
    return frozenset(unquote(html_entities.unescape(cid)) for cid in _CID_USED.findall(html))


def _is_image_of(part: PartRef, used: frozenset[str]) -> bool:
    cid = part.content_id or ""
    return cid in used and part.content_type in IMAGES and _CONTENT_ID.fullmatch(cid) is not None


# --- Leaves: each returns its header block, an empty line and its body, all CRLF ----------------


def _text(subtype: str, text: str) -> bytes:
    """A text leaf: as it is if that is safe and readable, else quoted-printable (RFC 2045 §6.7)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    lines = text.split("\n")
    ends_blank = text.endswith((" ", "\t")) or " \n" in text or "\t\n" in text
    is_delicate = ends_blank or text.startswith("From ") or "\nFrom " in text
    charset, encoding = "us-ascii", "7bit"
    if not is_delicate and text.isascii() and "".join(lines).isprintable() and max(map(len, lines)) <= _READABLE:
        body = text.encode("ascii")
    else:
        charset, encoding = "utf-8", "quoted-printable"
        # Line by line where a line's ends need care; all at once is much faster.
        body = b"\n".join(map(_quoted, lines)) if is_delicate else _quoted(text)
    head = [f"Content-Type: text/{subtype}; charset={charset}", f"Content-Transfer-Encoding: {encoding}"]
    return _leaf(head, body.replace(b"\n", b"\r\n"))


def _quoted(text: str) -> bytes:
    octets = text.encode("utf-8", "replace")
    # A line that begins with "From " is changed by mbox writers; so its F is encoded (RFC 2049 §3).
    lead, octets = (b"=46=\n", octets[1:]) if octets.startswith(b"From ") else (b"", octets)
    return lead + binascii.b2a_qp(octets)


def _part(part: PartRef, fetch: Fetch, *, inline: bool) -> bytes:
    """A slice of a stored mail under fresh header fields."""
    slice_ = fetch(part.spool_id, part.month)[part.start:part.end]
    encoding = part.encoding.strip().lower() or "7bit"
    if encoding in ("8bit", "binary"):
        encoding = "7bit"               # RFC 2045 §6.2: all three are the identity
    keep = part.clean and encoding in _KEPT_ENCODINGS and _is_clean(slice_)
    content_type = part.content_type if part.content_type in TYPES else _OCTETS
    name = safe_name(part.name)
    if part.content_type == "message/rfc822":
        name = name if name.lower().endswith(".eml") else f"{name}.eml"
        if not (keep and encoding == "7bit"):
            # RFC 2046 §5.2.1: message/rfc822 may not be base64 or quoted-printable.
            keep, content_type = False, _OCTETS
    body = slice_ if keep else _base64(unpacked(slice_, encoding)).removesuffix(b"\r\n")
    charset = _charset(slice_, encoding) if content_type.startswith("text/") else ""
    type_name, file_name = file_parameters(name)
    head = [
        f"Content-Type: {content_type}{charset}{type_name}",
        f"Content-Transfer-Encoding: {encoding if keep else 'base64'}",
        f"Content-Disposition: {'inline' if inline else 'attachment'}{file_name}",
    ]
    if inline:
        head.append(f"Content-ID: <{part.content_id}>")
    return _leaf(head, body)


def _is_clean(octets: bytes) -> bool:
    """Fit to travel as it stands (RFC 5321 §4.5.3.1.6, RFC 5322 §2.1.1). Checked again although the
    parser said so: a range that is off by some octets must not break the mail around it."""
    breaks = octets.count(b"\r\n")
    return (octets.isascii() and b"\0" not in octets
            and breaks == octets.count(b"\n") == octets.count(b"\r")
            and max(map(len, octets.split(b"\r\n"))) <= LINE)


def _charset(octets: bytes, encoding: str) -> str:
    """Say utf-8 where it is true; else say nothing and let the client guess, as it did before."""
    try:
        unpacked(octets, encoding).decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "; charset=utf-8"


def _base64(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")      # RFC 2045 §6.8: lines of 76


def _leaf(head: Iterable[str], body: bytes) -> bytes:
    return "".join(f"{line}\r\n" for line in head).encode("ascii") + b"\r\n" + body + b"\r\n"


def _multipart(subtype: str, boundary: str, leaves: list[bytes]) -> bytes:
    """RFC 2046 §5.1.1. "=_" occurs in no quoted-printable or base64 text; the rest nobody can foresee."""
    mark = f"=_{subtype[0]}.{boundary}"
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{mark}"\r\n\r\n'.encode("ascii")
    delimiter = f"--{mark}\r\n".encode("ascii")
    return head + b"".join(delimiter + leaf for leaf in leaves) + f"--{mark}--\r\n".encode("ascii")


def _check_head(head: bytes, expected: list[str]) -> None:
    """Read our own header block back: exactly the fields we meant, no stray CR, LF or NUL."""
    lines = head.removesuffix(b"\r\n").split(b"\r\n")
    stray = not len(lines) == head.count(b"\r") == head.count(b"\n") or b"\0" in head
    found = [line.partition(b":")[0].decode("latin-1") for line in lines if line[:1] not in (b" ", b"\t")]
    empty = not all(map(bytes.strip, lines))
    if stray or empty or found != expected:
        raise BadField(f"the header block reads back as {found}, but {expected} was meant")
    names = [name.lower() for name in found]
    twice = {name for name in _ONCE.intersection(names) if names.count(name) > 1}
    if twice:
        raise BadField(f"header fields that may stand once only are there twice: {sorted(twice)}")


# RFC 5322 §3.6: fields with a maximum number of one.
_ONCE = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references",
                   "subject", "date", "mime-version"})
